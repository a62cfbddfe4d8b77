"""Accuracy against answers: selectors x learners x budgets x seeds, on several data sets.

    python -m benchmarks.answers.run                         # the whole grid, on sets that choose
    python -m benchmarks.answers.run --tasks digits --seeds 0 1
    python -m benchmarks.answers.run --tasks wordnet mnist   # sets that report, by name
    python -m benchmarks.answers.run --report                # tables and figure of what is there

Every finished point is a line of ``results/points.jsonl``; what is there is not repeated, so a
run that was stopped goes on. "regression" and "spreading" are what an hour of scripting gives: they
work on features averaged over ten neighbours three times. "graph_committee" is the method, with
its own picks ("value") or with a selector's. The published methods whole are run by
``benchmarks.answers.published``.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax

from benchmarks.answers.choosing import MORE
from benchmarks.answers.course import ABLATIONS, BUDGETS, LEARNERS, SELECTORS, Stage
from benchmarks.answers.reporting import REPORTING
from benchmarks.answers.tasks import TASKS
from idc_jax.errors import UserError

RESULTS = Path(__file__).resolve().parent / "results"
POINTS = RESULTS / "points.jsonl"
SEEDS = tuple(range(5))
SETS = TASKS | MORE | REPORTING


class Point(NamedTuple):
    """One result: where, how, with how many answers per class."""

    task: str
    learner: str
    selector: str
    per_class: int
    seed: int


def finished() -> dict[Point, dict[str, Any]]:
    """The points that are there already."""
    if not POINTS.exists():
        return {}
    rows = [json.loads(line) for line in POINTS.read_text().splitlines()]
    return {Point(*(row[name] for name in Point._fields)): row for row in rows}


def keep(point: Point, row: dict[str, Any]) -> None:
    """Append a finished point."""
    RESULTS.mkdir(exist_ok=True)
    rounded = json.loads(json.dumps({**point._asdict(), **row}), parse_float=_short)
    with POINTS.open("a") as file:
        file.write(json.dumps(rounded) + "\n")
    print(*point, f"{row['acc']:.4f}", f"{row['seconds']:.1f} s", flush=True)


def _short(number: str) -> float:
    return round(float(number), 5)


def courses(given: argparse.Namespace) -> list[tuple[str, str]]:
    """Learners with selectors; what is left out of ours is tried with our picks alone."""
    pairs = itertools.product(given.learners, given.selectors)
    return [(a, b) for a, b in pairs if a not in ABLATIONS or b == "value"]


def play(task: str, seed: int, missing: list[tuple[str, str]]) -> None:
    """Run courses on one data set."""
    try:
        found = SETS[task](seed)
    except UserError as error:
        raise SystemExit(str(error)) from None
    stage = Stage(found, seed)
    there = finished()
    for learner, selector in missing:
        for budget, row in stage.course(learner, selector):
            point = Point(task, learner, selector, budget, seed)
            if point not in there:
                keep(point, row)


def main() -> None:
    """Run what is missing, or write the tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=SETS)
    parser.add_argument("--learners", nargs="*", default=list(LEARNERS), choices=LEARNERS)
    parser.add_argument("--selectors", nargs="*", default=list(SELECTORS), choices=SELECTORS)
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--report", action="store_true", help="only write tables and figure")
    given = parser.parse_args()
    if given.report:
        from benchmarks.answers import report

        report.write(list(finished().values()))
        return
    for seed, task in itertools.product(given.seeds, given.tasks):
        there = finished()
        missing = [
            pair
            for pair in courses(given)
            if any(Point(task, *pair, budget, seed) not in there for budget in BUDGETS)
        ]
        if missing:
            play(task, seed, missing)
            jax.clear_caches()  # sizes differ between data sets; a process has only so many maps


if __name__ == "__main__":
    main()
