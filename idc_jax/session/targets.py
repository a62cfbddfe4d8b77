"""Labels as scikit-learn's world writes them, some of them unknown."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d

from idc_jax.errors import UserError

# How scikit-learn's semi-supervised estimators write "unknown".
UNKNOWN = -1
_MISSING = {"NoneType", "NAType", "NaTType"}
_WANTED = "use class labels, with -1, None or NaN for unknown"


class Targets(NamedTuple):
    """What y says.

    Attributes:
      classes: ``[k]``, the labels that occur, in ascending order.
      codes: int32 ``[n]``, a position in ``classes``, or -1 where the label is unknown.
    """

    classes: np.ndarray
    codes: np.ndarray


def read_targets(y: Any, num_samples: int) -> Targets:
    """Read the labels ``y`` of ``num_samples`` samples.

    Unknown is -1, None, NaN or pandas' NA, or a masked entry; None in place of ``y`` says that all
    are.

    Raises:
      ValueError: what scikit-learn refuses: another shape, infinite values.
      UserError: another length, continuous values, labels of several kinds, or strings of which
        one is ``"-1"`` (what NumPy makes of -1 in a list of strings) or empty.
    """
    if y is None:
        return Targets(np.zeros(0, np.int64), np.full(num_samples, UNKNOWN, np.int32))
    if isinstance(y, np.ma.MaskedArray):
        y, unsaid = np.ma.getdata(y).astype(object), np.ma.getmaskarray(y)
        y[unsaid] = None
    y = column_or_1d(y, warn=True)
    if len(y) != num_samples:
        raise UserError(f"y has {len(y)} labels; it must have {num_samples}, one for each sample")
    if y.dtype.kind == "T":
        y = y.astype(object)
    assert_all_finite(y, allow_nan=True, input_name="y")
    unknown = _unknown(y)
    known = _of_one_kind(y[~unknown])
    codes = np.full(num_samples, UNKNOWN, np.int32)
    classes, codes[~unknown] = np.unique(known, return_inverse=True)
    return Targets(classes, codes)


def _unknown(y: np.ndarray) -> np.ndarray:
    """Bool ``[n]``, which labels are unknown."""
    if y.dtype.kind == "f":
        return np.isnan(y) | (y == UNKNOWN)
    if y.dtype.kind == "O":
        return np.fromiter(map(_says_nothing, y), bool, len(y))
    return y == UNKNOWN if y.dtype.kind == "i" else np.zeros(len(y), bool)


def _says_nothing(label: Any) -> bool:
    if isinstance(label, str):
        return False
    return type(label).__name__ in _MISSING or bool(label != label) or bool(label == UNKNOWN)


def _of_one_kind(known: np.ndarray) -> np.ndarray:
    """The ``known`` labels as an array of strings or of numbers."""
    if known.dtype.kind == "O" and len(known):
        named = np.fromiter((isinstance(label, str) for label in known), bool, len(known))
        if named.any() and not named.all():
            odd = known[~named][0]
            raise UserError(f"y holds {known[named][0]!r} and {odd!r}; use labels of one kind")
        known = known if named.all() else np.asarray(known.tolist())
    if known.dtype.kind in "OU":
        strange = [label for label in ("-1", "") if (known == label).any()]
        if strange:
            raise UserError(
                f"y holds the string {strange[0]!r}; use names, and None in an array of objects "
                "for unknown"
            )
    if known.dtype.kind == "f":
        broken = known[known != np.round(known)]
        if len(broken):
            # As scikit-learn begins such a line.
            raise UserError(f"Unknown label type: continuous, as {broken[0]}; {_WANTED}")
    elif known.dtype.kind not in "biuOU":
        raise UserError(f"Unknown label type: {known.dtype}; {_WANTED}")
    return known
