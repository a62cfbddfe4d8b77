"""How good a clustering is against labels, and whether it is collapsing without them.

Outside the array core: scikit-learn and SciPy are the references here, so there is nothing to
re-implement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as sk_metrics

from idc_jax.errors import UserError

CONFIDENT = 0.99
# A cluster below this part of its even share n / c is as good as dead.
LIVE_SHARE = 0.01


class Matching(NamedTuple):
    """The one-to-one matching of clusters and classes that agrees with most samples.

    Attributes:
      class_of_cluster: int32 ``[c]``, -1 for a cluster left over.
      cluster_of_class: int32 ``[k]``, -1 for a class left over.
    """

    class_of_cluster: np.ndarray
    cluster_of_class: np.ndarray


def clustering_metrics(
    predictions: np.ndarray, labels: np.ndarray, num_clusters: int
) -> dict[str, float]:
    """Score cluster ids against classes.

    Args:
      predictions: int ``[n]``, cluster ids in ``0..num_clusters-1``; ids may be missing.
      labels: int ``[n]``, class ids >= 0; ids may be missing.
      num_clusters: the number of clusters c.

    Returns:
      ``acc``, the accuracy under the best one-to-one matching (Hungarian method); ``nmi``,
      mutual information normalised by the arithmetic mean of the entropies; ``ari``, Hubert and
      Arabie's adjusted Rand index; ``fmi``, Fowlkes and Mallows' index.

    Raises:
      UserError: if the arrays are empty, differ in length, or hold ids out of range.
    """
    table = contingency(predictions, labels, num_clusters)
    rows, columns = _assign(table)
    return {
        "acc": float(_square(table)[rows, columns].sum() / table.sum()),
        "nmi": float(sk_metrics.normalized_mutual_info_score(labels, predictions)),
        "ari": float(sk_metrics.adjusted_rand_score(labels, predictions)),
        "fmi": float(sk_metrics.fowlkes_mallows_score(labels, predictions)),
    }


def match_clusters(predictions: np.ndarray, labels: np.ndarray, num_clusters: int) -> Matching:
    """Match clusters with classes by the Hungarian method.

    Args:
      predictions: int ``[n]``, cluster ids in ``0..num_clusters-1``.
      labels: int ``[n]``, class ids >= 0.
      num_clusters: the number of clusters c.

    Returns:
      The maps both ways. With unequal numbers, the surplus maps to -1; where both are equal,
      clusters and classes without a sample are matched with each other.

    Raises:
      UserError: as :func:`clustering_metrics`.
    """
    table = contingency(predictions, labels, num_clusters)
    clusters, classes = table.shape
    class_of_cluster = np.full(clusters, -1, np.int32)
    cluster_of_class = np.full(classes, -1, np.int32)
    for row, column in zip(*_assign(table), strict=True):
        if row < clusters and column < classes:
            class_of_cluster[row] = column
            cluster_of_class[column] = row
    return Matching(class_of_cluster, cluster_of_class)


def contingency(predictions: np.ndarray, labels: np.ndarray, num_clusters: int) -> np.ndarray:
    """Count samples by cluster and class.

    Args:
      predictions: int ``[n]``, cluster ids in ``0..num_clusters-1``.
      labels: int ``[n]``, class ids >= 0.
      num_clusters: the number of clusters c.

    Returns:
      int64 ``[c, k]`` with k the largest class id plus one.

    Raises:
      UserError: as :func:`clustering_metrics`.
    """
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.shape != labels.shape or predictions.ndim != 1 or not predictions.size:
        raise UserError(
            "predictions and labels must be two equally long, non-empty vectors; "
            f"got shapes {predictions.shape} and {labels.shape}"
        )
    if predictions.min() < 0 or predictions.max() >= num_clusters or labels.min() < 0:
        raise UserError(
            f"cluster ids must lie in 0..{num_clusters - 1} and class ids start at 0; got clusters "
            f"{predictions.min()}..{predictions.max()} and classes from {labels.min()}"
        )
    table = np.zeros((num_clusters, int(labels.max()) + 1), np.int64)
    np.add.at(table, (predictions, labels), 1)
    return table


def cluster_health(probabilities: np.ndarray) -> dict[str, float]:
    """Watch for collapse, which needs no labels.

    Args:
      probabilities: ``[n, c]``, rows summing to one.

    Returns:
      ``live_clusters``, how many clusters hold at least one percent of their even share of
      samples; ``assignment_entropy``, that of the cluster sizes in nats, and
      ``assignment_entropy_normalised``, the same over log c (1 for equal sizes, and for c = 1);
      ``confident_share``, the part of samples whose largest probability exceeds 0.99.
    """
    probabilities = np.asarray(probabilities)
    n, c = probabilities.shape
    sizes = np.bincount(probabilities.argmax(1), minlength=c)
    shares = sizes[sizes > 0] / n
    entropy = max(float(-np.sum(shares * np.log(shares))), 0.0)
    return {
        "live_clusters": float(np.sum((sizes > 0) & (sizes >= LIVE_SHARE * n / c))),
        "assignment_entropy": entropy,
        "assignment_entropy_normalised": entropy / float(np.log(c)) if c > 1 else 1.0,
        "confident_share": float(np.mean(probabilities.max(1) > CONFIDENT)),
    }


def collapse_warning(health: dict[str, float], num_clusters: int) -> str | None:
    """Put dead clusters into one line.

    Args:
      health: what :func:`cluster_health` returned.
      num_clusters: the number of clusters c.

    Returns:
      The line, or None where every cluster is alive.
    """
    live = int(health["live_clusters"])
    if live >= num_clusters:
        return None
    return (
        f"collapse: only {live} of {num_clusters} clusters are alive (assignment entropy "
        f"{health['assignment_entropy_normalised']:.2f} of its maximum, "
        f"{health['confident_share']:.0%} of samples confident)"
    )


def _square(table: np.ndarray) -> np.ndarray:
    side = max(table.shape)
    return np.pad(table, [(0, side - size) for size in table.shape])


def _assign(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the padded table; padding never shifts an id."""
    return linear_sum_assignment(_square(table), maximize=True)
