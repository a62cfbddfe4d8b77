"""The three published methods whole, at the grid's budgets, as a user would run them.

    python -m benchmarks.answers.published                     # what is missing
    python -m benchmarks.answers.published --tasks digits --seeds 0
    python -m benchmarks.answers.published --parts             # what each change is worth

Every method, in this project's settings and in its paper's, is swept over the budgets by
``launch.py``; its points stand in ``results/points.jsonl`` beside the grid's. One answer is one
answer, whatever was asked: which cluster, same or different, what is it.
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

WHOLE = "whole"
# Name -> the method as configs/features.py knows it.
METHODS = {
    "IDC": "idc",
    "IDC, published": "idc_paper",
    "DSAC": "dsac",
    "DSAC, published": "dsac_paper",
    "PCL": "pcl",
    "PCL, published": "pcl_paper",
}
# Where this project's settings leave the papers', one change at a time: left out of ours, and put
# into the paper's.
SPREAD = "answers spread over the graph"
PARTS: dict[str, tuple[str, dict[str, object]]] = {
    f"IDC without: {SPREAD}": ("idc", {"finetune.pseudo_labels": "threshold"}),
    "IDC without: rounds": ("idc", {"rounds": 1}),
    "IDC without: averaged features": ("idc", {"idc.hops": 0}),
    "IDC without: probable candidates": ("idc", {"idc.candidates": "cosine"}),
    "IDC without: faster training": (
        "idc",
        {"finetune.learning_rate": 1e-4, "finetune.min_steps": 0},
    ),
    f"IDC, published, with: {SPREAD}": ("idc_paper", {"finetune.pseudo_labels": "graph"}),
    "IDC, published, with: rounds": ("idc_paper", {"rounds": 5}),
    "IDC, published, with: averaged features": ("idc_paper", {"idc.hops": 3}),
    "IDC, published, with: faster training": (
        "idc_paper",
        {"finetune.learning_rate": 1e-3, "finetune.min_steps": 500},
    ),
    f"DSAC without: {SPREAD}": ("dsac", {"dsac.pseudo_labels": "representative"}),
    "DSAC without: growing groups": ("dsac", {"dsac.groups": "classes"}),
    "DSAC without: the input's space": ("dsac", {"dsac.space": "network", "init": "pretrain"}),
    f"DSAC, published, with: {SPREAD}": ("dsac_paper", {"dsac.pseudo_labels": "graph"}),
    "DSAC, published, with: growing groups": ("dsac_paper", {"dsac.groups": "growing"}),
    "DSAC, published, with: the input's space": (
        "dsac_paper",
        {"dsac.space": "input", "init": "random"},
    ),
    "PCL, published, with: attention from identity": (
        "pcl_paper",
        {"pcl.attention": "identity"},
    ),
}
# And what the methods learn from other selectors' questions.
PARTS |= {
    f"{name} with the picks of: {picks}": (METHODS[name], {"selector": picks})
    for name in ("IDC", "DSAC")
    for picks in ("random", "typiclust", "medoids", "max_herding")
}
PARTS_TASK, PARTS_BUDGETS = "cifar20_part", (5, 25)


def main() -> None:
    """Sweep what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=["digits", "cifar20_part"], choices=TASKS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--parts", action="store_true", help="single changes, on one data set")
    given = parser.parse_args()
    budgets = PARTS_BUDGETS if given.parts else BUDGETS
    tasks = [PARTS_TASK] if given.parts else given.tasks
    names = PARTS if given.parts else given.methods
    for seed, task, name in itertools.product(given.seeds, tasks, names):
        there = finished()
        missing = [b for b in budgets if Point(task, name, WHOLE, b, seed) not in there]
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
    method, changed = PARTS.get(name) or (METHODS[name], {})
    options = {
        "data.path": path,
        "num_clusters": task.clusters,
        "seed": seed,
        "annotator.error_rate": task.error_rate,
        "report.map": False,
        "progress": False,
        **changed,
    }
    if method == "pcl_paper":
        # It asks in 26 rounds; in no more than there are answers.
        options["rounds"] = min(26, budgets[0] * task.classes)
    command = [sys.executable, str(ROOT / "launch.py"), f"--config=configs/features.py:{method}"]
    command += [f"--config.{option}={value}" for option, value in options.items()]
    command += [f"--workdir={path.parent / 'sweep'}"]
    command += ["--sweep=budget=" + ",".join(str(budget * task.classes) for budget in budgets)]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        raise SystemExit(f"stopped: {' '.join(command)}")


if __name__ == "__main__":
    main()
