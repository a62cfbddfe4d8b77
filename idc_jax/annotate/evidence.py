"""Evidence: all that people said about the samples, whatever the question, the round, the method.

Arrays, folded from questions and answers. Methods learn from them and hold no answers themselves,
so correcting an answer, asking more, or trying another method is to learn again from evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from idc_jax.annotate.closure import CLUSTERS, Closure, Links
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    UNASKED,
    Answers,
    Questions,
    some,
)
from idc_jax.errors import UserError

# Numbers kept for each family of clusters: there are no more clusters than that.
CLUSTERS_ELSEWHERE = 1 << 20


class Evidence(NamedTuple):
    """What was said about n samples.

    A group is a number: a class by its id, or a cluster that people were shown by ``CLUSTERS`` and
    its number. The latest answer about a sample stands.

    Attributes:
      group: int32 ``[n]``, the group that each sample was said to be of, or a
        :class:`~idc_jax.annotate.questions.Code`.
      role: int8 ``[n]``, the :class:`~idc_jax.annotate.questions.Role` for which it was asked.
      round: int32 ``[n]``, the round in which it was, 0 where it was not.
      weight: float32 ``[n]``, how far the answer is believed, up to 1.
      excluded: int32 ``[e, 2]``, a sample and a group that it was said not to be of.
      pairs: int32 ``[p, 3]``, two samples that were asked about together, and ``SAME``,
        ``DIFFERENT`` or a code.
      pair_round: int32 ``[p]``, the round in which they were.
      closure: what follows from all of it.
    """

    group: np.ndarray
    role: np.ndarray
    round: np.ndarray
    weight: np.ndarray
    excluded: np.ndarray
    pairs: np.ndarray
    pair_round: np.ndarray
    closure: Closure

    @property
    def asked(self) -> np.ndarray:
        """Bool ``[n]``, the samples that somebody was asked about one at a time."""
        return self.group != UNASKED


def says_something(evidence: Evidence, since: int) -> bool:
    """Whether any answer from round ``since`` on was more than a skip."""
    told = evidence.group[evidence.round >= since] != SKIP
    return bool(told.any() or (evidence.pairs[evidence.pair_round >= since, 2] != SKIP).any())


class Ledger:
    """Evidence that grows round by round; each answer is entered once."""

    def __init__(self, num_samples: int, *, shown: bool = False) -> None:
        """Begin with nothing said.

        Args:
          num_samples: n.
          shown: read "belongs with this cluster" as a link with the sample that stood for the
            cluster, and "none of these" as a link that cannot be: for methods whose clusters are
            others than those that people were shown.
        """
        self._shown = shown
        self._group = np.full(num_samples, UNASKED, np.int32)
        self._role = np.zeros(num_samples, np.int8)
        self._round = np.zeros(num_samples, np.int32)
        self._weight = np.ones(num_samples, np.float32)
        self._excluded: list[np.ndarray] = []
        self._pairs: list[np.ndarray] = []
        self._pair_round: list[np.ndarray] = []
        self._links = Links(num_samples)
        self._folded: Evidence | None = None

    def add(self, questions: Questions, answers: Answers, *, elsewhere: int = 0) -> None:
        """Enter the ``answers`` to ``questions``.

        Args:
          questions: of a round.
          answers: to them.
          elsewhere: 0 where the clusters shown were those of the method that learns; other
            clusters, which are told apart by this number, are read as if ``shown``.

        Raises:
          UserError: a class id that is not a class.
        """
        self._folded = None
        said = np.asarray(answers.choice, np.int32)
        if questions.kind == "pair":
            self._add_pairs(questions, said)
            return
        if said.max(initial=-1) >= CLUSTERS:
            raise UserError(
                f"round {questions.round}: {said.max()} is not a group; it must be below {CLUSTERS}"
            )
        cluster = questions.kind == "cluster"
        first = CLUSTERS + elsewhere * CLUSTERS_ELSEWHERE
        group = np.where(cluster & (said >= 0), first + said, said).astype(np.int32)
        if questions.kind == "grid":
            questions, answers, group = self._without_moot(questions, answers, group)
        about = questions.indices
        self._group[about], self._round[about] = group, questions.round
        self._role[about], self._weight[about] = questions.roles, answers.weight
        self._links.add_groups(about[group >= 0], group[group >= 0])
        if cluster:
            self._add_offered(questions, said, first)

    def evidence(self) -> Evidence:
        """All that was entered so far, folded once however often it is asked for."""
        if self._folded is None:
            self._folded = self._fold()
        return self._folded

    def _fold(self) -> Evidence:
        return Evidence(
            group=self._group.copy(),
            role=self._role.copy(),
            round=self._round.copy(),
            weight=self._weight.copy(),
            excluded=_rows(self._excluded, 2),
            pairs=_rows(self._pairs, 3),
            pair_round=np.concatenate([np.zeros(0, np.int32), *self._pair_round]),
            closure=self._links.closure(),
        )

    def _without_moot(
        self, questions: Questions, answers: Answers, group: np.ndarray
    ) -> tuple[Questions, Answers, np.ndarray]:
        """A grid's answers but for "not of this group" where another group is known already.

        What was ruled out is entered all the same.
        """
        offered = questions.candidates[:, 0]
        refused = group == NONE_OF_THESE
        self._excluded.append(np.stack([questions.indices, offered], axis=1)[refused])
        before = self._group[questions.indices]
        kept = ~(refused & (before >= 0) & (before != offered))
        return some(questions, kept), some(answers, kept), group[kept]

    def _add_pairs(self, questions: Questions, said: np.ndarray) -> None:
        self._pairs.append(np.concatenate([questions.indices, said[:, None]], axis=1))
        self._pair_round.append(np.full(len(said), questions.round, np.int32))
        self._links.add_pairs(questions.indices, said)

    def _add_offered(self, questions: Questions, said: np.ndarray, first: int) -> None:
        """What a cluster question says beside the cluster that was chosen."""
        refused = said == NONE_OF_THESE
        offered = questions.candidates[refused]
        sample = np.repeat(questions.indices[refused], offered.shape[1])
        kept = offered.reshape(-1) >= 0
        ruled_out = np.stack([sample, offered.reshape(-1)], axis=1)[kept].astype(np.int32)
        self._excluded.append(ruled_out + np.array([0, first], np.int32))
        if self._shown or first != CLUSTERS:
            chosen = np.stack([questions.indices, said], axis=1)[said >= 0]
            self._link_shown(questions.exemplars, chosen, SAME)
            self._link_shown(questions.exemplars, ruled_out, DIFFERENT)

    def _link_shown(self, exemplars: np.ndarray, rows: np.ndarray, said: int) -> None:
        pairs = np.stack([rows[:, 0], exemplars[rows[:, 1]]], axis=1)
        pairs = pairs[(pairs[:, 1] >= 0) & (pairs[:, 0] != pairs[:, 1])]
        self._links.add_pairs(pairs, np.full(len(pairs), said))


def gather(
    num_samples: int, rounds: Iterable[tuple[Questions, Answers]], *, shown: bool = False
) -> Evidence:
    """The evidence of some rounds; see :class:`Ledger`."""
    ledger = Ledger(num_samples, shown=shown)
    for questions, answers in rounds:
        ledger.add(questions, answers)
    return ledger.evidence()


def _rows(parts: list[np.ndarray], width: int) -> np.ndarray:
    return np.concatenate([np.zeros((0, width), np.int32), *parts]).astype(np.int32)
