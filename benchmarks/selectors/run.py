"""Selectors beside their peers and their floors: one command, a table and a plot out.

    python -m benchmarks.selectors.run                      # all; hours, see --parts
    python -m benchmarks.selectors.run --parts=greedy,knn
    python -m benchmarks.selectors.run --parts=report       # tables and plot from what is there

Each measurement runs in a process of its own, one after the other, and is appended to
``results/points.jsonl``; what is there already is not measured again (``--again`` does). Peers
that are not installed are passed over with one line each. Everything takes about half an hour on
two cores; the parts take, in minutes: greedy 4, knn 4, kmeans 3, baselines 4, peers 8, scale 5,
partitioned 2, targets 2.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.selectors import report
from idc_jax import selectors

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results")


class Point(NamedTuple):
    """One measurement, as ``point.py`` takes it."""

    case: str
    n: int
    d: int
    budget: int
    data: str = "synthetic"
    limit: float = 600.0  # seconds after which a peer is given up


def parts(n: int, d: int, budget: int) -> dict[str, list[Point]]:
    """All measurements by part, at the asked size where the size is not the question."""
    small = (10_000, d, 100)
    real = ("knn/floor", "knn/idc_jax", "knn/approximate", "knn/faiss_ivf")
    names = [name for name in selectors.names() if selectors.get(name).asks == "samples"]
    herding = ("facility_location", "max_herding")
    peers = [
        *(f"baseline/{name}, all targets" for name in herding),
        *(f"baseline/{name}" for name in ("typiclust", "k_center", "probcover")),
        "peer/submodlib facility_location",
        "peer/apricot facility_location",
        *(f"peer/skactiveml {name}" for name in ("MaxHerding", "TypiClust", "CoreSet")),
        "peer/skactiveml probcover",
    ]

    def several(part: str, *names: str) -> list[Point]:
        return [Point(f"{part}/{name}", n, d, budget) for name in names]

    return {
        "greedy": several("greedy", "floor", "idc_jax", "numpy", "torch"),
        "knn": several("knn", "floor", "idc_jax", "approximate", "torch", "faiss", "faiss_ivf")
        + [Point(name, 60_000, 256, 0, "real") for name in real],
        "kmeans": several("kmeans", "idc_jax", "sklearn", "faiss"),
        "baselines": several("whole", "idc_jax") + several("baseline", *names),
        "targets": [Point(f"targets/{name}", 30_000, d, budget) for name in herding],
        "peers": [Point(name, *small, limit=100.0) for name in peers],
        "scale": [
            Point("scale/idc_jax", size, 128, budget)
            for size in (10_000, 30_000, 100_000, 300_000, 1_000_000)
        ],
        "partitioned": [
            Point("partitioned/idc_jax", size, 128, budget) for size in (100_000, 1_000_000)
        ],
    }


def key_of(record: dict[str, Any]) -> tuple:
    """What tells one measurement from another."""
    return tuple(record[field] for field in ("case", "n", "d", "budget", "data"))


def machine() -> str:
    """The processor and how many cores of it there are."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def measure(point: Point) -> dict[str, Any] | None:
    """Run one measurement; None, with a line said, where it failed or its peer is missing."""
    command = [sys.executable, "-m", "benchmarks.selectors.point", *map(str, point)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        print(f"{point.case}: left out: {reason}", flush=True)
        return None
    return point._asdict() | {"machine": machine()} | json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument(
        "--parts", default="greedy,knn,kmeans,baselines,targets,peers,scale,partitioned"
    )
    parser.add_argument("--cases", default="", help="only cases whose name holds one of these")
    parser.add_argument("--again", action="store_true", help="measure also what is there already")
    flags = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "points.jsonl"
    known = {} if flags.again else {key_of(record): record for record in report.read(file)}
    every = parts(flags.n, flags.d, flags.budget)
    chosen = [point for part in flags.parts.split(",") for point in every.get(part, [])]
    for point in chosen:
        wanted = not flags.cases or any(word in point.case for word in flags.cases.split(","))
        if not wanted or key_of(point._asdict()) in known:
            continue
        record = measure(point)
        if record:
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
            shown = {k: v for k, v in record.items() if k not in ("picks", "machine", "limit")}
            print(json.dumps(shown), flush=True)
    report.write(file, RESULTS, ROOT / "docs" / "images" / "selectors_growth.png")


if __name__ == "__main__":
    main()
