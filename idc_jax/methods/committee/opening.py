"""The first questions, while little is known: samples that stand for many, all over the data.

Greedy coverage with density spends its first picks on the dense and the far; as many clusters as
there are questions spread the first ones evenly. Within its cluster the sample asked about is
close to the centre and in the midst of many: medoids cover better, the most typical samples (as in
TypiClust: Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit
high and low budgets") speak for more, and their sum does both. A second round cuts the data finer
and asks where nobody has been asked yet, in the largest clusters first.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.ops import blocks
from idc_jax.ops.narrow import widened
from idc_jax.selectors import Selection

# Rows that are made float32 at a time.
_BLOCK = 16_384


def first_picks(
    key: jax.Array,
    features: jax.Array,
    density: jax.Array,
    asked: jax.Array | np.ndarray,
    budget: int,
    *,
    restarts: int,
    capacity: int = 0,
    allowed: jax.Array | np.ndarray | None = None,
) -> Selection:
    """One sample for each of ``budget`` clusters, of the highest ``r − d² / mean d²``.

    Args:
      key: starts k-means.
      features: ``[n, d]``.
      density: ``[n]``, the representativeness r; d is the distance from the cluster's centre.
      asked: bool ``[n]``, samples asked about before: not to be picked again, and of as many
        clusters more than the budget, those that hold one of them are left out.
      budget: picks, ``n`` at most.
      restarts: of k-means.
      allowed: bool ``[n]``, the samples that may be picked; None for all not asked about.
      capacity: as many clusters as there may ever be: up to so many compile nothing anew.

    Returns:
      :class:`~idc_jax.selectors.Selection`. What clusters without candidates leave is filled by
      density and distance from the other picks, and index -1 stands where none is left.
    """
    if budget == 0:
        return Selection(jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.float32))
    used = min(budget + int(asked.sum()), len(features))
    groups = min(max(used, capacity), len(features))
    clusters = ops.kmeans(key, features, groups, restarts=restarts, used=used)
    allowed = ~asked if allowed is None else allowed
    distances2 = _to_own(features, clusters.centers, clusters.assignments)
    worth = density - distances2 / jnp.maximum(jnp.mean(distances2), 1e-12)
    given = (worth, clusters.assignments, asked, allowed)
    picks = _best_of_largest(*given, groups, min(budget, groups))
    found = picks.indices >= 0
    missing = budget - int(found.sum())
    if not missing:
        return picks
    taken = jnp.asarray(asked).at[picks.indices].max(found, mode="drop")
    left = jnp.asarray(allowed) & ~taken
    more = selectors.idc_from_scores(features, density, missing, labelled=taken, candidates=left)
    kept = [part[found] for part in picks]
    return Selection(*(jnp.concatenate(both) for both in zip(kept, more, strict=True)))


@jax.jit
def _to_own(features: jax.Array, centers: jax.Array, groups: jax.Array) -> jax.Array:
    """The squared distance ``[n]`` of each row to the centre of its group."""

    def far(rows: jax.Array, own: jax.Array, centers: jax.Array) -> jax.Array:
        return ops.within_cluster_squared_distances(widened(rows), centers, own)

    return blocks.map_rows(far, (features, groups), _BLOCK, (centers,))


@partial(jax.jit, static_argnames=("num_groups", "budget"))
def _best_of_largest(
    worth: jax.Array,
    groups: jax.Array,
    asked: jax.Array,
    allowed: jax.Array,
    num_groups: int,
    budget: int,
) -> Selection:
    """The sample of the highest ``worth`` ``[n]`` in each of the largest groups not asked about.

    The largest group first; -1 where there are too few of them.
    """
    # In a group that nobody was asked about, whoever may not be picked is no sample of its own.
    there = allowed | asked
    worth = jnp.where(there, worth, -jnp.inf)
    best = jax.ops.segment_max(worth, groups, num_groups)
    first = jnp.where(worth == best[groups], jnp.arange(len(worth)), len(worth))
    indices = jax.ops.segment_min(first, groups, num_groups)
    sizes = jax.ops.segment_sum(there.astype(jnp.int32), groups, num_groups)
    free = jax.ops.segment_max(asked.astype(jnp.int32), groups, num_groups) <= 0
    size, order = jax.lax.top_k(jnp.where(free & (sizes > 0), sizes, 0), budget)
    return Selection(
        jnp.where(size > 0, indices[order], -1).astype(jnp.int32),
        jnp.where(size > 0, best[order], -jnp.inf),
    )
