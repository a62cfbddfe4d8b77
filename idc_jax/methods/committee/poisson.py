"""Poisson learning: answers are sources of a current that flows through the neighbour graph.

Label spreading with few answers is nearly even far from them; the current keeps a slope.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg

from idc_jax.ops.edges import Edges, multiply

# Keeps the equations solvable where the graph falls apart.
_RIDGE = 1e-4
_TOLERANCE = 1e-3
# How clear an opinion is where the potential is one standard deviation.
_SHARPNESS = 5.0


def poisson(
    edges: Edges, rows: jax.Array, said: jax.Array, named: jax.Array, iterations: int
) -> jax.Array:
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

    Returns:
      ``[n, c]``, rows summing to one.
    """
    counts = said.sum(0)
    share = counts / jnp.maximum(counts.sum(), 1.0)
    root = jax.lax.rsqrt(edges.degrees)[:, None]
    sources = said - share * said.sum(1, keepdims=True)
    charge = jnp.zeros((len(edges.degrees), len(share))).at[rows].add(root[rows] * sources)
    solved, _ = cg(
        lambda v: (1.0 + _RIDGE) * v - multiply(edges, v),
        charge,
        tol=_TOLERANCE,
        maxiter=iterations,
    )
    potential = root * solved
    degrees = edges.degrees[:, None]
    potential -= (degrees * potential).sum(0) / degrees.sum()
    potential = jnp.where(named, potential / jnp.maximum(share, 1e-12), 0.0)
    deviation = jnp.sqrt(jnp.mean(jnp.square(potential)) * len(named) / named.sum())
    sharp = _SHARPNESS * potential / jnp.maximum(deviation, 1e-12)
    return jax.nn.softmax(jnp.where(named, sharp, -jnp.inf))
