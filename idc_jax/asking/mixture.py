"""Which kind of question a round asks: the one that mends most errors per second of a person.

Whom to ask about is the method's choice, except for grids. What the answers mend among the samples
asked about is in the model's own probabilities (:mod:`idc_jax.asking.worth`). How far they carry to
others, next to an answer that names a group, is measured by kind: see ``CARRIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from idc_jax.annotate.questions import (
    NONE_OF_THESE,
    QuestionKind,
    Questions,
    Role,
    label_questions,
    some,
)
from idc_jax.asking import worth
from idc_jax.asking.clusters import ask_clusters
from idc_jax.asking.grids import ask_grids
from idc_jax.asking.known import Known
from idc_jax.asking.pairs import ask_pairs
from idc_jax.outlook import WANTED, number_of_groups

CARRIES: Mapping[QuestionKind, float] = {"label": 1.0, "cluster": 1.0, "pair": 0.75, "grid": 0.2}
"""What an error corrected by an answer of each kind is worth beside one that a name corrects.

Measured by ``python -m benchmarks carries``: answers that name nothing say little of other samples,
and those of a grid are about samples that are alike.
"""
# Answers for each output from which a prediction tells what is worth asking.
_OPENING = 2
# Of a round that names, so much is for samples of which a grid or an offer told what they are not.
_STRANGERS = 0.5


class Budget(NamedTuple):
    """What a round may cost.

    Attributes:
      count: questions of the method's usual kind.
      seconds: that an answer of each kind takes.
      by_time: whether other kinds may be as many as take as long; else they are as many.
    """

    count: int  # type: ignore[assignment]  # tuple.count is of no use here
    seconds: Mapping[QuestionKind, float]
    by_time: bool = False

    def of(self, kind: QuestionKind, usual: QuestionKind) -> int:
        """How many questions of a ``kind`` it holds, 1 at least."""
        if not self.by_time:
            return self.count
        return max(1, round(self.count * self.seconds[usual] / self.seconds[kind]))


def ask(
    known: Known,
    kinds: Sequence[QuestionKind],
    own: Callable[[int], Questions],
    usual: QuestionKind,
    budget: Budget,
) -> Questions:
    """The questions of a round, all of one kind.

    The usual kind opens, if it is among the ``kinds``, as long as predictions say little; names are
    asked, if they may be, as long as a group seems to have none; and the usual kind is asked where
    no other can be, as no grids before a group has a name.

    Args:
      known: what there is to ask by.
      kinds: that may be asked.
      own: ``(count) -> questions``: at most so many of the method's own, of the ``usual`` kind.
      usual: the method's own kind.
      budget: what it may cost.
    """
    mine = own(budget.count)
    if not mine.count or tuple(kinds) == (usual,) or (usual in kinds and _is_opening(known)):
        return mine
    if "label" in kinds and _has_unnamed(known):
        return _label(known, mine, usual)._replace(round=mine.round)
    drafts = {kind: _draft(known, kind, mine, usual, budget.count) for kind in kinds}
    rates = {
        kind: CARRIES[kind] * float(worth_of(known, draft).mean()) / budget.seconds[kind]
        for kind, draft in drafts.items()
        if draft.count
    }
    if not rates:
        return mine
    best = max(rates, key=lambda kind: rates[kind])
    count = budget.of(best, usual)
    if count > budget.count and best != "grid":
        mine = own(count)
    return _first(_draft(known, best, mine, usual, count), count)._replace(round=mine.round)


def _is_opening(known: Known) -> bool:
    """Whether answers are too few for a prediction to tell what is worth asking."""
    return int(known.evidence.asked.sum()) < _OPENING * known.probabilities.shape[1]


def _has_unnamed(known: Known) -> bool:
    """Whether a group seems to have no name yet, by the names that were given so far.

    Only a name finds it: all other kinds compare with groups that are known.
    """
    evidence, clusters = known.evidence, known.probabilities.shape[1]
    named = known.slots[known.named]
    said = evidence.group[np.isin(evidence.group, named) & (evidence.role != Role.CHECK)]
    counts = np.unique(said, return_counts=True)[1]
    belief = number_of_groups(counts, clusters, spread=WANTED, limit=len(evidence.group))
    return belief.estimate.value - len(counts) >= 1


def worth_of(known: Known, questions: Questions) -> np.ndarray:
    """The errors that each of ``questions`` is expected to mend, ``[m]``."""
    probs = known.probabilities[questions.indices.reshape(questions.count, -1)[:, 0]]
    if questions.kind == "label":
        return worth.of_naming(probs)
    if questions.kind == "cluster":
        return worth.of_offering(probs, questions.candidates)
    return questions.values


def _draft(
    known: Known, kind: QuestionKind, mine: Questions, usual: QuestionKind, count: int
) -> Questions:
    """Questions of a ``kind``, about the samples that ``mine`` are about where it is no grid."""
    if kind == "grid":
        return ask_grids(known, count)
    if kind == "label":
        return _label(known, mine, usual)
    if kind == usual:
        return mine
    return {"pair": ask_pairs, "cluster": ask_clusters}[kind](known, mine.indices)


def _label(known: Known, mine: Questions, usual: QuestionKind) -> Questions:
    """What is this? First of those that were said not to be what they were taken for."""
    evidence = known.evidence
    left = np.flatnonzero((evidence.group == NONE_OF_THESE) & (evidence.closure.label < 0))
    doubt = worth.of_naming(known.probabilities[left])
    left = left[np.argsort(-doubt, kind="stable")[: round(_STRANGERS * mine.count)]]
    if not len(left) and usual == "label":
        return mine
    samples = np.concatenate([left, mine.indices])[: mine.count]
    return label_questions(0, samples, worth.of_naming(known.probabilities[samples]))


def _first(questions: Questions, count: int) -> Questions:
    return some(questions, np.arange(min(count, questions.count)))
