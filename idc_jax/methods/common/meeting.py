"""Which clusters that people were shown are which classes that they named."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from idc_jax.annotate.closure import CLUSTERS, Closure
from idc_jax.annotate.evidence import CLUSTERS_ELSEWHERE, Evidence

# Two groups are one where their samples are predicted so much alike (a cosine).
_ALIKE = 0.5


def meet(evidence: Evidence, probabilities: np.ndarray) -> dict[int, int]:
    """Clusters by the class, or the cluster of another run, that each turned out to be.

    A sample that was said to be of both tells it; else the predictions of the samples said to be
    of either do. Clusters of one run are different groups, so no two of them become one.

    Args:
      evidence: everything said.
      probabilities: ``[n, c]``, the prediction.
    """
    same = _told(evidence.closure)
    group = renamed(evidence.group, same)
    names = np.unique(group[group >= 0])
    runs = np.where(names < CLUSTERS, -1, (names - CLUSTERS) // CLUSTERS_ELSEWHERE)
    if len(np.unique(runs)) < 2:
        return same
    means = _means(group, names, np.asarray(probabilities))
    known = np.flatnonzero(runs == runs.min())
    for run in np.unique(runs)[1:]:
        rows = np.flatnonzero(runs == run)
        # A class that some cluster of this run is known to be is no other's.
        taken = [same[c] for c in same if (c - CLUSTERS) // CLUSTERS_ELSEWHERE == run]
        free = known[~np.isin(names[known], taken)]
        alike = means[rows] @ means[free].T
        for row, column in zip(*linear_sum_assignment(-alike), strict=True):
            if alike[row, column] > _ALIKE:
                same[int(names[rows[row]])] = int(names[free[column]])
        known = np.concatenate([known, rows[~np.isin(names[rows], list(same))]])
    return same


def renamed(groups: np.ndarray, same: dict[int, int]) -> np.ndarray:
    """``groups`` ``[m]``, each by the name that :func:`meet` found for it."""
    if not same:
        return groups
    return np.asarray([same.get(name, name) for name in groups.tolist()], np.int32)


def _told(closure: Closure) -> dict[int, int]:
    both = (closure.label >= 0) & (closure.cluster >= 0)
    return dict(zip(closure.cluster[both].tolist(), closure.label[both].tolist(), strict=True))


def _means(group: np.ndarray, names: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What the samples of each group are predicted to be more than others are, unit rows."""
    usual = probabilities.mean(axis=0)
    rows = np.stack([probabilities[group == name].mean(axis=0) - usual for name in names])
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
