"""A plain constrained k-means, the baseline that pair answers have to beat.

PCK-means (Basu et al., "Active Semi-Supervision for Pairwise Constrained Clustering"): samples
that must be linked move as one, and a violated cannot-link costs ``penalty`` times the mean
squared distance to a centre. The starts are the centres of an ordinary k-means.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from idc_jax.annotate.closure import Closure


def constrained_kmeans(
    x: np.ndarray,
    closure: Closure,
    num_clusters: int,
    *,
    seed: int,
    penalty: float = 1.0,
    iterations: int = 20,
) -> np.ndarray:
    """Cluster ``x`` ``[n, d]`` under a closure of pair answers; returns int ``[n]``."""
    names, members = np.unique(closure.component, return_inverse=True)
    sizes = np.bincount(members).astype(np.float64)
    means = np.zeros((len(names), x.shape[1]))
    np.add.at(means, members, x)
    means /= sizes[:, None]
    apart = _cannot_lists(closure, names)
    start = KMeans(num_clusters, n_init=3, random_state=seed).fit(x)
    centers, assigned = start.cluster_centers_, None
    for _ in range(iterations):
        distances = _squared(means, centers) * sizes[:, None]
        fee = penalty * distances.min(1).sum() / len(x)
        previous, assigned = assigned, _assign(distances, apart, assigned, fee)
        if previous is not None and np.array_equal(previous, assigned):
            break
        weights = np.eye(num_clusters)[assigned] * sizes[:, None]
        totals = weights.sum(0)
        centers = np.where(
            totals[:, None] > 0, weights.T @ means / np.maximum(totals, 1)[:, None], centers
        )
    assert assigned is not None
    return assigned[members]


def _assign(
    distances: np.ndarray, apart: dict[int, list[int]], previous: np.ndarray | None, fee: float
) -> np.ndarray:
    """One sweep: each component in turn takes the cluster of least cost, given the others'."""
    assigned = distances.argmin(1) if previous is None else previous.copy()
    free = np.ones(len(assigned), bool)
    free[list(apart)] = False
    assigned[free] = distances[free].argmin(1)
    for component, others in apart.items():
        crowd = np.bincount(assigned[others], minlength=distances.shape[1])
        assigned[component] = int((distances[component] + fee * crowd).argmin())
    return assigned


def _cannot_lists(closure: Closure, names: np.ndarray) -> dict[int, list[int]]:
    lists: dict[int, list[int]] = {}
    for first, second in np.searchsorted(names, closure.cannot).tolist():
        lists.setdefault(first, []).append(second)
        lists.setdefault(second, []).append(first)
    return lists


def _squared(x: np.ndarray, centers: np.ndarray) -> np.ndarray:
    inner = x @ centers.T
    return np.maximum((x**2).sum(1)[:, None] - 2 * inner + (centers**2).sum(1), 0)
