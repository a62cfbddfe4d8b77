"""DSAC: the representative and the difficult samples of each cluster.

Zhao et al., "Deep Self-paced Active Learning for Image Clustering".
"""

from __future__ import annotations

import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from idc_jax import scores
from idc_jax.errors import check_at_least, check_one_of
from idc_jax.ops import arrays
from idc_jax.ops.inputs import count, flags, floats, ints, takes
from idc_jax.ops.neighbors import Neighbors
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num
from idc_jax.ops.sums import sums_by
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection

Kinds = Literal["both", "representative", "difficult"]


@takes(
    embeddings=floats("n d"),
    centers=floats("c d"),
    assignments=ints("n"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    shortlist=count(1),
    num_neighbors=count(0),
)
def dsac(
    embeddings: Num[Array, "n d"],
    centers: Num[Array, "c d"],
    assignments: Int[Array, "n"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    shortlist: int = 6,
    num_neighbors: int = 6,
    neighbors: Neighbors | None = None,
    kinds: Kinds = "both",
) -> tuple[Selection, jax.Array]:
    """Pick one representative of each cluster, and spend the rest on difficult samples.

    The representative is the most compact of the ``shortlist`` samples nearest the centre (of
    highest self-paced weight); the difficult ones are the most compact of the ``shortlist``
    farthest. Each cluster gets ``⌊b / c⌋`` picks; what remains goes one by one to the clusters
    of largest mean distance, and so does what a small cluster cannot use. With fewer picks than
    clusters, the largest clusters get a representative each.

    The self-paced weight falls with the distance, so ranking by distance ranks by weight, and
    also tells apart the samples whose weight is zero.

    Args:
      embeddings: ``[n, d]``.
      centers: ``[c, d]``.
      assignments: int ``[n]``, cluster of each sample.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, asked before, never picked again.
      allowed: bool ``[n]``, the samples that may be picked.
      shortlist: k₁, samples among which compactness decides.
      num_neighbors: neighbours that compactness looks at.
      neighbors: neighbours of ``embeddings``, where they are known already.
      kinds: ``"representative"`` or ``"difficult"`` spends every cluster's share on that kind
        alone, the paper's ablations.

    Returns:
      The picks, representatives first, each with its compactness as value; and bool ``[m]``,
      which of them are representatives.

    Raises:
      UserError: arrays that are not finite or do not fit together, or unknown ``kinds``.
    """
    check_one_of("kinds", kinds, get_args(Kinds))
    x = arrays.check_matrix(embeddings, "embeddings")
    # Compactness has a floor.
    arrays.check_scale(x, "embeddings", least=1e-6)
    centers = arrays.check_matrix(centers, "centers")
    assignments = arrays.check_labels(assignments, x.shape[0], centers.shape[0])
    check_at_least("shortlist", shortlist, 1)
    budget = masks.check_budget(budget, x.shape[0])
    _, candidates = masks.masks(x.shape[0], labelled, allowed)
    listed = _listed(x, centers, assignments, candidates, budget, shortlist, kinds)
    # Compactness is what costs: only those that may be picked are looked at.
    size = min(x.shape[0], centers.shape[0] * (2 * shortlist + 1) + 2 * budget)
    rows = jnp.nonzero(listed, size=size, fill_value=0)[0]
    values = scores.compactness(x, num_neighbors, neighbors=neighbors, rows=rows)
    compact = jnp.zeros((x.shape[0],), jnp.float32).at[rows].set(values)
    return _dsac(x, centers, assignments, compact, candidates, budget, shortlist, kinds)


def _shares(
    distances2: jax.Array,
    assignments: jax.Array,
    candidates: jax.Array,
    num_clusters: int,
    budget: int,
    kinds: Kinds,
) -> tuple[jax.Array, jax.Array]:
    """Representatives and difficult samples wanted of each sample's cluster, int32 ``[n]``."""
    quota = quotas(distances2, assignments, candidates, num_clusters, budget)[assignments]
    most = {"both": 1, "representative": budget, "difficult": 0}[kinds]
    near = jnp.minimum(quota, most)
    return near, quota - near


@functools.partial(jax.jit, static_argnames=("budget", "shortlist", "kinds"))
def _listed(
    x: jax.Array,
    centers: jax.Array,
    assignments: jax.Array,
    candidates: jax.Array,
    budget: int,
    shortlist: int,
    kinds: Kinds,
) -> jax.Array:
    """The samples whose compactness can matter, bool ``[n]``."""
    distances2 = arrays.within_cluster_squared_distances(x, centers, assignments)
    wanted, extra = _shares(distances2, assignments, candidates, centers.shape[0], budget, kinds)
    near = rank_within(assignments, distances2, candidates)
    far = rank_within(assignments, -distances2, candidates)
    near_listed = (wanted > 0) & (near < jnp.maximum(shortlist, wanted))
    # A representative may be among the farthest: one more stands by for it.
    far_listed = (extra > 0) & (far < jnp.maximum(shortlist, extra) + 1)
    return candidates & (near_listed | far_listed)


@functools.partial(jax.jit, static_argnames=("budget", "shortlist", "kinds"))
def _dsac(
    x: jax.Array,
    centers: jax.Array,
    assignments: jax.Array,
    compact: jax.Array,
    candidates: jax.Array,
    budget: int,
    shortlist: int,
    kinds: Kinds,
) -> tuple[Selection, jax.Array]:
    distances2 = arrays.within_cluster_squared_distances(x, centers, assignments)
    wanted, extra = _shares(distances2, assignments, candidates, centers.shape[0], budget, kinds)
    near = rank_within(assignments, distances2, candidates)
    representative = candidates & (wanted > 0) & (near < jnp.maximum(shortlist, wanted))
    representative &= rank_within(assignments, -compact, representative) < wanted

    rest = candidates & ~representative
    far = rank_within(assignments, -distances2, rest) < jnp.maximum(shortlist, extra)
    difficult = rest & far
    difficult &= rank_within(assignments, -compact, difficult) < extra
    return _ordered(assignments, compact, representative, difficult, budget)


def _ordered(
    assignments: jax.Array,
    compact: jax.Array,
    representative: jax.Array,
    difficult: jax.Array,
    budget: int,
) -> tuple[Selection, jax.Array]:
    """Representatives by cluster, then difficult samples by cluster, the most compact first."""
    role = jnp.where(representative, 0, jnp.where(difficult, 1, 2))
    index = jnp.arange(assignments.shape[0])
    order = jax.lax.sort((role, assignments, -compact, index), num_keys=4)[3][:budget]
    picked = (representative | difficult)[order]
    return masks.blank(Selection(order, compact[order]), picked), representative[order]


def rank_within(
    groups: Int[Array, "n"], keys: Num[Array, "n"], counted: Bool[Array, "n"]
) -> Int[Array, "n"]:
    """Rank from 0 of each counted sample in its group by ascending key; ``n`` for the others.

    Args:
      groups: int ``[n]``.
      keys: ``[n]``; among equals the lower index ranks first.
      counted: bool ``[n]``.
    """
    n = groups.shape[0]
    index = jnp.arange(n)
    _, sorted_groups, _, order = jax.lax.sort((~counted, groups, keys, index), num_keys=4)
    starts = jnp.concatenate([jnp.ones((1,), bool), sorted_groups[1:] != sorted_groups[:-1]])
    first = jax.lax.cummax(jnp.where(starts, index, 0))
    ranks = jnp.zeros((n,), jnp.int32).at[order].set(index - first)
    return jnp.where(counted, ranks, n)


def quotas(
    distances2: Float[Array, "n"],
    assignments: Int[Array, "n"],
    candidates: Bool[Array, "n"],
    num_clusters: int,
    budget: int,
) -> Int[Array, "c"]:
    """How many picks each cluster gets, int32 ``[c]``; see :func:`dsac`."""
    zeros = jnp.zeros((num_clusters,), jnp.int32)
    sizes = zeros.at[assignments].add(1)
    free = zeros.at[assignments].add(candidates.astype(jnp.int32))
    total = sums_by(assignments, distances2, num_clusters)
    if budget < num_clusters:
        order = jnp.lexsort((-sizes, free == 0))
    else:
        order = jnp.argsort(-total / jnp.maximum(sizes, 1), stable=True)
    share = jnp.minimum(free, budget // num_clusters)

    def unspent(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        share, left = state
        return (left > 0) & jnp.any(share < free)

    def deal(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        share, left = state
        open_ = (share < free)[order]
        given = open_ & (jnp.cumsum(open_) <= left)
        share = share.at[order].add(given.astype(jnp.int32))
        return share, left - jnp.sum(given)

    return jax.lax.while_loop(unspent, deal, (share, budget - jnp.sum(share)))[0]
