"""What the answers say of everything else: evidence spread along the neighbour graph."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from idc_jax.annotate.questions import NONE_OF_THESE
from idc_jax.ops.graph import edge_weights, propagate
from idc_jax.ops.neighbors import Neighbors

# Next to a named sample, what "none of these" leaves open says little.
_LEFT_OPEN = 0.25


class Spread(NamedTuple):
    """How answers spread.

    Attributes:
      alpha: how far, in [0, 1).
      num_clusters: c.
    """

    alpha: float
    num_clusters: int


class Answered(Protocol):
    """The part of a method's state that spreading reads; see ``IDCState``."""

    neighbors: Neighbors
    prior: jax.Array
    probabilities: jax.Array
    choice: jax.Array
    rejected: jax.Array


def spread_answers(state: Answered, spread: Spread) -> jax.Array:
    """The posterior ``[n, c]`` of every sample's cluster given the answers.

    A named sample seeds its cluster, each cluster with the same total, so that one that many
    answers named does not drown the others. "None of these" seeds the clusters that were not
    offered, in proportion to what was thought of them. A cluster that nobody has named is
    seeded by the sample that the prior is surest of.
    """
    seeds = _seeds(state, spread.num_clusters)
    weights = edge_weights(state.neighbors)
    evidence = propagate(seeds, state.neighbors, weights, alpha=spread.alpha)
    reached = evidence.sum(1, keepdims=True)
    posterior = jnp.where(reached > 1e-12, evidence / jnp.maximum(reached, 1e-12), state.prior)
    return clamp(posterior, state.choice, state.rejected)


def clamp(posterior: jax.Array, choice: jax.Array, rejected: jax.Array) -> jax.Array:
    """Make ``posterior`` ``[n, c]`` say of the answered samples what was answered."""
    clusters = posterior.shape[1]
    named = jax.nn.one_hot(choice, clusters)
    allowed = jnp.where(rejected, 0.0, posterior)
    left = allowed.sum(1, keepdims=True)
    open_ = (~rejected).astype(jnp.float32)
    even = open_ / jnp.maximum(open_.sum(1, keepdims=True), 1)
    allowed = jnp.where(left > 1e-12, allowed / jnp.maximum(left, 1e-12), even)
    return jnp.where(choice[:, None] >= 0, named, allowed)


def _seeds(state: Answered, clusters: int) -> jax.Array:
    named = jax.nn.one_hot(state.choice, clusters)
    counts = named.sum(0)
    unnamed = counts == 0
    surest = jnp.argmax(jnp.where(state.choice[:, None] < NONE_OF_THESE, state.prior, 0), axis=0)
    stand_in = jnp.zeros_like(named).at[surest, jnp.arange(clusters)].set(unnamed)
    left_open = jnp.where(state.rejected, 0.0, state.probabilities)
    left_open /= jnp.maximum(left_open.sum(1, keepdims=True), 1e-12)
    doubted = (state.choice == NONE_OF_THESE)[:, None] * left_open * _LEFT_OPEN
    return (named + doubted) / jnp.maximum(counts, 1) + stand_in
