"""IPC: pairs of an anchor and those about which its similarity says least ("Interactive
Personalized Clustering: Navigating Beyond Rigid Criteria and Sample Ambiguity").
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax import scores
from idc_jax.ops import arrays, sharded
from idc_jax.ops.cosines import cosine_exceeded_by
from idc_jax.ops.inputs import count, flags, floats, takes
from idc_jax.ops.neighbors import Neighbors
from idc_jax.ops.shapes import Array, Bool, Num
from idc_jax.selectors import greedy, masks
from idc_jax.selectors.base import Selection


class Known(NamedTuple):
    """Pairs that need no asking.

    Attributes:
      component: int ``[n]``, samples of one number are of one group.
      apart: int ``[k, 2]``, components that are of different groups; -1 for padding.
      groups: int ``[n, g]``, samples of different numbers in one column are of different groups;
        -1 where a sample has none.
      asked: int ``[p, 2]``, pairs of samples not to be asked about again; -1 for padding.
    """

    component: jax.Array
    apart: jax.Array
    groups: jax.Array
    asked: jax.Array


@takes(
    embeddings=floats("n d"),
    centers=floats("c d"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    per_anchor=count(1),
    num_neighbors=count(0),
)
def ipc(
    embeddings: Num[Array, "n d"],
    centers: Num[Array, "c d"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    known: Known | None = None,
    per_anchor: int = 5,
    hardness: float = 0.0,
    num_neighbors: int = 20,
    neighbors: Neighbors | None = None,
    threshold: jax.Array | float | None = None,
) -> Selection:
    """Pick anchors that are representative and diverse, and for each the most doubtful partners.

    Anchors are picked greedily by IDC's ``r + d`` (and ``hardness · h``). Where a share ``1 / c``
    of all pairs is taken to be of one group, their cosines lie above a threshold θ; an anchor's
    partners are the samples whose cosine with it is nearest to θ. Once every sample has been an
    anchor, all may be it again.

    Args:
      embeddings: ``[n, d]``; only their directions count.
      centers: cluster centres ``[c, d]``.
      budget: pairs wanted.
      labelled: bool ``[n]``, asked about before: anchors keep away from them, and they become
        anchors last.
      allowed: bool ``[n]``, the samples that may be asked about.
      known: pairs not to be asked about; None for none.
      per_anchor: partners of an anchor.
      hardness: weight of ``h``; the paper's is 0.
      num_neighbors: K of the representativeness.
      neighbors: neighbours of the unit-length embeddings, where they are known already.
      threshold: θ, where it is known already.

    Returns:
      :class:`~idc_jax.selectors.Selection` with ``indices`` ``[m, 2]``; the value is the anchor's.

    Raises:
      UserError: embeddings or centres that are not finite, masks of another length, a negative
        budget.
    """
    z = arrays.normalize(arrays.check_matrix(embeddings, "embeddings"))
    centers = arrays.check_matrix(centers, "centers")
    if budget == 0:
        return _blank(0)
    n = z.shape[0]
    labelled, _ = masks.masks(n, labelled, None)
    _, allowed = masks.masks(n, None, allowed)
    value = scores.representativeness(z, num_neighbors, neighbors=neighbors)
    if hardness:
        value += hardness * scores.hardness(z, centers)
    if threshold is None:
        clusters = centers.shape[0]
        # Where all are taken to be of one group, no cosine tells anything.
        threshold = cosine_exceeded_by(z, 1 / clusters) if clusters > 1 and n > 1 else -1.0
    known = _nothing_known(n) if known is None else known
    return _pick(z, value, labelled, allowed, known, threshold, budget, min(per_anchor, n))


def _nothing_known(n: int) -> Known:
    none = jnp.zeros((0, 2), jnp.int32)
    return Known(jnp.arange(n, dtype=jnp.int32), none, jnp.zeros((n, 0), jnp.int32), none)


class _State(NamedTuple):
    selection: Selection
    made: jax.Array  # pairs picked
    free: jax.Array  # bool [n], samples that may yet be an anchor in this tour
    found: jax.Array  # whether this tour has found a pair
    distance: jax.Array  # [n], to the nearest sample asked about; inf while there is none


@functools.partial(jax.jit, static_argnames=("budget", "per_anchor"))
def _pick(
    z: jax.Array,
    value: jax.Array,
    labelled: jax.Array,
    allowed: jax.Array,
    known: Known,
    threshold: jax.Array,
    budget: int,
    per_anchor: int,
) -> Selection:
    n = z.shape[0]

    def wanting(state: _State) -> jax.Array:
        return (state.made < budget) & (state.free.any() | state.found)

    def step(state: _State) -> _State:
        over = ~state.free.any()
        free = jnp.where(over, allowed, state.free)
        diverse = jnp.where(jnp.isinf(state.distance), 0.0, state.distance)
        worth = jnp.where(free, value + diverse, -jnp.inf)
        anchor = jnp.argmax(worth)
        # One row of cosines tells the partners and how far the others are from this anchor.
        cosines = arrays.inner(z, sharded.take(z, anchor[None]))[:, 0]
        open_ = allowed & ~_known_with(anchor, known) & ~_paired(anchor, state.selection.indices, n)
        nearness = jnp.where(open_, -jnp.abs(cosines - threshold), -jnp.inf)
        best, partners = sharded.top_k(nearness, per_anchor)
        picked = jnp.isfinite(best) & (jnp.arange(per_anchor) < budget - state.made)
        places = jnp.where(picked, state.made + jnp.arange(per_anchor), budget)
        pairs = jnp.stack([jnp.minimum(anchor, partners), jnp.maximum(anchor, partners)], axis=1)
        selection = Selection(
            state.selection.indices.at[places].set(pairs.astype(jnp.int32), mode="drop"),
            state.selection.values.at[places].set(worth[anchor], mode="drop"),
        )
        distance = jnp.minimum(state.distance, scores.log_dissimilarity(cosines))
        found = jnp.where(over, False, state.found) | picked.any()
        # A sample with none left to be compared with takes no room among the anchors.
        distance = jnp.where(picked.any(), distance, state.distance)
        free = free.at[anchor].set(False)
        return _State(selection, state.made + picked.sum(dtype=jnp.int32), free, found, distance)

    distance = greedy.to_labelled(z, labelled, _log_dissimilarity)
    start = _State(_blank(budget), jnp.int32(0), allowed & ~labelled, allowed.any(), distance)
    return jax.lax.while_loop(wanting, step, start).selection


def _blank(budget: int) -> Selection:
    selection = masks.nothing(budget)
    return selection._replace(indices=jnp.full((budget, 2), -1, jnp.int32))


def _log_dissimilarity(z: jax.Array, other: jax.Array) -> jax.Array:
    return scores.log_dissimilarity(arrays.inner(z, other))


def _known_with(anchor: jax.Array, known: Known) -> jax.Array:
    """Bool ``[n]``, the samples that ``anchor`` need not be compared with, itself among them."""
    own = known.component[anchor]
    differs = (known.groups != known.groups[anchor]) & (known.groups >= 0)
    differs &= known.groups[anchor] >= 0
    apart = _paired(own, known.apart, known.component.shape[0])[known.component]
    asked = _paired(anchor, known.asked, known.component.shape[0])
    return (known.component == own) | differs.any(1) | apart | asked


def _paired(one: jax.Array, pairs: jax.Array, size: int) -> jax.Array:
    """Bool ``[size]``, the samples that stand in ``pairs`` ``[p, 2]`` beside ``one``."""
    beside = jnp.where(pairs == one, pairs[:, ::-1], size)
    return jnp.zeros((size,), bool).at[beside.reshape(-1)].set(True, mode="drop")
