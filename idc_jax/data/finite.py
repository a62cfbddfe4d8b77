"""Numbers that are none, looked for on the host: nothing is uploaded for it."""

import numpy as np

# Rows looked at together: a part of the memory that the array itself takes.
_ROWS = 8192


def bad_rows(features: np.ndarray) -> np.ndarray:
    """Which rows of ``features`` ``[n, d]`` hold NaN or an infinity: int64 ``[m]``, ascending."""
    found = [
        start + np.flatnonzero(~np.isfinite(features[start : start + _ROWS]).all(axis=1))
        for start in range(0, len(features), _ROWS)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.int64)
