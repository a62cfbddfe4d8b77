"""Nearest neighbours of a set within itself, each pair of points multiplied once.

The matrix of inner products is symmetric, so of its tiles only those on and above the diagonal
are computed; a tile serves its rows and its columns. What it offers is merged into the running
best of each point chunk by chunk, and only while some chunk maximum beats the point's worst kept
neighbour. Both halves are exact; no tile outlives its step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays, topk

# Sides of a tile: large enough for the matrix product, small enough for a 16 MB cache slice.
TILE = 2048
_CHUNK = 32
# Chunks merged at a time. Few points need more from one tile once the first tiles are through.
_TAKE = 4


# (chunks [b, t], positions [b, t·chunk]) -> products there [b, t·chunk].
_Inside = Callable[[jax.Array, jax.Array], jax.Array]


class _Best(NamedTuple):
    """Running best: ``scores`` ``[n, k]``, higher is nearer, and ``indices`` ``[n, k]``."""

    scores: jax.Array
    indices: jax.Array

    def rows(self, block: jax.Array, size: int) -> _Best:
        parts = (jax.lax.dynamic_slice_in_dim(a, block * size, size) for a in self)
        return _Best(*parts)

    def with_rows(self, part: _Best, block: jax.Array, size: int) -> _Best:
        pairs = zip(self, part, strict=True)
        return _Best(
            *(jax.lax.dynamic_update_slice_in_dim(a, b, block * size, 0) for a, b in pairs)
        )


def nearest(x: jax.Array, k: int, tile: int = TILE) -> jax.Array:
    """Indices int32 ``[n, k]`` of the ``k`` nearest other rows of ``x`` ``[n, d]``, ``k < n``.

    Nearness is ``x·y − |y|²/2`` in float32, so neighbours whose distances agree to rounding
    may change places; ask for a few more than wanted and recompute.

    Args:
      x: points ``[n, d]``; centred ones lose least to rounding.
      k: neighbours, at most ``tile − 1``.
      tile: rows and columns of one tile, a multiple of 32.
    """
    n = x.shape[0]
    num_blocks = -(-n // tile)
    padded = jnp.pad(x, ((0, num_blocks * tile - n), (0, 0)))
    # Padding is nobody's neighbour.
    real = jnp.arange(num_blocks * tile) < n
    bias = jnp.where(real, -0.5 * arrays.squared_norms(padded), -jnp.inf)

    def block(a: jax.Array, i: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(a, i * tile, tile)

    def diagonal(i: jax.Array, best: _Best) -> _Best:
        scores = arrays.inner(block(padded, i), block(padded, i)) + block(bias, i)[None]
        scores = jnp.where(jnp.eye(tile, dtype=bool), -jnp.inf, scores)
        values, found = topk.top_k(scores, k)
        return best.with_rows(_Best(values, found + i * tile), i, tile)

    def above(t: jax.Array, best: _Best) -> _Best:
        i, j = first[t], second[t]
        products = arrays.inner(block(padded, i), block(padded, j))
        rows = _merge_rows(best.rows(i, tile), products, block(bias, j), j * tile)
        best = best.with_rows(rows, i, tile)
        columns = _merge_columns(best.rows(j, tile), products, block(bias, i), i * tile)
        return best.with_rows(columns, j, tile)

    first, second = (jnp.asarray(a, jnp.int32) for a in np.triu_indices(num_blocks, 1))
    shape = (num_blocks * tile, k)
    best = _Best(jnp.full(shape, -jnp.inf), jnp.zeros(shape, jnp.int32))
    best = jax.lax.fori_loop(0, num_blocks, diagonal, best)
    best = jax.lax.fori_loop(0, first.shape[0], above, best)
    return best.indices[:n]


def _merge_rows(best: _Best, products: jax.Array, bias: jax.Array, offset: jax.Array) -> _Best:
    """Merge a tile's columns into the best of its rows."""
    rows, width = products.shape
    maxima = jnp.max((products + bias[None]).reshape(rows, -1, _CHUNK), axis=2)
    chunked = products.reshape(rows, width // _CHUNK, _CHUNK)

    def inside(chunks: jax.Array, positions: jax.Array) -> jax.Array:
        del positions
        return chunked[jnp.arange(rows)[:, None], chunks].reshape(rows, -1)

    return _merge_while_better(best, maxima, inside, bias, offset)


def _merge_columns(best: _Best, products: jax.Array, bias: jax.Array, offset: jax.Array) -> _Best:
    """Merge a tile's rows into the best of its columns, without transposing the tile."""
    width = products.shape[1]
    maxima = jnp.max((products + bias[:, None]).reshape(-1, _CHUNK, width), axis=1).T

    def inside(chunks: jax.Array, positions: jax.Array) -> jax.Array:
        del chunks
        return products[positions, jnp.arange(width)[:, None]]

    return _merge_while_better(best, maxima, inside, bias, offset)


def _merge_while_better(
    best: _Best, maxima: jax.Array, inside: _Inside, bias: jax.Array, offset: jax.Array
) -> _Best:
    """Merge the most promising chunks until no chunk maximum beats anyone's worst neighbour."""
    points, width = maxima.shape
    take = min(_TAKE, width)

    def better(best: _Best, maxima: jax.Array) -> jax.Array:
        # A minimum, not the last column: slicing the result would turn XLA's top-k into a sort.
        return jnp.any(jnp.max(maxima, axis=1) > jnp.min(best.scores, axis=1))

    def step(state: tuple) -> tuple:
        best, maxima, _ = state
        chunks = jnp.sort(jax.lax.top_k(maxima, take)[1], axis=1)
        positions = (chunks[:, :, None] * _CHUNK + jnp.arange(_CHUNK)).reshape(points, -1)
        scores = inside(chunks, positions) + bias[positions]
        best = _Best(*topk.merge(best.scores, best.indices, scores, positions + offset))
        maxima = maxima.at[jnp.arange(points)[:, None], chunks].set(-jnp.inf)
        return best, maxima, better(best, maxima)

    start = (best, maxima, better(best, maxima))
    return jax.lax.while_loop(lambda state: state[2], step, start)[0]
