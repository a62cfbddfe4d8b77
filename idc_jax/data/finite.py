"""Numbers that cannot be reckoned with, looked for on the host: nothing is uploaded for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from idc_jax import hosts
from idc_jax.errors import UserError
from idc_jax.ops.arrays import GREATEST, LEAST

# Rows looked at together: a part of the memory that the array itself takes.
_ROWS = 8192
_ROWS_NAMED = 5


def bad_rows(features: np.ndarray) -> np.ndarray:
    """Which rows of ``features`` ``[n, d]`` hold NaN or an infinity: int64 ``[m]``, ascending."""
    least, greatest = row_ranges(features)
    return np.flatnonzero(~np.isfinite(least) | ~np.isfinite(greatest))


def row_ranges(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest number of each row of ``features`` ``[n, d]``: two of ``[n]``."""
    least, greatest = np.empty((2, len(features)), features.dtype)
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        features[rows].min(axis=1, out=least[rows])
        features[rows].max(axis=1, out=greatest[rows])
    return least, greatest


def checked_features(
    features: Any, what: str, *, smallest: float = LEAST
) -> tuple[np.ndarray, list[str]]:
    """``features`` as float32 ``[n, d]``, and what a person should know of them, a line each.

    Args:
      features: an array.
      what: where they come from, to begin an error with.
      smallest: their largest number must be so large, if it is not zero.

    Raises:
      UserError: they are not numbers ``[n, d]``, or none that can be computed with.
    """
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "fiub":
        raise UserError(
            f"{what}: features must be numbers [n, d] with n and d at least 1, "
            f"got {features.dtype} {list(features.shape)}"
        )
    if np.ma.is_masked(features):
        rows = np.flatnonzero(np.ma.getmaskarray(features).any(axis=1))
        raise _refused(what, "masked features", rows, len(features), "fill in or drop these rows")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(features, np.float32)
    # Of what is read where it is looked at, each of several processes looks at its share.
    shared = isinstance(features, np.memmap) and hosts.count() > 1
    own = hosts.share(len(found)) if shared else slice(0, len(found))
    least, greatest = row_ranges(found[own])
    _check_ranges(what, features, least, greatest, own.start)
    largest = max(-float(least.min(initial=0)), float(greatest.max(initial=0)))
    if 0 < largest < smallest and not shared:
        raise UserError(
            f"{what}: features are {largest:.3g} at most, too small to tell distances: divide "
            "all by their standard deviation"
        )
    return found, _notes(least, greatest)


def _check_ranges(
    what: str, features: np.ndarray, least: np.ndarray, greatest: np.ndarray, start: int
) -> None:
    """Refuse rows of ``features`` whose ranges, as float32, cannot be computed with.

    The ranges are those of the rows from ``start`` on.
    """
    count = len(features)
    bad = start + np.flatnonzero(~np.isfinite(least) | ~np.isfinite(greatest))
    given = np.asarray(features[bad], np.float64)
    if not np.isfinite(given).all():
        raise _refused(what, "NaN or infinite features", bad, count, "repair or drop these rows")
    sizes = np.maximum(np.abs(least), np.abs(greatest))
    large = start + np.flatnonzero(sizes > GREATEST)
    if len(large):
        value = float(np.abs(np.asarray(features[large[0]], np.float64)).max())
        told = f"features as large as {value:.3g}"
        advice = "divide all by their standard deviation"
        if len(large) < count:
            advice = "is that a missing value's mark? Repair or drop these rows"
        raise _refused(what, told, large, count, advice)


def _notes(least: np.ndarray, greatest: np.ndarray) -> list[str]:
    """What is odd about rows of these ranges, though it can be reckoned with."""
    count = len(least)
    if count > 1 and least.min() == greatest.max():
        return [f"all features are {least[0]:g}: nothing tells samples apart"]
    constant = least == greatest
    others = ~constant
    if not constant.any() or not others.any():
        return []
    # A row of one number alone, beyond what any other row has, stands for something missing.
    outside = constant & ((least < least[others].min()) | (greatest > greatest[others].max()))
    rows = np.flatnonzero(outside)
    if not len(rows):
        return []
    value = f"{least[rows[0]]:g}"
    return [f"{_counted(rows, count)} hold nothing but {value}: is that a missing value's mark?"]


def _refused(what: str, told: str, rows: np.ndarray, count: int, advice: str) -> UserError:
    return UserError(f"{what}: {told} in {_counted(rows, count)}: {advice}")


def _counted(rows: np.ndarray, count: int) -> str:
    shown = ", ".join(map(str, rows[:_ROWS_NAMED])) + (", ..." if len(rows) > _ROWS_NAMED else "")
    return f"{len(rows)} of {count} rows ({shown})"
