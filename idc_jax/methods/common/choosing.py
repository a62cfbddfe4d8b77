"""Any selector of samples in place of a method's own choice."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import selectors
from idc_jax.annotate.evidence import Evidence
from idc_jax.ops import sharded
from idc_jax.ops.kmeans import cluster_sums
from idc_jax.selectors import Selection, SelectorInputs


def choose(
    name: str,
    key: jax.Array,
    embeddings: jax.Array,
    probabilities: jax.Array,
    evidence: Evidence,
    budget: int,
    *,
    clusters: tuple[jax.Array, jax.Array] | None = None,
    **options: Any,
) -> Selection:
    """Choose ``budget`` samples that nobody was asked about.

    Args:
      name: a selector of :func:`idc_jax.selectors.names`.
      key: PRNG key.
      embeddings: ``[n, d]``; rows beyond those of the probabilities are their first ones again.
      probabilities: ``[n, c]``.
      evidence: what was said.
      budget: how many.
      clusters: centres ``[c, d]`` and assignments ``[n]`` of the samples; by default the means of
        the predicted clusters, and the predictions.
      **options: the selector's.
    """
    if clusters is None:
        assignments = jnp.argmax(probabilities, axis=1)
        clusters = mean_centers(embeddings, assignments, probabilities.shape[1])[0], assignments
    size, more = len(probabilities), len(embeddings) - len(probabilities)
    inputs = SelectorInputs(
        embeddings=embeddings,
        probabilities=again(probabilities, more),
        centers=clusters[0],
        assignments=again(clusters[1], more),
        labelled=jnp.asarray(np.pad(evidence.asked, (0, more))),
        allowed=jnp.arange(size + more) < size if more else None,
    )
    return selectors.get(name, **options).select(key, inputs, budget)


def again(values: jax.Array, more: int) -> jax.Array:
    """``values`` ``[n, ...]`` of samples whose first ``more`` are there again at the end."""
    return jnp.concatenate([values, values[:more]]) if more else values


def mean_centers(
    embeddings: jax.Array, assignments: jax.Array, num_clusters: int
) -> tuple[jax.Array, jax.Array]:
    """The mean ``[c, d]``, 0 of nothing, and the size ``[c]`` of each cluster.

    Embeddings whose assignment is negative, and those beyond the assignments, which are repeats,
    count for nothing.
    """
    more = len(embeddings) - len(assignments)
    with sharded.like(embeddings):
        own = jnp.pad(assignments, (0, more), constant_values=-1)
        return _means(embeddings, own, num_clusters)


@partial(jax.jit, static_argnames="num_clusters")
def _means(x: jax.Array, own: jax.Array, num_clusters: int) -> tuple[jax.Array, jax.Array]:
    # One cluster more, which is cut off.
    slots = jnp.where(own >= 0, own, num_clusters)
    sums, counts = (found[:-1] for found in cluster_sums(x, slots, num_clusters + 1))
    return sums / jnp.maximum(counts, 1)[:, None], counts


def found(picks: Selection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The indices ``[m]`` and values ``[m]`` of what was picked, and which picks those are."""
    indices = np.asarray(picks.indices)
    kept = indices >= 0
    return indices[kept], np.asarray(picks.values)[kept], kept
