"""A simulated person who answers for twenty minutes, in questions of some kinds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from benchmarks.answers.course import agreement
from benchmarks.answers.tasks import Task, cifar20, digits, fashion
from idc_jax.annotate import exemplar
from idc_jax.annotate.annotator import all_said, collect
from idc_jax.annotate.questions import NONE_OF_THESE, QuestionKind, Questions
from idc_jax.annotate.store import Store
from idc_jax.annotate.volunteered import Hand
from idc_jax.asking import Budget
from idc_jax.methods import registry
from idc_jax.methods.committee.options import GraphCommitteeOptions
from idc_jax.methods.contract import Parts, Round
from idc_jax.outlook import SECONDS
from idc_jax.runs.interaction import Interaction

# Minutes after which it is learned, and those at which accuracy is told.
ROUNDS = (2, 4, 7, 10, 15, 20)
TOLD = (2, 4, 10, 20)
# Of all answers so many are wrong, of a grid each sample's by itself.
ERRORS = 0.02
# To say on the board where some strangers belong: what they are is typed.
MOVE_SECONDS = 3.0
# Room for so many answers, so that nothing compiles anew.
ROOM = 512


class Arm(NamedTuple):
    """What may be asked.

    Attributes:
      kinds: of the questions; () for whatever is worth most.
      moves: whether strangers in grids are put where they belong, on the board.
    """

    kinds: tuple[QuestionKind, ...]
    moves: bool = False


# Seconds that an answer takes: usual ones, and those of somebody who has to look up every name.
PEOPLE: dict[str, Mapping[QuestionKind, float]] = {
    "usual": SECONDS,
    "slow at names": {**SECONDS, "label": 12.0, "pair": 1.5},
}
ARMS = {
    "label": Arm(("label",)),
    "cluster": Arm(("cluster",)),
    "pair": Arm(("pair",)),
    "grid": Arm(("grid",)),
    "grid and board": Arm(("grid",), moves=True),
    "label,pair": Arm(("label", "pair")),
    "label,grid": Arm(("label", "grid")),
    "auto": Arm(()),
}


SAMPLES = 1500
SETS = {"digits": digits, "fashion": fashion, "cifar20": cifar20}


def task_of(name: str, seed: int) -> Task:
    """The part of a data set that ``seed`` draws."""
    return SETS[name]().part(seed, SAMPLES)


def begin(
    task: Task, kinds: Sequence[QuestionKind], seed: int, *, like: Interaction | None = None
) -> Interaction:
    """A committee that asks some ``kinds``, at the start or where another one is."""
    spec = registry.get("graph_committee")
    parts = Parts(
        None,  # type: ignore[arg-type]  # features need no network, and no views of it
        None,  # type: ignore[arg-type]
        jnp.asarray(task.inputs),
        num_clusters=task.clusters,
        begin=lambda key: {},
    )
    method = spec.build(parts, {"graph_committee": GraphCommitteeOptions()})
    found = Interaction(spec, method, len(task.labels), seed, kinds=kinds)
    if like is None:
        found.begin()
    else:
        found.go_on(like.context, like.state)
    return found


def play(
    task: Task, arm: Arm, seed: int, seconds: Mapping[QuestionKind, float]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each of the minutes that are told, with what was reached."""
    interaction = begin(task, arm.kinds or registry.get("graph_committee").asks, seed)
    person = exemplar(task.labels, seed=seed, error_rate=ERRORS, seconds=seconds)
    begun, asked = time.perf_counter(), dict.fromkeys(SECONDS, 0)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "answers.db") as store:
        for minutes in ROUNDS:
            left = 60 * minutes - _seconds(store)
            count = max(1, round(left / seconds["label"]))
            number = max(store.rounds(), default=0) + 1
            round_ = Round(number, count, store.num_answered(), ROOM, False, number)
            questions = interaction.ask(round_, Budget(count, seconds, by_time=True))
            if questions.count:
                questions = store.append(questions)
                collect(store, questions, person)
                asked[questions.kind] += questions.count
                if arm.moves and questions.kind == "grid":
                    _move_strangers(store, questions, task.labels)
            interaction.hear_again(all_said(store, person))
            last = max(store.rounds(), default=0)
            interaction.learn(round_._replace(number=max(last, number)))
            if minutes in TOLD:
                yield (
                    minutes,
                    {
                        **scores(interaction, task),
                        "asked": {kind: n for kind, n in asked.items() if n},
                        "spent": _seconds(store) / 60,
                        "seconds": time.perf_counter() - begun,
                    },
                )


def _seconds(store: Store) -> float:
    return sum(row.seconds for row in store.rows())


def _move_strangers(store: Store, questions: Questions, labels: np.ndarray) -> None:
    """Put those that were clicked on where they belong, one gesture for each group."""
    clicked = [row.position for row in store.live(questions.round) if row.choice == NONE_OF_THESE]
    strangers = questions.indices[clicked]
    for group in np.unique(labels[strangers]).tolist():
        there = strangers[labels[strangers] == group].tolist()
        with store.whole():
            name = f"{questions.round}x{group}"
            hand = Hand(store, name, "exemplar", MOVE_SECONDS)
            hand.say(there, group)
            hand.end()


def scores(interaction: Interaction, task: Task) -> dict[str, float]:
    """How well the prediction agrees with the labels."""
    return agreement(interaction.probabilities, task.labels)
