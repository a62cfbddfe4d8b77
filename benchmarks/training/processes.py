"""Memory of each process of a run by 1, 2 and 4 processes: the graph committee's, or another's.

    python -m benchmarks.training.processes --folder=/tmp/processes    # half an hour on two cores

Makes samples of 20 groups that touch, lets `launch.py` ask 100 questions about them, and looks into
/proc (Linux) ten times a second: the largest memory of each process's own, without pages of files
that the system may drop. Where everything runs on one machine, seconds say nothing of several.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

GROUPS = 20


def samples(path: Path, count: int, width: int) -> None:
    """Write ``count`` samples of ``width`` numbers and their groups."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(GROUPS, width)).astype(np.float32)
    labels = rng.integers(0, GROUPS, count)
    noise = rng.normal(size=(count, width)).astype(np.float32)
    np.savez(path, features=middles[labels] + 2.5 * noise, labels=labels.astype(np.int32))


def own_megabytes(process: subprocess.Popen[bytes]) -> float:
    """What a process holds that is no file's, 0 once it is gone."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = dict(line.split(":", 1) for line in lines)
    return float(found.get("RssAnon", "0 kB").split()[0]) / 1024


def measured(method: str, processes: int, data: Path, workdir: Path) -> dict[str, object]:
    """A run of ``method``: the largest memory of each of its processes in MB, seconds, accuracy."""
    command = [
        sys.executable,
        "launch.py",
        f"--config=configs/features.py:{method}",
        f"--config.data.path={data}",
        f"--config.num_clusters={GROUPS}",
        "--config.budget=100",
        "--config.rounds=2",
        "--config.report.map=False",
        "--config.progress=False",
        f"--workdir={workdir}",
    ]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        meeting = f"--coordinator=localhost:{free.getsockname()[1]}"
    start, running = time.perf_counter(), []
    for number in range(processes):
        place = [meeting, f"--processes={processes}", f"--process={number}"]
        with Path(f"{workdir}.{number}.txt").open("w") as log:
            own = [*command, *(place if processes > 1 else ())]
            running.append(subprocess.Popen(own, stdout=log, stderr=subprocess.STDOUT))
    peaks = [0.0] * processes
    while any(process.poll() is None for process in running):
        peaks = [max(a, own_megabytes(b)) for a, b in zip(peaks, running, strict=True)]
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    if any(process.returncode for process in running):
        raise SystemExit(f"a process failed: see {workdir}.*.txt")
    final = json.loads((workdir / "result.json").read_text())["final"]
    return {"method": method, "processes": processes, "megabytes": [round(a) for a in peaks]} | {
        "seconds": round(seconds),
        "accuracy": round(final["acc"], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for the samples and the runs")
    parser.add_argument("--count", type=int, default=2**18, help="samples")
    parser.add_argument("--width", type=int, default=256, help="numbers of a sample")
    parser.add_argument("--method", default="graph_committee")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    data = given.folder / f"{given.count}x{given.width}.npz"
    if not data.exists():
        samples(data, given.count, given.width)
    for processes in given.processes:
        workdir = given.folder / f"{data.stem}-{given.method}-{processes}-{int(time.time())}"
        print(json.dumps(measured(given.method, processes, data, workdir)), flush=True)


if __name__ == "__main__":
    main()
