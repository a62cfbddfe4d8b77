"""What the answers say of everything else: evidence spread along the neighbour graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from idc_jax.annotate.questions import NONE_OF_THESE
from idc_jax.ops import sharded
from idc_jax.ops.edges import Edges, normalized_edges, propagate
from idc_jax.ops.neighbors import Neighbors

# Next to a named sample, what "none of these" leaves open says little.
_LEFT_OPEN = 0.25
_NOTHING = 1e-12
# As sure as the surest but for rounding, which hangs on the machine: the first of them is taken.
_ROUNDING = 1e-5


def spread_answers(
    neighbors: Neighbors,
    prior: jax.Array,
    probabilities: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    alpha: float,
) -> jax.Array:
    """The posterior of every sample's cluster, given the answers.

    A named sample seeds its cluster, each cluster with the same total, so that one that many
    answers named does not drown the others. "None of these" seeds the clusters that were not
    offered, in proportion to what was thought of them. A cluster that nobody has named is
    seeded by the sample that the prior is surest of.

    Args:
      neighbors: the graph, ``[n, k]`` each.
      prior: ``[n, c]``, the prediction before any answer; it stays where no evidence arrives.
      probabilities: ``[n, c]``, the present prediction.
      choice: int ``[n]``: a cluster, ``NONE_OF_THESE``, or less where nothing was said.
      rejected: bool ``[n, c]``, the candidates of a "none of these".
      alpha: how far answers reach, in [0, 1).

    Returns:
      ``[n, c]``, rows summing to one; an answered sample's row says what was answered.
    """
    return spread_along(normalized_edges(neighbors), prior, probabilities, choice, rejected, alpha)


@jax.jit
def spread_along(
    edges: Edges,
    prior: jax.Array,
    probabilities: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    alpha: float,
) -> jax.Array:
    """:func:`spread_answers` along the ``edges`` of a graph, whole on each device."""
    given = (prior, probabilities, choice, rejected)
    along = partial(propagate, edges=edges, alpha=alpha)
    return sharded.whole(spread_by(along, *given, len(edges.indices)))


def spread_by(
    spread: Callable[[jax.Array], jax.Array],
    prior: jax.Array,
    probabilities: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    num_rows: int,
) -> jax.Array:
    """:func:`spread_answers` by another function of seeds ``[num_rows, c]``, along any graph."""
    # Rows that are repeated at the end of the graph, so that all devices have as many.
    more = ((0, num_rows - len(prior)), (0, 0))
    seeds = jnp.pad(_seeds(prior, probabilities, choice, rejected), more)
    evidence = sharded.whole(spread(seeds))[: len(prior)]
    reached = evidence.sum(1, keepdims=True)
    posterior = jnp.where(reached > _NOTHING, evidence / jnp.maximum(reached, _NOTHING), prior)
    return clamp(posterior, choice, rejected)


def clamp(posterior: jax.Array, choice: jax.Array, rejected: jax.Array) -> jax.Array:
    """Make ``posterior`` ``[n, c]`` say of the answered samples what was answered."""
    named = jax.nn.one_hot(choice, posterior.shape[1])
    left_open = _renormalized(jnp.where(rejected, 0.0, posterior), ~rejected)
    return jnp.where(choice[:, None] >= 0, named, left_open)


def seed(probabilities: jax.Array, choice: jax.Array, rejected: jax.Array) -> jax.Array:
    """What the answers say where they were given, each cluster with a total of about one.

    Args:
      probabilities: ``[n, c]``, the present prediction.
      choice: int ``[n]``: a cluster, ``NONE_OF_THESE``, or less where nothing was said.
      rejected: bool ``[n, c]``, what a sample is known not to be.

    Returns:
      ``[n, c]``, zeros where nothing was said.
    """
    named = jax.nn.one_hot(choice, probabilities.shape[1])
    doubt = _renormalized(jnp.where(rejected, 0.0, probabilities), ~rejected)
    doubted = jnp.where(choice[:, None] == NONE_OF_THESE, doubt, 0.0) * _LEFT_OPEN
    return (named + doubted) / jnp.maximum(named.sum(0), 1)


def _seeds(
    prior: jax.Array, probabilities: jax.Array, choice: jax.Array, rejected: jax.Array
) -> jax.Array:
    clusters = prior.shape[1]
    counts = jax.nn.one_hot(choice, clusters).sum(0)
    silent = choice[:, None] < NONE_OF_THESE
    sure = jnp.where(silent, prior, 0.0)
    surest = jnp.argmax(sure >= (1.0 - _ROUNDING) * sure.max(axis=0), axis=0)
    nobody = jnp.zeros_like(prior)
    stand_in = nobody.at[surest, jnp.arange(clusters)].set((counts == 0).astype(prior.dtype))
    return seed(probabilities, choice, rejected) + stand_in


def _renormalized(rows: jax.Array, open_: jax.Array) -> jax.Array:
    """Rows summing to one; where nothing is left, evenly over what is open, or over all."""
    total = rows.sum(1, keepdims=True)
    open_ = jnp.where(open_.any(1, keepdims=True), open_, True).astype(rows.dtype)
    even = open_ / open_.sum(1, keepdims=True)
    return jnp.where(total > _NOTHING, rows / jnp.maximum(total, _NOTHING), even)
