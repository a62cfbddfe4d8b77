"""Accuracy against answers: selectors x learners x budgets x seeds, on several data sets.

    python -m benchmarks answers --task digits --seeds 0 1
    python -m benchmarks answers --task wordnet mnist --learner graph_committee
    python -m benchmarks answers --report

A point is a course, from the first answer to the last budget. "regression" and "spreading" are what
an hour of scripting gives: they work on features averaged over ten neighbours three times.
"graph_committee" is the method, with its own picks ("value") or with a selector's. "whole" are the
published methods by their configs, the rest other people's packages.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache

import jax

from benchmarks.answers import course, published, report, rivals
from benchmarks.answers.choosing import MORE
from benchmarks.answers.reporting import REPORTING
from benchmarks.answers.tasks import TASKS
from benchmarks.harness.points import Family, Point, Row

SETS = TASKS | MORE | REPORTING
FIELDS = ("task", "learner", "selector", "seed")
# What stands for the selectors on sets that do not choose.
FEW = ("value", "random", "medoids", "typiclust", "idc")


def courses(task: str) -> Iterator[report.Setting]:
    """Learner and selector of what is played on a set."""
    yield report.OURS
    yield from itertools.product(report.BASELINES, course.SELECTORS if task in TASKS else FEW)
    if task in report.MEAN_OVER:
        yield from rivals.RIVALS
        yield from ((name, "value") for name in course.ABLATIONS)
    if task in published.TASKS_OF_METHODS:
        yield from ((name, published.WHOLE) for name in published.METHODS)
    if task == published.PARTS_TASK:
        yield from ((name, published.WHOLE) for name in published.PARTS)


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """All courses that the tables tell of."""
    for seed, task in itertools.product(seeds, SETS):
        for learner, selector in courses(task):
            yield dict(zip(FIELDS, (task, learner, selector, seed), strict=True))


@lru_cache(maxsize=1)
def _stage(task: str, seed: int) -> course.Stage:
    jax.clear_caches()  # sizes differ between data sets; a process has only so many maps
    return course.Stage(SETS[task](seed), seed)


def measure(point: Point) -> Row:
    """Play a course; what was reached ``at`` so many answers per class."""
    learner, selector, seed = point["learner"], point["selector"], point["seed"]
    if selector == published.WHOLE:
        reached = published.play(SETS[point["task"]](seed), learner, seed)
    elif (learner, selector) in rivals.RIVALS:
        stage = _stage(point["task"], seed)
        reached = rivals.play(stage, rivals.RIVALS[learner, selector]())
    else:
        reached = _stage(point["task"], seed).course(learner, selector)
    budgets, rows = zip(*reached, strict=True)
    return {"at": list(budgets), **{name: [row[name] for row in rows] for name in rows[0]}}


FAMILY = Family(
    fields=FIELDS,
    points=points,
    measure=measure,
    tables=report.tables,
    shares=("task", "seed"),
    seeds=tuple(range(5)),
)
