"""Wall time, CPU time, compilations and peak memory of a call."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


class Timing(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds over all threads: holds its meaning on a busy machine
    result: Any


def timed(function: Callable[[], Any]) -> Timing:
    """Time one call, until its arrays are there."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(function())
    return Timing(time.perf_counter() - wall, time.process_time() - cpu, result)


def measured(function: Callable[[], Any], repeats: int = 3) -> tuple[dict[str, Any], Any]:
    """Figures of a function that compiles at its first call, and its result.

    ``wall`` and ``cpu`` are of the fastest of the calls after the first; ``programs`` and
    ``compile`` count what the first call compiled and how long, ``warm_programs`` the others.
    """
    with compilations() as cold:
        first = timed(function)
    with compilations() as hot:
        runs = [timed(function) for _ in range(repeats)]
    best = min(runs, key=lambda run: run.wall)
    figures = {
        "wall": best.wall,
        "cpu": best.cpu,
        "first": first.wall,
        "compile": sum(cold),
        "programs": len(cold),
        "warm_programs": len(hot),
    }
    return figures, best.result


def once(function: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """Figures of a function that compiles nothing, or whose compiling is to count."""
    with compilations() as cold:
        run = timed(function)
    return {"wall": run.wall, "cpu": run.cpu, "compile": sum(cold)}, run.result


@contextmanager
def compilations() -> Iterator[list[float]]:
    """Seconds of each program that XLA compiles meanwhile."""
    seconds: list[float] = []

    def listen(event: str, duration: float, **_: Any) -> None:
        if event == _COMPILED:
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def peak_gib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def resident_gib() -> float:
    """Memory that this process holds now."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 2**20


def device_gib() -> float | None:
    """The most memory that the device has held so far; None where it does not tell."""
    stats = jax.devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] / 2**30 if stats else None


def machine() -> str:
    """What measures: the accelerator, or the processor and how many cores of it there are."""
    if jax.default_backend() != "cpu":
        return jax.devices()[0].device_kind
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores"
