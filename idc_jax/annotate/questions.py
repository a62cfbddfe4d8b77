"""What is asked and what comes back: the types that methods and annotators share.

Plain NumPy on purpose: questions are frozen, stored, sent to a page, and outlive the process
that asked them.
"""

import enum
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from idc_jax.outlook import QuestionKind as QuestionKind


class Code(enum.IntEnum):
    """What stands where no group is named; the only such numbers in the project."""

    # None of the clusters that were offered.
    NONE_OF_THESE = -1
    # Somebody was asked, and could not or would not say.
    SKIP = -2
    # Nobody has been asked.
    UNASKED = -3


class Role(enum.IntEnum):
    """What a sample was asked about for."""

    PLAIN = 0
    # Speaks for its cluster.
    REPRESENTATIVE = 1
    # Far from its cluster's centre: speaks for itself alone.
    DIFFICULT = 2
    # Nobody asked: somebody picked it out and said what it is.
    VOLUNTEERED = 3
    # Is thought to be of a group, and shown with others of it to find out which are not.
    CHECK = 4


NONE_OF_THESE = Code.NONE_OF_THESE
"""The choice that rules out all that were offered."""
SKIP = Code.SKIP
"""The choice that says nothing: cannot tell."""
UNASKED = Code.UNASKED
DIFFERENT = 0
"""The choice for a pair that does not belong together."""
SAME = 1
"""The choice for a pair that does."""


class Questions(NamedTuple):
    """The frozen questions of one round.

    Attributes:
      kind: ``"cluster"`` (which of these clusters?), ``"pair"`` (same or different?),
        ``"label"`` (what is this?) or ``"grid"`` (is it of this group?; several are shown at once).
      round: the round that asks, from 1.
      indices: int32 ``[m]``, the samples asked about; ``[m, 2]`` for pairs.
      candidates: int32 ``[m, t]``, the cluster ids offered, best first, -1 where there are
        fewer; ``[m, 1]`` for grids, the class id of the group; ``[m, 0]`` for the other kinds.
      exemplars: int32 ``[c]``, for each cluster id the sample that stands for it, -1 for none;
        ``[0]`` where the kind shows no clusters.
      members: int32 ``[c, r]``, a few more samples of each cluster, -1 where there are fewer.
      values: float32 ``[m]``, what the selector thought each question worth.
      roles: int8 ``[m]``, the :class:`Role` of each.
    """

    kind: QuestionKind
    round: int
    indices: np.ndarray
    candidates: np.ndarray
    exemplars: np.ndarray
    members: np.ndarray
    values: np.ndarray
    roles: np.ndarray

    @property
    def count(self) -> int:  # type: ignore[override]  # tuple.count is of no use here
        """How many questions there are."""
        return int(self.indices.shape[0])

    @property
    def volunteered(self) -> bool:
        """Whether nobody asked: people picked the samples out themselves."""
        return self.count > 0 and bool((self.roles == Role.VOLUNTEERED).all())

    @property
    def here(self) -> np.ndarray:
        """Bool ``[m]``, those about samples that the data still have."""
        return np.all(self.indices.reshape(self.count, -1) >= 0, axis=1)


class Answers(NamedTuple):
    """The answers to one round's questions, aligned with them row by row.

    Attributes:
      kind: as in :class:`Questions`.
      round: as in :class:`Questions`.
      indices: int32 ``[m]`` or ``[m, 2]``.
      candidates: int32 ``[m, t]``.
      choice: int32 ``[m]``. Cluster questions: the chosen cluster id or ``NONE_OF_THESE``.
        Pairs: ``SAME`` or ``DIFFERENT``. Labels: a class id >= 0. Grids: the group's class id or
        ``NONE_OF_THESE``. Any kind: ``SKIP``.
      weight: float32 ``[m]``, how far each is believed: the share of the people asked who said it.
    """

    kind: QuestionKind
    round: int
    indices: np.ndarray
    candidates: np.ndarray
    choice: np.ndarray
    weight: np.ndarray


_Rows = TypeVar("_Rows", Questions, Answers)


def some(rows: _Rows, kept: Sequence[int] | np.ndarray) -> _Rows:
    """The ``kept`` of questions or of answers: their positions, or bool ``[m]``."""
    names = {"indices", "candidates", "values", "roles", "choice", "weight"} & set(rows._fields)
    kept = np.asarray(kept, bool if np.asarray(kept).dtype == bool else np.int64)
    return rows._replace(**{name: getattr(rows, name)[kept] for name in names})


def label_questions(
    round_: int, indices: np.ndarray, values: np.ndarray, roles: np.ndarray | None = None
) -> Questions:
    """Build "what is this?" questions about ``indices`` ``[m]``."""
    return _plain("label", round_, indices, values, roles)


def pair_questions(round_: int, pairs: np.ndarray, values: np.ndarray) -> Questions:
    """Build "same or different?" questions about ``pairs`` ``[m, 2]``."""
    return _plain("pair", round_, pairs, values, None)


def grid_questions(
    round_: int, indices: np.ndarray, groups: np.ndarray, values: np.ndarray, roles: np.ndarray
) -> Questions:
    """Build "is it of this group?" questions about ``indices`` ``[m]`` and ``groups`` ``[m]``."""
    questions = _plain("grid", round_, indices, values, roles)
    return questions._replace(candidates=np.asarray(groups, np.int32).reshape(-1, 1))


# The most samples of a grid that are shown at once.
_MOST_SHOWN = 24


def screens(questions: Questions) -> list[np.ndarray]:
    """The questions that are shown at once: int positions ``[k]`` of each screen, in their order.

    Those of a grid that ask about one group, evenly where they are too many; others one by one.
    """
    if questions.kind != "grid":
        return list(np.arange(questions.count)[:, None])
    group = questions.candidates[:, 0]
    runs = np.split(np.arange(questions.count), np.flatnonzero(np.diff(group)) + 1)
    return [
        part
        for run in runs
        if len(run)
        for part in np.array_split(run, -(-len(run) // _MOST_SHOWN))
    ]


def plain_roles(count: int) -> np.ndarray:
    """The roles of ``count`` questions that have none."""
    return np.full(count, Role.PLAIN, np.int8)


def answered(questions: Questions, choice: np.ndarray, weight: np.ndarray | None = None) -> Answers:
    """The answers ``choice`` ``[m]`` to ``questions``, believed in full without a ``weight``."""
    return Answers(
        kind=questions.kind,
        round=questions.round,
        indices=questions.indices,
        candidates=questions.candidates,
        choice=np.asarray(choice, np.int32),
        weight=np.ones(questions.count, np.float32) if weight is None else weight,
    )


def _plain(
    kind: QuestionKind,
    round_: int,
    indices: np.ndarray,
    values: np.ndarray,
    roles: np.ndarray | None,
) -> Questions:
    count = len(indices)
    return Questions(
        kind=kind,
        round=round_,
        indices=np.asarray(indices, np.int32),
        candidates=np.zeros((count, 0), np.int32),
        exemplars=np.zeros((0,), np.int32),
        members=np.zeros((0, 0), np.int32),
        values=np.asarray(values, np.float32),
        roles=plain_roles(count) if roles is None else np.asarray(roles, np.int8),
    )
