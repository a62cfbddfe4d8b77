"""A run of a method in memory: it asks, the test says what it likes, it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from idc_jax.annotate.evidence import Ledger
from idc_jax.annotate.questions import Questions, answered, label_questions, pair_questions
from idc_jax.methods.contract import Method, Round, embeddings_of


class Game:
    """A run so far.

    Args:
      method: that asks and learns.
      num_samples: n.
      total: questions of the whole run.
      seed: of the beginning.
      shown: as of :class:`idc_jax.annotate.evidence.Ledger`.
    """

    def __init__(
        self, method: Method, num_samples: int, total: int, *, seed: int = 0, shown: bool = False
    ) -> None:
        self.method, self.total, self.number, self.asked = method, total, 0, 0
        self.num_samples = num_samples
        self.ledger = Ledger(num_samples, shown=shown)
        self.context, self.state = method.init(jax.random.key(seed))
        self.info: dict[str, float] = {}

    def ask(self, budget: int, *, seed: int | None = None) -> Questions:
        """What the next round asks."""
        number = self.number + 1
        key = jax.random.key(number if seed is None else seed)
        round_ = Round(number, budget, self.asked, self.total, False, number)
        evidence = self.ledger.evidence()
        return self.method.ask(key, self.context, self.state, evidence, round_)

    def say(self, questions: Questions, choice: Any, *, last: bool = False) -> dict[str, float]:
        """Answer ``questions`` with ``choice`` ``[m]``, and learn."""
        self.ledger.add(questions, answered(questions, np.asarray(choice)))
        return self.learn(questions, last=last)

    def learn(self, questions: Questions, *, last: bool = False) -> dict[str, float]:
        """Learn from what was said."""
        self.number += 1
        round_ = Round(self.number, questions.count, self.asked, self.total, last, self.number)
        self.asked += questions.count
        self.state, self.info = self.method.learn(
            jax.random.key(100 + self.number),
            self.context,
            self.state,
            self.ledger.evidence(),
            round_,
        )
        return self.info

    @property
    def probabilities(self) -> np.ndarray:
        """``[n, c]``."""
        return np.asarray(self.state.probabilities)

    @property
    def embeddings(self) -> np.ndarray:
        """``[n, d]``."""
        return np.asarray(embeddings_of(self.context, self.state))

    def next_labels(self, indices: Sequence[int]) -> Questions:
        """ "What is this?" about ``indices`` in the next round."""
        return label_questions(self.number + 1, np.asarray(indices), np.zeros(len(indices)))

    def next_pairs(self, pairs: Sequence[Sequence[int]]) -> Questions:
        """ "Same or different?" about ``pairs`` in the next round."""
        return pair_questions(self.number + 1, np.asarray(pairs), np.zeros(len(pairs)))

    def next_clusters(
        self, indices: Sequence[int], candidates: Sequence[Sequence[int]], exemplars: Sequence[int]
    ) -> Questions:
        """ "Which of these clusters?" about ``indices`` in the next round."""
        return self.next_labels(indices)._replace(
            kind="cluster",
            candidates=np.asarray(candidates, np.int32),
            exemplars=np.asarray(exemplars, np.int32),
            members=np.zeros((len(exemplars), 0), np.int32),
        )
