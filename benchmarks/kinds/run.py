"""Accuracy against a person's minutes: each kind of question alone, mixtures, and the board.

    python -m benchmarks.kinds.run                            # all that is missing
    python -m benchmarks.kinds.run --tasks digits --seeds 0   # some of it
    python -m benchmarks.kinds.run --report                   # the tables of docs/outlook.md

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


def table(found: list[Row], person: str, minutes: int) -> str:
    """Mean accuracy and its standard error, by what was asked."""
    names = list(SAMPLES)
    lines = [
        f"| {person}, {minutes} minutes | " + " | ".join(names) + " |",
        "| --- |" + " --- |" * len(names),
    ]
    for arm in ARMS:
        cells = []
        for task in names:
            here = [
                row["acc"]
                for row in found
                if (row["task"], row["person"], row["arm"], row["minutes"])
                == (task, person, arm, minutes)
            ]
            cells.append(_mean(here))
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    if len(values) < 2:
        return "–"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


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
        tables = (table(rows(), who, minutes) for who in given.people for minutes in TOLD)
        print("\n\n".join(tables))
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
