"""Poisson learning: answers are sources of a current that flows through the neighbour graph.

Label spreading with few answers is nearly even far from them; the current keeps a slope.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from idc_jax.methods.committee.left_out import own_influence, placed
from idc_jax.ops import blocks, sharded
from idc_jax.ops.edges import Edges, multiply

# Keeps the equations solvable where the graph falls apart.
_RIDGE = 1e-4
_TOLERANCE = 1e-3
# How clear an opinion is where the potential is one standard deviation.
_SHARPNESS = 5.0


def poisson(
    edges: Edges,
    rows: jax.Array,
    said: jax.Array,
    named: jax.Array,
    iterations: int,
    *,
    held_out: bool = False,
) -> tuple[jax.Array, jax.Array | None]:
    """What each sample is, by Poisson learning.

    Solves ``(D − W) u = Σ_j δ_j (e_{y_j} − ȳ)`` by conjugate gradients (Calder, Cook, Thorpe and
    Slepčev, "Poisson Learning: Graph Based Semi-Supervised Learning at Very Low Label Rates",
    2020), takes off the mean by degree and divides each class's potential by its share ȳ of the
    answers.

    Args:
      edges: the graph.
      rows: int ``[m]``, the answered samples.
      said: ``[m, c]``, their classes one-hot; rows of zeros are padding.
      named: bool ``[c]``, the classes that there are.
      iterations: of the conjugate gradients, at most.
      held_out: whether to tell what is known of answered samples without their answers.

    Returns:
      ``[n, c]``, rows summing to one, and the same of the answered samples, each without its own
      source, ``[m, c]``; None unless ``held_out``.
    """
    # Programs of their own, one after the other: one for all would hold what each needs in between,
    # and so would two at once.
    charge = _charge(edges.degrees, rows, said)
    potential = jax.block_until_ready(_potential(edges, charge, iterations))
    del charge
    if not held_out:
        return _opinions(potential, None, rows, said, named)
    probes = _potential(edges, _placed(edges.degrees, rows, said), iterations)
    return _opinions(potential, probes, rows, said, named)


def _sources(said: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The classes' shares ``[c]``, and what flows from each answered sample ``[m, c]``."""
    counts = said.sum(0)
    share = counts / jnp.maximum(counts.sum(), 1.0)
    return share, said - share * said.sum(1)[:, None]


@jax.jit
def _charge(degrees: jax.Array, rows: jax.Array, said: jax.Array) -> jax.Array:
    empty = jnp.zeros((len(degrees), said.shape[1]))
    return empty.at[rows].add(_sources(said)[1])


@jax.jit
def _placed(degrees: jax.Array, rows: jax.Array, said: jax.Array) -> jax.Array:
    return placed(rows, said.sum(1), len(degrees))


@jax.jit
def _opinions(
    potential: jax.Array,
    probes: jax.Array | None,
    rows: jax.Array,
    said: jax.Array,
    named: jax.Array,
) -> tuple[jax.Array, jax.Array | None]:
    share, sources = _sources(said)
    per_class = jnp.where(named, 1.0 / jnp.maximum(share, 1e-12), 0.0)
    variance = jnp.mean(jnp.square(potential * per_class)) * len(named) / named.sum()
    sharp = _SHARPNESS * per_class / jnp.maximum(jnp.sqrt(variance), 1e-12)

    def opinion(potential: jax.Array) -> jax.Array:
        return jax.nn.softmax(jnp.where(named, sharp * potential, -jnp.inf))

    if probes is None:
        return opinion(potential), None
    own = own_influence(sharded.take(probes, rows))[:, None] * sources
    return opinion(potential), opinion(sharded.take(potential, rows) - own)


@partial(jax.jit, static_argnames="iterations")
def _potential(edges: Edges, charge: jax.Array, iterations: int) -> jax.Array:
    """What a ``charge`` ``[n, c]`` brings about, less its mean by degree.

    What a column's charges add up to is taken off everywhere, by degree: else it had nowhere to go.
    Of many samples, a few columns are solved at a time.
    """
    return blocks.replace_columns(lambda columns: _solved(edges, columns, iterations), charge)


def _solved(edges: Edges, charge: jax.Array, iterations: int) -> jax.Array:
    degrees = edges.degrees[:, None]
    charge = charge - degrees * charge.sum(0) / degrees.sum()
    root = jax.lax.rsqrt(degrees)
    solved, _ = cg(
        lambda v: (1.0 + _RIDGE) * v - multiply(edges, v),
        root * charge,
        tol=_TOLERANCE,
        maxiter=iterations,
    )
    potential = root * solved
    return potential - (degrees * potential).sum(0) / degrees.sum()
