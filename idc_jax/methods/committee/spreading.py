"""Label spreading along several graphs: an answer counts for the samples that it reaches."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from idc_jax.methods.committee.left_out import own_influence, placed
from idc_jax.methods.common.spread import seed, spread_by
from idc_jax.ops import blocks, sharded
from idc_jax.ops.edges import Edges, multiply

_TINY = 1e-12


def spreading(
    graphs: tuple[Edges, ...],
    told: tuple[jax.Array, jax.Array, jax.Array],
    rows: jax.Array,
    said: jax.Array,
    named: jax.Array,
    reaches: tuple[float, ...],
    iterations: int,
    *,
    held_out: bool = False,
) -> tuple[jax.Array, jax.Array | None]:
    """The mean of label spreading along several graphs.

    ``P ← α S P + (1 − α) Y`` (Zhou et al., "Learning with Local and Global Consistency", 2004).

    Args:
      graphs: S, one for each reach.
      told: the present prediction, choices and what is rejected, of which ``seed`` makes Y.
      rows: int ``[m]``, the answered samples.
      said: ``[m, c]``, their classes one-hot; rows of zeros are padding.
      named: bool ``[c]``, the classes that there are.
      reaches: α of each graph.
      iterations: how often.
      held_out: whether to tell what is known of answered samples without their answers.

    Returns:
      ``[n, c]``, rows summing to one, and the same of the answered samples, each without its own
      answer, ``[m, c]``; None unless ``held_out``.
    """
    # Programs of their own, one after the other: one for all would hold what each needs in between,
    # and so would several at once.
    found = []
    for edges, alpha in zip(graphs, reaches, strict=True):
        own = _influence(edges, rows, said, alpha, iterations) if held_out else None
        own = jax.block_until_ready(own)
        opinions = _along(edges, told, rows, said, named, own, alpha, iterations)
        found.append(jax.block_until_ready(opinions))
    return _mean([all_ for all_, _ in found]), _mean([own for _, own in found if own is not None])


@partial(jax.jit, static_argnames=("alpha", "iterations"))
def without_names(
    edges: Edges,
    prior: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    alpha: float,
    iterations: int,
) -> jax.Array:
    """What each sample is ``[n, c]`` while no answer has named a class: what is left open, spread.

    Args:
      edges: S.
      prior: ``[n, c]``, the prediction.
      choice: int ``[n]``, ``NONE_OF_THESE`` or less.
      rejected: bool ``[n, c]``, classes that a sample is known not to be of.
      alpha: how far answers reach.
      iterations: how often.
    """

    def spread(seeds: jax.Array) -> jax.Array:
        along = partial(_spread, edges, alpha=alpha, iterations=iterations)
        return blocks.replace_columns(along, seeds)

    return spread_by(spread, prior, prior, choice, rejected, num_rows=len(edges.degrees))


@partial(jax.jit, static_argnames=("alpha", "iterations"))
def _influence(
    edges: Edges, rows: jax.Array, said: jax.Array, alpha: float, iterations: int
) -> jax.Array:
    """Of each answered sample on itself ``[m]``, were its answer one."""
    probes = placed(rows, said.sum(1), len(edges.degrees))
    return own_influence(sharded.take(_spread(edges, probes, alpha, iterations), rows))


@partial(jax.jit, static_argnames=("alpha", "iterations"))
def _along(
    edges: Edges,
    told: tuple[jax.Array, jax.Array, jax.Array],
    rows: jax.Array,
    said: jax.Array,
    named: jax.Array,
    influence: jax.Array | None,
    alpha: float,
    iterations: int,
) -> tuple[jax.Array, jax.Array | None]:
    """:func:`spreading` along one graph."""
    # Made here, so that what is heard takes their place.
    seeds = jnp.where(named, seed(*told), 0.0)
    heard = blocks.replace_columns(
        partial(_spread, edges, alpha=alpha, iterations=iterations), seeds
    )
    if influence is None:
        return _shares(heard, named), None
    counts = said.sum(0)
    own = influence[:, None] * said / jnp.maximum(counts, 1.0)
    less = jnp.maximum(sharded.take(heard, rows) - own, 0.0)
    # Of the class's answers, which count for one together, there is one less.
    less *= jnp.where(said > 0, counts / jnp.maximum(counts - 1.0, 1.0), 1.0)
    return _shares(heard, named), _shares(less, named)


@jax.jit
def _mean(opinions: list[jax.Array]) -> jax.Array | None:
    return sum(opinions[1:], opinions[0]) / len(opinions) if opinions else None


def _spread(edges: Edges, start: jax.Array, alpha: float, iterations: int) -> jax.Array:
    def step(_: jax.Array, heard: jax.Array) -> jax.Array:
        return alpha * multiply(edges, heard) + (1 - alpha) * start

    return jax.lax.fori_loop(0, iterations, step, (1 - alpha) * start)


def _shares(heard: jax.Array, named: jax.Array) -> jax.Array:
    """Rows summing to one; even over the ``named`` where nothing was heard."""
    reached = heard.sum(1, keepdims=True)
    even = named / jnp.sum(named)
    return jnp.where(reached > _TINY, heard / jnp.maximum(reached, _TINY), even)
