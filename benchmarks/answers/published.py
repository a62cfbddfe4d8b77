"""The three published methods whole, at the grid's budgets, as a user would run them.

Every method, in this project's settings and in its paper's, is swept over the budgets by
``launch.py``. One answer is one answer, whatever was asked: which cluster, same or different, what
is it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.answers.course import BUDGETS, Row
from benchmarks.answers.tasks import Task
from benchmarks.harness.launching import sweep

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
# On which data the methods are measured, and the single changes.
TASKS_OF_METHODS = ("digits", "cifar20_part")
PARTS_TASK, PARTS_BUDGETS = "cifar20_part", (5, 25)


def play(task: Task, name: str, seed: int) -> Iterator[tuple[int, Row]]:
    """Sweep one method over the budgets; yields each, per class, with what it reached."""
    method, changed = PARTS.get(name) or (METHODS[name], {})
    budgets = PARTS_BUDGETS if name in PARTS else BUDGETS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npz"
        np.savez(path, features=task.inputs, labels=task.labels)
        options = {
            "data.path": path,
            "num_clusters": task.clusters,
            "seed": seed,
            "annotator.error_rate": task.error_rate,
            **changed,
        }
        if method == "pcl_paper":
            # It asks in 26 rounds; in no more than there are answers.
            options["rounds"] = min(26, budgets[0] * task.classes)
        asked = ",".join(str(budget * task.classes) for budget in budgets)
        config = f"configs/features.py:{method}"
        rows = sweep(config, options, [f"budget={asked}"], Path(folder) / "sweep")
    for budget, row in zip(budgets, rows, strict=True):
        reached = {metric: float(row[f"final_{metric}"]) for metric in ("acc", "nmi", "ari")}
        yield budget, {**reached, "seconds": float(row["seconds"])}
