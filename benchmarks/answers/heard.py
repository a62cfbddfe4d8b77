"""What each method learns from labels, from pairs, and from both: 100 answers, asked of nobody.

    python -m benchmarks heard --method idc

Random samples of the features are labelled, or random pairs compared (half of them of one class),
by a session that has asked nothing: so the table tells how kinds of answers are learned, not how
questions are chosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.answers.course import agreement
from benchmarks.answers.tasks import cifar20
from benchmarks.harness.points import Family, Point, Row, Tables
from benchmarks.harness.tables import spread, table
from idc_jax import Session
from idc_jax.methods import registry

ANSWERS = 100
# How many labels, how many pairs.
KINDS = {
    "nothing": (0, 0),
    "labels": (ANSWERS, 0),
    "pairs": (0, ANSWERS),
    "half labels": (ANSWERS // 2, 0),
    "half labels, half pairs": (ANSWERS // 2, ANSWERS // 2),
}


def said(labels: np.ndarray, rng: np.random.Generator, named: int, compared: int) -> dict[Any, Any]:
    """``named`` labels of random samples and ``compared`` pairs, half of them of one class."""
    answers: dict[Any, Any] = {
        int(i): int(labels[i]) for i in rng.choice(len(labels), named, replace=False)
    }
    while len(answers) < named + compared:
        first = int(rng.integers(len(labels)))
        same = len(answers) % 2 == 0
        pool = np.flatnonzero((labels == labels[first]) == same)
        second = int(rng.choice(pool))
        if first != second:
            answers[first, second] = same
    return answers


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """Every method with every kind."""
    for seed, method, kind in itertools.product(seeds, registry.names(), KINDS):
        yield {"method": method, "kind": kind, "seed": seed}


def measure(point: Point) -> Row:
    """Answer, learn; ACC, NMI and ARI on 10,000 of CIFAR-20's features."""
    seed = point["seed"]
    task = cifar20().part(seed)
    session = Session(task.inputs, task.clusters, method=point["method"], seed=seed)
    session.answer(said(task.labels, np.random.default_rng(seed), *KINDS[point["kind"]]))
    return agreement(session.probabilities_, task.labels)


def tables(rows: list[Row]) -> Tables:
    """A line a method."""
    lines = []
    for method in registry.names():
        here = [row for row in rows if row["method"] == method]
        cells = [[row["acc"] for row in here if row["kind"] == kind] for kind in KINDS]
        lines.append([method, *(spread(found, ddof=0) for found in cells)])
    return {Path("heard.md"): table([f"{ANSWERS} answers", *KINDS], lines) + "\n"}


FAMILY = Family(("method", "kind", "seed"), points, measure, tables, seeds=(0, 1, 2))
