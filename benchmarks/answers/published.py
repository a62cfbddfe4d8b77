"""The three published methods whole, at the grid's budgets, as a user would run them.

    python -m benchmarks.answers.published                     # what is missing
    python -m benchmarks.answers.published --tasks digits --seeds 0

Every method, with each of its settings, is swept over the budgets by ``launch.py``; its points
stand in ``results/points.jsonl`` beside the grid's. The same question is asked everywhere ("one
answer"), whatever its kind: which cluster, same or different, what is it.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.answers.course import BUDGETS
from benchmarks.answers.run import Point, finished, keep
from benchmarks.answers.tasks import ROOT, TASKS, Task
from benchmarks.idc_results import PUBLISHED

WHOLE = "whole"
# Name -> the method, and what its settings are beside those of configs/features.py.
METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "IDC": ("idc", {}),
    "IDC, published": ("idc", PUBLISHED),
    "DSAC": ("dsac", {}),
    "DSAC, published": (
        "dsac",
        {
            "init": "pretrain",
            "dsac.space": "network",
            "dsac.groups": "classes",
            "dsac.pseudo_labels": "representative",
            "dsac.pseudo_start": 50,
            "dsac.normalized_compactness": False,
        },
    ),
    "PCL": ("pcl", {}),
}


def main() -> None:
    """Sweep what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=["digits", "cifar20_part"], choices=TASKS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    for seed, task, name in itertools.product(given.seeds, given.tasks, given.methods):
        there = finished()
        missing = [b for b in BUDGETS if Point(task, name, WHOLE, b, seed) not in there]
        if missing:
            sweep(task, name, missing, seed)


def sweep(task_name: str, name: str, budgets: list[int], seed: int) -> None:
    """Run one method on one data set, and keep what it reached."""
    task = TASKS[task_name](seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npz"
        np.savez(path, features=task.inputs, labels=task.labels)
        run(task, name, budgets, seed, path)
        with (Path(folder) / "sweep" / "sweep.csv").open() as file:
            rows = list(csv.DictReader(file))
    for budget, row in zip(budgets, rows, strict=True):
        if row["status"] != "done":
            print(f"{name} on {task_name}, {budget} per class: {row['reason']}", file=sys.stderr)
            continue
        reached = {metric: float(row[f"final_{metric}"]) for metric in ("acc", "nmi", "ari")}
        seconds = float(row["seconds"])
        asked = int(row["asked"])
        point = Point(task_name, name, WHOLE, budget, seed)
        keep(point, {**reached, "asked": asked, "seconds": seconds})


def run(task: Task, name: str, budgets: list[int], seed: int, path: Path) -> None:
    """Let ``launch.py`` sweep the budgets; a point that fails is in its table."""
    method, settings = METHODS[name]
    options = {
        "data.path": path,
        "num_clusters": task.clusters,
        "seed": seed,
        "annotator.error_rate": task.error_rate,
        "report.map": False,
        "progress": False,
        **settings,
    }
    command = [sys.executable, str(ROOT / "launch.py"), f"--config=configs/features.py:{method}"]
    command += [f"--config.{option}={value}" for option, value in options.items()]
    command += [f"--workdir={path.parent / 'sweep'}"]
    command += ["--sweep=budget=" + ",".join(str(budget * task.classes) for budget in budgets)]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        raise SystemExit(f"stopped: {' '.join(command)}")


if __name__ == "__main__":
    main()
