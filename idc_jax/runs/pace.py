"""How many questions come next: what is left of the budget, spread over the rounds left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from idc_jax.annotate.questions import QuestionKind
from idc_jax.outlook import seconds_per_answer


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

    def step(self, counts: Sequence[int]) -> Step | None:
        """The round after those that had ``counts`` questions; None where all are over."""
        number = len(counts) + 1
        own = [count for r, count in enumerate(counts, 1) if r not in self.brought]
        left, rounds_left = self.budget - sum(own), self.rounds - len(own)
        if number in self.brought:
            more = number + 1 in self.brought or (left > 0 and rounds_left > 0)
            return Step(self.brought[number], not more)
        if left <= 0 or rounds_left <= 0:
            return None
        return Step(math.ceil(left / rounds_left), rounds_left == 1)


def answers_within(minutes: float, seconds: Sequence[float], kind: QuestionKind) -> int:
    """How many answers, 1 at least, people give in so many ``minutes``.

    Args:
      minutes: above 0.
      seconds: that answers took so far; see :func:`~idc_jax.outlook.seconds_per_answer`.
      kind: of the questions.
    """
    return max(round(60 * minutes / seconds_per_answer(seconds, kind)), 1)


def make_pace(
    budget: int, rounds: int, brought: Mapping[int, int], counts: Sequence[int], *, raised: bool
) -> Pace:
    """The pace of a run that goes on after rounds of ``counts`` questions.

    Args:
      budget: see :class:`Pace`.
      rounds: likewise; where they are over, and the budget was ``raised``, one more takes the rest.
      brought: likewise.
      counts: of the rounds that are over.
      raised: whether the budget is not the one that these rounds were asked for.
    """
    own = [count for r, count in enumerate(counts, 1) if r not in brought]
    if raised and budget > sum(own):
        rounds = max(rounds, len(own) + 1)
    return Pace(budget, rounds, brought)
