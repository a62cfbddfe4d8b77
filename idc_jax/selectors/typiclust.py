"""TypiClust: the most typical sample of each cluster."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax import ops
from idc_jax.ops import arrays, grouped
from idc_jax.ops.inputs import count, flags, floats, key, takes
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num, PRNGKeyArray
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection

# Smaller clusters wait until all others have had their turn.
_SMALL = 5
# By cluster: answers and picks, and candidates left; the samples still free; the picks.
_Turns = tuple[jax.Array, jax.Array, jax.Array, Selection]


@takes(
    key=key,
    embeddings=floats("n d"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    num_neighbors=count(1),
    num_clusters=count(1),
    max_clusters=count(1),
    max_iterations=count(1),
)
def typiclust(
    key: PRNGKeyArray,
    embeddings: Num[Array, "n d"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    num_neighbors: int = 20,
    num_clusters: int | None = None,
    max_clusters: int = 500,
    max_iterations: int = 25,
) -> Selection:
    """Cluster into as many clusters as labelled samples and picks together, and pick the most
    typical sample of the largest cluster with the fewest of either, again and again (Hacohen,
    Dekel and Weinshall, "Active learning on a budget: opposite strategies suit high and low
    budgets").

    Typicality is ``1 / mean |x − x₍ⱼ₎|`` over the nearest neighbours in the own cluster.

    Args:
      key: PRNG key.
      embeddings: ``[n, d]``; only their directions count.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, their clusters are served last, never picked.
      allowed: bool ``[n]``, the samples that may be picked.
      num_neighbors: neighbours that typicality looks at.
      num_clusters: clusters, in place of labelled samples and picks together; to be given under
        ``jit``, where labelled samples cannot be counted and picks alone would be.
      max_clusters: clusters at most.
      max_iterations: steps of k-means.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value is the typicality of the pick.

    Raises:
      UserError: embeddings that are not finite, masks of another length.
    """
    z = arrays.normalize(arrays.check_matrix(embeddings, "embeddings"))
    budget = masks.check_budget(budget, z.shape[0])
    labelled, candidates = masks.masks(z.shape[0], labelled, allowed)
    if num_clusters is None:
        with arrays.known():
            before = int(jnp.sum(labelled)) if arrays.is_concrete(labelled) else 0
        num_clusters = before + budget
    num_clusters = max(1, min(num_clusters, max_clusters, z.shape[0]))
    clusters = ops.kmeans(key, z, num_clusters, restarts=1, max_iterations=max_iterations)
    typical = typicality(z, clusters.assignments, num_neighbors)
    return _by_turns(typical, clusters.assignments, labelled, candidates, num_clusters, budget)


@functools.partial(jax.jit, static_argnames=("k",))
def typicality(z: Float[Array, "n d"], assignments: Int[Array, "n"], k: int) -> Float[Array, "n"]:
    """``1 / mean distance`` ``[n]`` to the ``k`` nearest of the own cluster; 0 if alone in it."""
    distances = jnp.sqrt(grouped.nearest_in_group(z, assignments, min(k, z.shape[0])))
    present = jnp.isfinite(distances)
    count = jnp.sum(present, axis=1)
    mean = jnp.sum(jnp.where(present, distances, 0.0), axis=1) / jnp.maximum(count, 1)
    return jnp.where(count > 0, 1.0 / jnp.maximum(mean, 1e-6), 0.0)


@functools.partial(jax.jit, static_argnames=("num_clusters", "budget"))
def _by_turns(
    typical: jax.Array,
    assignments: jax.Array,
    labelled: jax.Array,
    candidates: jax.Array,
    num_clusters: int,
    budget: int,
) -> Selection:
    counts = jnp.zeros((num_clusters,), jnp.int32)
    sizes = counts.at[assignments].add(1)
    served = counts.at[assignments].add(labelled.astype(jnp.int32))
    left = counts.at[assignments].add(candidates.astype(jnp.int32))

    def pick(i: jax.Array, state: _Turns) -> _Turns:
        served, left, free, selection = state
        cluster = jnp.lexsort((-sizes, served, sizes < _SMALL, left == 0))[0]
        eligible = free & (assignments == cluster)
        chosen = jnp.argmax(jnp.where(eligible, typical, -1.0))
        found = eligible[chosen]
        selection = masks.record(selection, i, chosen, typical[chosen], found)
        served = served.at[cluster].add(1)
        left = left.at[cluster].add(-found.astype(jnp.int32))
        return served, left, free & (jnp.arange(free.shape[0]) != chosen), selection

    state: _Turns = (served, left, candidates, masks.nothing(budget))
    return jax.lax.fori_loop(0, budget, pick, state)[3]
