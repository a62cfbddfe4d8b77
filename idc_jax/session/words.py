"""Answers as people write them in Python."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.naming import MAX_GROUP, folded, tidy, whole
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
    value = value.item() if isinstance(value, np.generic) else value
    word = folded(value) if isinstance(value, str) else None
    if value is None or word == "skip":
        return SKIP
    number = None if word is not None else whole(value)
    if kind == "pair":
        said = value if isinstance(value, bool) else word
        if said in _PAIRS:
            return _PAIRS[said]
        raise UserError(f"{key!r}: {value!r} is not an answer; use 'same', 'different' or None")
    if kind == "cluster":
        if word == "none":
            return NONE_OF_THESE
        clusters = [cluster for cluster in offered.tolist() if cluster >= 0]
        if number is not None and number in clusters:
            return number
        told = ", ".join(map(str, clusters))
        raise UserError(f"{key!r}: {value!r} was not offered; use {told}, 'none' or None")
    if kind == "grid":
        if isinstance(value, bool) or word in ("yes", "no", "none"):
            return int(offered[0]) if value is True or word == "yes" else NONE_OF_THESE
        if number is not None and number in offered.tolist():
            return number
        raise UserError(f"{key!r}: {value!r} is not an answer; use 'yes', 'no' or None")
    if isinstance(value, str) and tidy(value):
        return tidy(value)
    if number is not None and 0 <= number <= MAX_GROUP:
        return number
    raise UserError(
        f"{key!r}: {value!r} is not a group; use a name, a class id up to {MAX_GROUP} or None"
    )
