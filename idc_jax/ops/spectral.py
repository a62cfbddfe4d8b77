"""The smoothest functions on a neighbour graph: the leading eigenvectors of its matrix."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays, blocks
from idc_jax.ops.edges import Edges, multiply
from idc_jax.ops.narrow import widened
from idc_jax.ops.orthonormal import orthonormal

# Vectors beyond those wanted, which make the last of them converge.
_SPARE = 20
# Rows of the vectors that are turned at a time.
_ROWS = 16_384
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
    values, vectors = leading_subspace(key, edges, count, degree=degree, rounds=rounds)
    return Eigenpairs(values[::-1][:count], vectors[:, ::-1][:, :count] / math.sqrt(len(vectors)))


def leading_subspace(
    key: jax.Array,
    edges: Edges,
    count: int,
    *,
    degree: int = 12,
    rounds: int = 3,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> Eigenpairs:
    """:func:`leading_eigenpairs` with some more, the largest last, and vectors of length √n.

    Of many samples, a few columns are multiplied at a time, and what comes of it takes their place.
    The vectors are kept as ``dtype``: with numbers of about 1, float16 holds them to three digits.
    """
    n = edges.indices.shape[0]
    width, length = min(count + _SPARE, n), math.sqrt(n)

    def filtered(block: jax.Array, cut: jax.Array) -> jax.Array:
        # [−1, cut] is brought to [−1, 1], where Chebyshev's polynomials stay small.
        center, half = (cut - 1.0) / 2.0, (cut + 1.0) / 2.0

        def product(x: jax.Array) -> jax.Array:
            return (multiply(edges, x) - center * x) / half

        def step(_: jax.Array, pair: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            before, last = pair
            return last, 2.0 * product(last) - before

        found = jax.lax.fori_loop(1, degree, step, (block, product(block)))[1]
        # What grew is beyond half precision; a basis asks for no lengths.
        return found * (length / jnp.linalg.norm(found, axis=0))

    def turned(_: jax.Array, fresh: jax.Array, rows: jax.Array, turn: jax.Array) -> jax.Array:
        del fresh
        return arrays.matmul(widened(rows), turn).astype(dtype)

    def round_(_: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        block, cut, _ = state
        basis = orthonormal(blocks.replace_columns(lambda x: filtered(x, cut), block), length)
        inside = _inside(edges, basis) / n
        values, turn = jnp.linalg.eigh((inside + inside.T) / 2.0)
        vectors = blocks.replace_rows(turned, basis, _ROWS, (turn,))
        return vectors, jnp.clip(values[0], _LEAST_CUT, _LAST_CUT), values

    start = orthonormal(_random(key, n, width, dtype), length)
    state = (start, jnp.float32(_FIRST_CUT), jnp.zeros(width))
    vectors, _, values = jax.lax.fori_loop(0, rounds, round_, state)
    return Eigenpairs(values, vectors)


def _random(key: jax.Array, n: int, width: int, dtype: jax.typing.DTypeLike) -> jax.Array:
    """Normal numbers ``[n, w]``; drawing all of many at once takes four times their memory."""
    own = blocks.num_columns(n, width)
    if own == width:
        return jax.random.normal(key, (n, width)).astype(dtype)

    def step(x: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        del fresh
        drawn = jax.random.normal(jax.random.fold_in(key, start), (n, own)).astype(dtype)
        return jax.lax.dynamic_update_slice_in_dim(x, drawn, start, axis=1)

    return blocks.scan_rows(step, jnp.zeros((n, width), dtype), width, own)


def _inside(edges: Edges, basis: jax.Array) -> jax.Array:
    """The matrix ``[w, w]`` that the graph's is on the ``basis`` ``[n, w]``."""
    width = blocks.num_columns(*basis.shape)

    def step(inside: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        del fresh  # the overlap is written twice with the same values
        own = widened(jax.lax.dynamic_slice_in_dim(basis, start, width, axis=1))
        found = _products(basis, multiply(edges, own))
        return jax.lax.dynamic_update_slice_in_dim(inside, found, start, axis=1)

    empty = jnp.zeros((basis.shape[1],) * 2)
    return blocks.scan_rows(step, empty, basis.shape[1], width)


def _products(x: jax.Array, y: jax.Array) -> jax.Array:
    """``xᵀ y`` ``[w, e]`` of ``x`` ``[n, w]`` of any precision and ``y`` ``[n, e]``."""

    def product(fresh: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        return arrays.matmul(jnp.where(fresh[:, None], widened(x), 0.0).T, y)

    return blocks.sum_rows(product, (x, y), _ROWS)
