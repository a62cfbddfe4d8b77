"""What a question is worth: the errors that its answer is expected to mend.

As long as nothing is said, a sample is taken for the likeliest, which is wrong with a chance of
``1 − max p``. An answer that names its group leaves no chance of error; one that says whether it is
of one group leaves that of the likeliest among the others, where it is not. All are expectations
under the model's own probabilities, so they compare kinds of questions about one prediction.
"""

from __future__ import annotations

import numpy as np


def of_naming(probabilities: np.ndarray) -> np.ndarray:
    """Of "what is this?": ``1 − max p``, ``[m]`` from rows ``[m, c]``."""
    return 1.0 - probabilities.max(axis=1)


def of_offering(probabilities: np.ndarray, offered: np.ndarray) -> np.ndarray:
    """Of "which of these?", ``[m]``.

    Args:
      probabilities: ``[m, c]``.
      offered: int ``[m, t]``, the outputs that may be answered, -1 where there are fewer.
    """
    others = probabilities.copy()
    rows, places = np.nonzero(offered >= 0)
    others[rows, offered[rows, places]] = 0.0
    # "None of these" leaves the likeliest of the others.
    return 1.0 - probabilities.max(axis=1) - others.sum(axis=1) + others.max(axis=1)


def of_checking(probabilities: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Of "is it of this group?": ``p_g + max p_{c≠g} − max p``, ``[m]``.

    Args:
      probabilities: ``[m, c]``.
      output: int ``[m]``, the group g that each is compared with.
    """
    return of_offering(probabilities, output[:, None])
