"""Accuracy against a person's minutes: each kind of question alone, mixtures, and the board.

python -m benchmarks kinds --task digits --arm label pair --seeds 0
python -m benchmarks kinds --report                 # the tables of docs/annotate.md
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.harness.points import Family, Point, Row, Tables
from benchmarks.harness.tables import DOCS, table
from benchmarks.kinds.course import ARMS, PEOPLE, SETS, play, task_of

# Minutes of which the tables tell.
SHOWN = (4, 10, 20)
FIELDS = ("task", "person", "arm", "seed")


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """Every arm of every person on every data set."""
    for seed, person, task, arm in itertools.product(seeds, PEOPLE, SETS, ARMS):
        yield {"task": task, "person": person, "arm": arm, "seed": seed}


def measure(point: Point) -> Row:
    """Play; what was reached after so many minutes."""
    seed, arm = point["seed"], ARMS[point["arm"]]
    course = play(task_of(point["task"], seed), arm, seed, PEOPLE[point["person"]])
    minutes, rows = zip(*course, strict=True)
    return {"minutes": list(minutes), **{name: [row[name] for row in rows] for name in rows[0]}}


def tables(rows: list[Row]) -> Tables:
    """A table for each person."""
    return {DOCS / "annotate.md": {"kinds": "\n\n".join(_person(rows, name) for name in PEOPLE)}}


def _person(rows: list[Row], person: str) -> str:
    """Mean accuracy and its standard error, by what was asked; in brackets how many seeds."""
    columns, lines = list(itertools.product(SETS, SHOWN)), []
    for arm in ARMS:
        here = [row for row in rows if row["person"] == person and row["arm"] == arm]
        cells = [
            _mean([row["acc"][row["minutes"].index(at)] for row in here if row["task"] == task])
            for task, at in columns
        ]
        lines += [[arm, *cells]] if here else []
    return table([person, *(f"{task}, {minutes} min" for task, minutes in columns)], lines)


def _mean(values: list[float]) -> str:
    if not values:
        return "–"
    error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{error} ({len(values)})"


FAMILY = Family(FIELDS, points, measure, tables, seeds=tuple(range(5)))
