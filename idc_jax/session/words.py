"""Answers as people write them in Python."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.questions import DIFFERENT, NONE_OF_THESE, SAME, SKIP, QuestionKind
from idc_jax.errors import UserError

_PAIRS = {"same": SAME, True: SAME, "different": DIFFERENT, False: DIFFERENT}


class Said(NamedTuple):
    """An answer.

    Attributes:
      kind: of the question.
      round: that asked it; 0 where nobody did.
      position: which of its questions.
      samples: one, or two of a pair.
      choice: as in :class:`~idc_jax.annotate.questions.Answers`, or the name of a group.
    """

    kind: QuestionKind
    round: int
    position: int
    samples: tuple[int, ...]
    choice: int | str


def read_answer(kind: QuestionKind, key: Any, value: Any, offered: np.ndarray) -> int | str:
    """The choice that ``value`` means, or the name of a group.

    Args:
      kind: of the question.
      key: what it is about, for messages.
      value: see :meth:`idc_jax.session.Session.answer`.
      offered: int ``[t]``, the clusters that were.

    Raises:
      UserError: no answer to such a question.
    """
    if value is None:
        return SKIP
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if kind == "pair":
        if isinstance(value, str | bool) and value in _PAIRS:
            return _PAIRS[value]
        raise UserError(f"{key!r}: {value!r} is no answer; 'same', 'different' or None would do")
    if kind == "cluster":
        if value == "none":
            return NONE_OF_THESE
        clusters = [cluster for cluster in offered.tolist() if cluster >= 0]
        if whole and value in clusters:
            return int(value)
        told = ", ".join(map(str, clusters))
        raise UserError(f"{key!r}: {value!r} was not offered; {told}, 'none' or None would do")
    if isinstance(value, str) and value.strip():
        return value.strip()
    if whole and value >= 0:
        return int(value)
    raise UserError(f"{key!r}: {value!r} is no group; a name, a class id or None would do")
