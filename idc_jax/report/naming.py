"""What the groups of a run are called, by what people said of their samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from idc_jax.report.answers import Round


def cluster_names(count: int) -> tuple[str, ...]:
    """What ``count`` groups are called that nobody has named."""
    return tuple(f"cluster {group}" for group in range(count))


def name_groups(
    group: np.ndarray, said: np.ndarray, class_names: Sequence[str], count: int
) -> tuple[str, ...]:
    """Call each group what people called its samples.

    A class names one group: all are matched so that as many answers as possible fit.

    Args:
      group: int ``[n]``, the group of each sample.
      said: int ``[n]``, the class that each was said to be of, negative for none.
      class_names: one name per class id; a class beyond them is called by its id.
      count: c, the number of groups.

    Returns:
      ``[c]`` names; "cluster 3" and so on for a group that no class fits.
    """
    known = np.flatnonzero(said >= 0)
    # Ids may be any numbers.
    labels, column = np.unique(said[known], return_inverse=True)
    votes = np.zeros((count, len(labels)))
    np.add.at(votes, (group[known], column), 1)
    names = list(cluster_names(count))
    for one, at in zip(*linear_sum_assignment(-votes), strict=True):
        if votes[one, at]:
            names[one] = _name_of_class(int(labels[at]), class_names)
    return tuple(names)


def said_classes(rounds: Sequence[Round], size: int) -> np.ndarray:
    """The class that each of ``size`` samples was last said to be of, -1 for none: int ``[n]``."""
    said = np.full(size, -1, np.int64)
    for questions, answers in rounds:
        if questions.kind == "label":
            choice = np.asarray(answers.choice)
            said[np.asarray(questions.indices)[choice >= 0]] = choice[choice >= 0]
    return said


def _name_of_class(label: int, class_names: Sequence[str]) -> str:
    """What a class is called; by its id where it has no name."""
    return class_names[label] if label < len(class_names) else f"class {label}"
