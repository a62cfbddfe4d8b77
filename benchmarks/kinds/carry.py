"""How far answers of each kind carry to samples that nobody was asked about.

    python -m benchmarks carries --seeds 0 1

After four and after ten minutes of names, five minutes more are spent on one kind of question: what
accuracy that brings, over the errors that were expected to be mended among the samples asked about
(`idc_jax.asking.worth`). Beside the same of names it is `idc_jax.asking.CARRIES`.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.harness.points import Family, Point, Row, Tables
from benchmarks.harness.tables import table
from benchmarks.kinds.course import ERRORS, ROOM, SETS, begin, scores, task_of
from idc_jax.annotate import exemplar
from idc_jax.annotate.annotator import all_said, collect
from idc_jax.annotate.questions import QuestionKind
from idc_jax.annotate.store import Store
from idc_jax.asking import Budget
from idc_jax.asking.mixture import worth_of
from idc_jax.methods.contract import Round
from idc_jax.outlook import SECONDS
from idc_jax.runs.interaction import Interaction

AFTER, SPENT = (4, 10), 5
KINDS: tuple[QuestionKind, ...] = ("label", "pair", "cluster", "grid")


def answers(minutes: float) -> int:
    """Names that are given in so many minutes."""
    return round(60 * minutes / SECONDS["label"])


def spend(
    interaction: Interaction, store: Store, labels: np.ndarray, minutes: float, seed: int
) -> float:
    """Ask for so many minutes and learn; returns what was expected to be mended."""
    person = exemplar(labels, seed=seed, error_rate=ERRORS)
    count, number = answers(minutes), len(store.rounds()) + 1
    round_ = Round(number, count, store.num_answered(), ROOM, False, number)
    questions = interaction.ask(round_, Budget(count, SECONDS, by_time=True))
    mended = float(worth_of(interaction.known(), questions).sum()) if number > 1 else 0.0
    collect(store, store.append(questions), person)
    interaction.hear_again(all_said(store, person))
    interaction.learn(round_)
    return mended


def branch(task: str, seed: int) -> list[tuple[QuestionKind, float, float]]:
    """For each kind the accuracy that it brought and what it was expected to mend, in samples."""
    data, found = task_of(task, seed), []
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "names.db") as names:
        trunk = begin(data, ("label",), seed)
        for before, after in itertools.pairwise((0, 2, *AFTER)):
            spend(trunk, names, data.labels, after - before, seed)
            if after not in AFTER:
                continue
            start = scores(trunk, data)["acc"]
            for kind in KINDS:
                twig = begin(data, (kind,), seed, like=trunk)
                with Store(names.path) as store:
                    store.move(Path(folder) / f"{after}{kind}.db")
                    twig.hear_again(all_said(store, exemplar(data.labels, seed=seed)))
                    mended = spend(twig, store, data.labels, SPENT, seed)
                gained = (scores(twig, data)["acc"] - start) * len(data.labels)
                found.append((kind, gained, mended))
    return found


def measure(point: Point) -> Row:
    """For each kind its branches' accuracies and expectations, added up."""
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for kind, gained, mended in branch(point["task"], point["seed"]):
        sums[kind] += (gained, mended)
    return {kind: total.tolist() for kind, total in sums.items()}


def tables(rows: list[Row]) -> Tables:
    """What each kind carries, and beside names."""
    each = {kind: np.divide(*np.sum([row[kind] for row in rows], axis=0)) for kind in KINDS}
    lines = [[kind, f"{each[kind]:.2f}", f"{each[kind] / each['label']:.2f}"] for kind in KINDS]
    heads = ["kind", "for each expected", "beside names"]
    return {Path("carries.md"): table(heads, lines) + "\n"}


FAMILY = Family(
    fields=("task", "seed"),
    points=lambda seeds: ({"task": task, "seed": seed} for seed in seeds for task in SETS),
    measure=measure,
    tables=tables,
    seeds=(0, 1),
)
