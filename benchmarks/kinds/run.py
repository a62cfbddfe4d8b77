"""Accuracy against a person's minutes: each kind of question alone, mixtures, and the board.

    python -m benchmarks.kinds.run                            # all that is missing
    python -m benchmarks.kinds.run --tasks digits --seeds 0   # some of it
    python -m benchmarks.kinds.run --report                   # the tables of docs/annotate.md

Every finished point is a line of ``results/points.jsonl``; what is there is not repeated, so a run
that was stopped goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.answers.tasks import Task, cifar20, digits, fashion
from benchmarks.kinds.course import ARMS, PEOPLE, TOLD, play

POINTS = Path(__file__).resolve().parent / "results" / "points.jsonl"
SEEDS = tuple(range(5))
# Minutes of which the tables tell.
SHOWN = (4, 10, 20)
SAMPLES = {"digits": 1500, "fashion": 1500, "cifar20": 1500}
_SETS = {"digits": digits, "fashion": fashion, "cifar20": cifar20}

Row = dict[str, Any]


def task_of(name: str, seed: int) -> Task:
    """The part of a data set that ``seed`` draws."""
    return _SETS[name]().part(seed, SAMPLES[name])


def rows() -> list[Row]:
    """The points that are there."""
    if not POINTS.exists():
        return []
    return [json.loads(line) for line in POINTS.read_text().splitlines()]


def keep(row: Row) -> None:
    """Append a finished point."""
    POINTS.parent.mkdir(exist_ok=True)
    short = json.loads(json.dumps(row), parse_float=lambda text: round(float(text), 4))
    with POINTS.open("a") as file:
        file.write(json.dumps(short) + "\n")
    told = (
        row["task"],
        row["person"],
        row["arm"],
        row["seed"],
        row["minutes"],
        f"{row['acc']:.3f}",
        row["asked"],
    )
    print(*told, f"{row['seconds']:.1f} s", flush=True)


def table(found: list[Row], person: str) -> str:
    """Mean accuracy and its standard error, by what was asked; in brackets how many seeds."""
    heads = [f"{task}, {minutes} min" for task in SAMPLES for minutes in SHOWN]
    lines = [f"| {person} | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
    for arm in ARMS:
        cells = [
            _mean(_accuracies(found, task, person, arm, minutes))
            for task in SAMPLES
            for minutes in SHOWN
        ]
        if any(cells):
            lines.append(f"| {arm} | " + " | ".join(cell or "–" for cell in cells) + " |")
    return "\n".join(lines)


def _accuracies(found: list[Row], *course: Any) -> list[float]:
    names = ("task", "person", "arm", "minutes")
    return [row["acc"] for row in found if tuple(row[name] for name in names) == course]


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f} (1)"
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {error:.3f} ({len(values)})"


def main() -> None:
    """Run what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(SAMPLES), choices=SAMPLES)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--people", nargs="*", default=list(PEOPLE), choices=PEOPLE)
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--report", action="store_true", help="only print the tables")
    given = parser.parse_args()
    if given.report:
        print("\n\n".join(table(rows(), person) for person in given.people))
        return
    names = ("task", "person", "arm", "seed", "minutes")
    there = {tuple(row[name] for name in names) for row in rows()}
    wanted = itertools.product(given.seeds, given.people, given.tasks, given.arms)
    for seed, person, task, arm in wanted:
        course = (task, person, arm, seed)
        if all((*course, minutes) in there for minutes in TOLD):
            continue
        for minutes, row in play(task_of(task, seed), ARMS[arm], seed, PEOPLE[person]):
            if (*course, minutes) not in there:
                keep(dict(zip(names, (*course, minutes), strict=True)) | row)


if __name__ == "__main__":
    main()
