"""How many questions come next: what is left of the budget, spread over the rounds left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from idc_jax.annotate.questions import QuestionKind
from idc_jax.annotate.store import Store
from idc_jax.annotate.volunteered import by_question
from idc_jax.outlook import SECONDS, seconds_per_answer


class Step(NamedTuple):
    """What comes next.

    Attributes:
      budget: questions wanted.
      last: whether nothing follows.
    """

    budget: int
    last: bool


class Pace(NamedTuple):
    """What is asked round by round.

    Attributes:
      budget: questions in all, beside those that were brought from elsewhere.
      rounds: in how many rounds.
      brought: the rounds that were brought, each with its number of answers.
    """

    budget: int
    rounds: int
    brought: Mapping[int, int]

    @property
    def total(self) -> int:
        """Questions in all, those that were brought among them."""
        return self.budget + sum(self.brought.values())

    def step(self, counts: Sequence[float]) -> Step | None:
        """The round after those that took ``counts`` of the budget; None where all are over."""
        number = len(counts) + 1
        own = [count for r, count in enumerate(counts, 1) if r not in self.brought]
        left, rounds_left = self.budget - sum(own), self.rounds - len(own)
        if number in self.brought:
            more = number + 1 in self.brought or (left >= 0.5 and rounds_left > 0)
            return Step(self.brought[number], not more)
        # Less than half of an answer is left by the rounding of what others cost.
        if left < 0.5 or rounds_left <= 0:
            return None
        return Step(math.ceil(left / rounds_left), rounds_left == 1)


def paces(store: Store) -> dict[QuestionKind, float]:
    """The seconds that an answer of each kind takes, by those that ``store`` holds.

    See :func:`~idc_jax.outlook.seconds_per_answer`; gestures answer many questions at once.
    """
    kinds = store.kinds()
    taken: dict[QuestionKind, list[float]] = {kind: [] for kind in SECONDS}
    for row in by_question(store.rows()):
        if row.undoes is None:
            taken[kinds[row.round]].append(row.seconds)
    return {kind: seconds_per_answer(seconds, kind) for kind, seconds in taken.items()}


def answers_within(minutes: float, seconds: float) -> int:
    """How many answers, 1 at least, people give in ``minutes``, at so many ``seconds`` each."""
    return max(round(60 * minutes / seconds), 1)


def make_pace(
    budget: int, rounds: int, brought: Mapping[int, int], counts: Sequence[float], *, raised: bool
) -> Pace:
    """The pace of a run that goes on after rounds of ``counts`` questions.

    Args:
      budget: see :class:`Pace`.
      rounds: likewise; where they are over, and the budget was ``raised``, one more takes the rest.
      brought: likewise.
      counts: what the rounds that are over took of the budget.
      raised: whether the budget is not the one that these rounds were asked for.
    """
    own = [count for r, count in enumerate(counts, 1) if r not in brought]
    if raised and budget > sum(own):
        rounds = max(rounds, len(own) + 1)
    return Pace(budget, rounds, brought)
