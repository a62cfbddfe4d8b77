"""The sample nearest each centre of a k-means with as many clusters as picks."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax import ops
from idc_jax.ops import arrays
from idc_jax.ops.inputs import count, flags, floats, key, takes
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num, PRNGKeyArray
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection


@takes(
    key=key,
    embeddings=floats("n d"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    restarts=count(1),
    max_iterations=count(1),
)
def medoids(
    key: PRNGKeyArray,
    embeddings: Num[Array, "n d"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    restarts: int = 1,
    max_iterations: int = 50,
) -> Selection:
    """Cluster all samples into ``budget`` clusters and pick the candidate nearest each centre.

    A simple baseline, hard to beat at small budgets (Zhu et al., "Active learning with sampling
    by uncertainty and density for data annotations", and many since). Labelled samples are
    clustered with the others and only kept out of the picks.

    Args:
      key: PRNG key.
      embeddings: ``[n, d]``.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, never picked.
      allowed: bool ``[n]``, the samples that may be picked.
      restarts: runs of k-means.
      max_iterations: steps of each.

    Returns:
      :class:`~idc_jax.selectors.Selection`, the largest clusters first; values are the sizes of
      their clusters.

    Raises:
      UserError: embeddings that are not finite, masks of another length.
    """
    x = arrays.check_matrix(embeddings, "embeddings")
    budget = masks.check_budget(budget, x.shape[0])
    _, candidates = masks.masks(x.shape[0], labelled, allowed)
    if budget == 0:
        return masks.nothing(0)
    clusters = ops.kmeans(key, x, budget, restarts=restarts, max_iterations=max_iterations)
    return nearest_members(x, clusters.centers, clusters.assignments, candidates)


@jax.jit
def nearest_members(
    x: Float[Array, "n d"],
    centers: Float[Array, "c d"],
    assignments: Int[Array, "n"],
    candidates: Bool[Array, "n"],
) -> Selection:
    """The candidate nearest each of ``c`` centres, no candidate twice: ``c`` picks."""
    num_clusters = centers.shape[0]
    sizes = jnp.zeros((num_clusters,), jnp.int32).at[assignments].add(1)
    order = jnp.argsort(-sizes, stable=True)

    def pick(i: jax.Array, state: tuple[jax.Array, Selection]) -> tuple[jax.Array, Selection]:
        free, selection = state
        cluster = order[i]
        distances2 = jnp.sum(jnp.square(x - centers[cluster]), axis=1)
        # Members first; a cluster without candidates gives its pick to the nearest one outside.
        outside = free & ~jnp.any(free & (assignments == cluster))
        eligible = outside | (free & (assignments == cluster))
        chosen = jnp.argmin(jnp.where(eligible, distances2, jnp.inf))
        found = free[chosen]
        size = sizes[cluster].astype(jnp.float32)
        selection = masks.record(selection, i, chosen, size, found)
        return free.at[chosen].set(False), selection

    state = (candidates, masks.nothing(num_clusters))
    return jax.lax.fori_loop(0, num_clusters, pick, state)[1]
