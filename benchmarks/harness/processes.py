"""Runs points in processes of their own: what one takes or breaks is none of the others'."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from benchmarks.harness.points import Family, Point, Row, Store

# What a point came to: its row, or why there is none.
Outcome = Row | str
# ``(name of the family, family, points that share a process) -> the outcome of each of them``.
Runner = Callable[[str, Family, list[Point]], Iterator[Outcome]]


def run(name: str, family: Family, points: list[Point], store: Store, runner: Runner) -> int:
    """Measure what is missing of ``points``, keep it, and tell how many failed.

    Args:
      name: of the family, or ``module:attribute`` where it is.
      family: to which the points belong.
      points: what is wanted.
      store: where finished points are, and are put.
      runner: ``in_processes`` or ``here``.
    """
    groups: dict[tuple[object, ...], list[Point]] = {}
    for number, point in enumerate(store.missing(points)):
        shared = tuple(point[field] for field in family.shares) or (number,)
        groups.setdefault(shared, []).append(point)
    failed = 0
    for group in groups.values():
        for point, outcome in zip(group, runner(name, family, group), strict=True):
            title = " ".join(str(value) for value in point.values())
            if isinstance(outcome, str):
                failed += 1
                print(f"{title}: left out: {outcome}", flush=True)
            else:
                store.keep(point, outcome)
                print(f"{title}: {_told(outcome)}", flush=True)
    return failed


def _told(row: Row) -> str:
    """Its numbers, of a course the last."""
    last = {k: v[-1] if isinstance(v, list) and v else v for k, v in row.items()}
    return ", ".join(f"{k} {v:.4g}" for k, v in last.items() if isinstance(v, int | float))


def here(name: str, family: Family, points: list[Point]) -> Iterator[Outcome]:
    """One point after the other in this process, without a limit."""
    del name
    for point in points:
        try:
            yield family.measure(point)
        except Exception as error:  # A point that fails stops no other.
            told = " ".join(str(error).split())
            yield f"{type(error).__name__}: {told}"


def in_processes(name: str, family: Family, points: list[Point]) -> Iterator[Outcome]:
    """One process for all, and a new one for what is left when one was ended by its point."""
    left = points
    while left:
        finished = 0
        for outcome in _one_process(name, family, left):
            finished += 1
            yield outcome
        left = left[finished:]


def _one_process(name: str, family: Family, points: list[Point]) -> Iterator[Outcome]:
    """What a process tells of the points, up to the one that ends it."""
    command = [sys.executable, "-m", "benchmarks.harness.worker", name]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=env
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(points))
        process.stdin.close()
        peaks: list[float] = []
        try:
            for _ in points:
                timer = threading.Timer(family.limit, _end, [process, peaks])
                timer.start()
                line = process.stdout.readline()
                timer.cancel()
                if not line:
                    process.wait()
                    yield _ended(family, peaks, process.returncode, said)
                    return
                yield json.loads(line)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _end(process: subprocess.Popen[str], peaks: list[float]) -> None:
    """End a process, and note the most memory (GiB) that it held."""
    peaks.append(0.0)
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        sizes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
        peaks[-1] = sum(sizes) / 2**20
    process.kill()


def _ended(family: Family, peaks: list[float], code: int, said: IO[str]) -> Outcome:
    """What a process that is no more says of the point that it was at."""
    if peaks and family.keeps_limit:
        return {"over": family.limit, "peak_gib": peaks[0]}
    if peaks:
        return f"over {family.limit:.0f} s"
    said.seek(0)
    lines = said.read().strip().splitlines()
    return f"exit code {code}" + (f": {lines[-1]}" if lines else "")
