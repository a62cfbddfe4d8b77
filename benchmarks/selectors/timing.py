"""Wall time, CPU time and peak memory of a call."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Timing(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds over all threads: holds its meaning on a busy machine
    result: Any


def timed(function: Callable[[], Any]) -> Timing:
    """Time one call, until its arrays are there."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(function())
    return Timing(time.perf_counter() - wall, time.process_time() - cpu, result)


def warm(function: Callable[[], Any]) -> tuple[Timing, Timing]:
    """The first call, which compiles, and the second."""
    return timed(function), timed(function)


def peak_gib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def row(name: str, time_: Timing, floor: Timing | None = None, note: str = "") -> str:
    """One line of a Markdown table."""
    ratio = f"{time_.cpu / floor.cpu:.2f}" if floor else ""
    return f"| {name} | {time_.wall:.2f} | {time_.cpu:.2f} | {ratio} | {note} |"


HEADER = "| what | wall s | CPU s | CPU s over floor | |\n|---|---|---|---|---|"
