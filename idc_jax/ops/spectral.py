"""The smoothest functions on a neighbour graph: the leading eigenvectors of its matrix."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays, sharded
from idc_jax.ops.edges import Edges, multiply

# Vectors beyond those wanted, which make the last of them converge.
_SPARE = 20
# Where unwanted eigenvalues are taken to end before anything is known of them, and at the least
# and the most: an interval from −1 to damp is needed, and some that is not damped.
_FIRST_CUT, _LEAST_CUT, _LAST_CUT = 0.5, 0.0, 0.95


class Eigenpairs(NamedTuple):
    """Attributes: values ``[m]``, the largest first, and vectors ``[n, m]`` of unit length."""

    values: jax.Array
    vectors: jax.Array


@partial(jax.jit, static_argnames=("count", "degree", "rounds"))
def leading_eigenpairs(
    key: jax.Array, edges: Edges, count: int, *, degree: int = 12, rounds: int = 3
) -> Eigenpairs:
    """The ``count`` largest eigenvalues of a graph's normalised matrix, and their vectors.

    Subspace iteration with a Chebyshev filter (Zhou, Saad, Tiago and Chelikowsky, "Self-consistent-
    field calculations using Chebyshev-filtered subspace iteration", 2006): the polynomial is small
    on the eigenvalues below the wanted ones, and grows fast above. Block Krylov methods keep all
    their blocks, which is memory, and were less exact for the same number of products.

    Args:
      key: of the start.
      edges: the symmetric matrix, its eigenvalues in [−1, 1].
      count: eigenpairs wanted, capped at n.
      degree: products by the matrix in a round.
      rounds: filterings; each is followed by a Rayleigh-Ritz step.
    """
    n = edges.indices.shape[0]
    width = min(count + _SPARE, n)

    def filtered(block: jax.Array, cut: jax.Array) -> jax.Array:
        # [−1, cut] is brought to [−1, 1], where Chebyshev's polynomials stay small.
        center, half = (cut - 1.0) / 2.0, (cut + 1.0) / 2.0

        def product(x: jax.Array) -> jax.Array:
            return (multiply(edges, x) - center * x) / half

        def step(_: jax.Array, pair: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            before, last = pair
            return last, 2.0 * product(last) - before

        return jax.lax.fori_loop(1, degree, step, (block, product(block)))[1]

    def round_(_: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        block, cut, _ = state
        basis = sharded.orthonormal(filtered(block, cut))
        inside = arrays.matmul(basis.T, multiply(edges, basis))
        values, turn = jnp.linalg.eigh((inside + inside.T) / 2.0)
        return arrays.matmul(basis, turn), jnp.clip(values[0], _LEAST_CUT, _LAST_CUT), values

    start = sharded.orthonormal(jax.random.normal(key, (n, width)))
    state = (start, jnp.float32(_FIRST_CUT), jnp.zeros(width))
    vectors, _, values = jax.lax.fori_loop(0, rounds, round_, state)
    return Eigenpairs(values[::-1][:count], vectors[:, ::-1][:, :count])
