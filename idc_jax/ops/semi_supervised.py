"""k-means that some known labels steer."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays
from idc_jax.ops.inputs import count, floats, ints, key, takes
from idc_jax.ops.kmeans import KMeans, check_num_clusters, cluster_sums, lloyd, plus_plus
from idc_jax.ops.shapes import Array, Int, Num, PRNGKeyArray


@takes(
    key=key,
    x=floats("n d"),
    num_clusters=count(1),
    labels=ints("n"),
    restarts=count(1),
    max_iterations=count(1),
    used=count(1),
)
def semi_supervised_kmeans(
    key: PRNGKeyArray,
    x: Num[Array, "n d"],
    num_clusters: int,
    labels: Int[Array, "n"],
    *,
    restarts: int = 10,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    used: int | None = None,
) -> KMeans:
    """k-means in which labelled points stay in the cluster of their label.

    Cluster ``k`` starts at the mean of the points labelled ``k``; the clusters that no label
    names are drawn by D² sampling; then Lloyd's steps with the labelled assignments fixed
    (Yoder and Priebe, "Semi-supervised k-means++"). An empty cluster is moved to the point
    farthest from its centre.

    Args:
      key: PRNG key.
      x: points ``[n, d]``.
      num_clusters: clusters wanted, 1 to ``n``.
      labels: int ``[n]``, cluster id of the labelled points, -1 for the others.
      restarts: independent runs, of which the one with the least inertia is returned.
      max_iterations: Lloyd steps of one run at most.
      tolerance: see :func:`~idc_jax.ops.kmeans`.
      used: make only so many clusters; the others' centres are far from everything and nobody is
        theirs. Calls that differ in this alone share a compiled program.

    Raises:
      UserError: a label outside ``-1 .. num_clusters − 1``, ``num_clusters`` out of range, or
        rows that are not finite.
    """
    x = arrays.check_matrix(x)
    check_num_clusters(num_clusters, x.shape[0])
    labels = arrays.check_labels(labels, x.shape[0], num_clusters)
    used = num_clusters if used is None else used
    check_num_clusters(used, num_clusters)
    return _run(key, x, labels, used, num_clusters, restarts, max_iterations, tolerance)


@partial(jax.jit, static_argnames=("num_clusters", "restarts", "max_iterations"))
def _run(
    key: jax.Array,
    x: jax.Array,
    labels: jax.Array,
    used: int,
    num_clusters: int,
    restarts: int,
    max_iterations: int,
    tolerance: float,
) -> KMeans:
    means, given = _class_means(x, labels, num_clusters)

    keys = jax.random.split(key, restarts)

    def run(at: jax.Array | int) -> KMeans:
        centers = plus_plus(keys[at], x, num_clusters, centers=means, given=given, used=used)
        return lloyd(x, centers, max_iterations, tolerance, fixed=labels)

    def better(at: jax.Array, best: KMeans) -> KMeans:
        found = run(at)
        return jax.tree.map(partial(jnp.where, found.inertia < best.inertia), found, best)

    # Where every cluster has a label, nothing is drawn, and all runs are one.
    drawn = (~given & (jnp.arange(num_clusters) < used)).any()
    return jax.lax.fori_loop(1, jnp.where(drawn, restarts, 1), better, run(0))


def _class_means(x: jax.Array, labels: jax.Array, num_clusters: int) -> tuple[jax.Array, jax.Array]:
    """Mean of each class's labelled points ``[c, d]``, and which classes have any ``[c]``."""
    # Unlabelled points add to one row past the end, which is cut off.
    slots = jnp.where(labels >= 0, labels, num_clusters)
    sums, counts = (found[:-1] for found in cluster_sums(x, slots, num_clusters + 1))
    return sums / jnp.maximum(counts, 1.0)[:, None], counts > 0
