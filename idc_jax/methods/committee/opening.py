"""The first round of questions, before anything is known: who stands for many, all over the data.

Greedy coverage with density spends its first picks on the dense and the far; as many clusters as
there are questions spread the first ones evenly. Within its cluster the sample asked about is
close to the centre and in the midst of many: medoids cover better, the most typical samples (as in
TypiClust: Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit
high and low budgets") speak for more, and their sum does both.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.selectors import Selection


def first_picks(
    key: jax.Array,
    features: jax.Array,
    density: jax.Array,
    candidates: jax.Array | np.ndarray,
    budget: int,
    *,
    restarts: int,
) -> Selection:
    """One sample for each of ``budget`` clusters, of the highest ``r − d² / mean d²``.

    Args:
      key: starts k-means.
      features: ``[n, d]``.
      density: ``[n]``, the representativeness r; d is the distance from the cluster's centre.
      candidates: bool ``[n]``, who may be picked.
      budget: picks, ``n`` at most.
      restarts: of k-means.

    Returns:
      :class:`~idc_jax.selectors.Selection`. What clusters without candidates leave is filled by
      density and distance from the other picks, and index -1 stands where nobody is left.
    """
    if budget == 0:
        return Selection(jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.float32))
    clusters = ops.kmeans(key, features, budget, restarts=restarts)
    distances2 = jnp.sum(jnp.square(features - clusters.centers[clusters.assignments]), axis=1)
    worth = density - distances2 / jnp.maximum(jnp.mean(distances2), 1e-12)
    picks = _best_of_each(worth, clusters.assignments, candidates, budget)
    found = picks.indices >= 0
    missing = budget - int(found.sum())
    if not missing:
        return picks
    taken = jnp.zeros_like(candidates).at[picks.indices].max(found, mode="drop")
    more = selectors.idc_from_scores(
        features, density, missing, labelled=taken, candidates=candidates & ~taken
    )
    kept = [part[found] for part in picks]
    return Selection(*(jnp.concatenate(both) for both in zip(kept, more, strict=True)))


@partial(jax.jit, static_argnames=("num_groups",))
def _best_of_each(
    worth: jax.Array, groups: jax.Array, candidates: jax.Array, num_groups: int
) -> Selection:
    """The candidate of the highest ``worth`` ``[n]`` in each group, -1 where there is none."""
    worth = jnp.where(candidates, worth, -jnp.inf)
    best = jax.ops.segment_max(worth, groups, num_groups)
    first = jnp.where(candidates & (worth == best[groups]), jnp.arange(len(worth)), len(worth))
    indices = jax.ops.segment_min(first, groups, num_groups)
    found = indices < len(worth)
    return Selection(
        jnp.where(found, indices, -1).astype(jnp.int32), jnp.where(found, best, -jnp.inf)
    )
