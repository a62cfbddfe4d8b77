"""Nearest neighbours of a set within itself, each pair of points multiplied once.

The matrix of inner products is symmetric, so of its tiles only those on and above the diagonal
are computed; a tile serves its rows and its columns. Points are first put in an order in which
near ones stand together, and tiles of near points come first: after them, few points find
anything better. All of it is exact; no tile outlives its step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays, blocks, running_best, topk
from idc_jax.ops.running_best import Best

# Sides of a tile: large enough for the matrix product, small enough (16 MB) for the cache.
TILE = 2048
# Points of one cell of the order, on average.
_CELL = 1024


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
    order = near_order(x, max(1, n // _CELL))
    padded = jnp.pad(x[order], ((0, -n % tile), (0, 0)))
    found = _by_tiles(padded, n, k, tile)[:n]
    return jnp.zeros_like(found).at[order].set(order[found])


def near_order(x: jax.Array, num_cells: int) -> jax.Array:
    """An order ``[n]`` of the points by the nearest of ``num_cells`` evenly spaced rows."""
    n = x.shape[0]
    pivots = x[(np.arange(num_cells) * n) // num_cells]
    bias = 0.5 * arrays.squared_norms(pivots)
    nearest = lambda rows: jnp.argmax(arrays.inner(rows, pivots) - bias[None], axis=1)  # noqa: E731
    return jnp.argsort(blocks.map_rows(nearest, (x,), 4096), stable=True)


def _by_tiles(x: jax.Array, n: int, k: int, tile: int) -> jax.Array:
    """Indices for ``x`` ``[m, d]``, whole tiles, of which the first ``n`` rows are real."""
    num_blocks = x.shape[0] // tile
    # Padding is no row's neighbour.
    bias = jnp.where(jnp.arange(x.shape[0]) < n, -0.5 * arrays.squared_norms(x), -jnp.inf)

    def block(a: jax.Array, i: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(a, i * tile, tile)

    def product(i: jax.Array, j: jax.Array) -> jax.Array:
        return arrays.inner(block(x, i), block(x, j))

    def diagonal(i: jax.Array, best: Best) -> Best:
        scores = product(i, i) + block(bias, i)[None]
        scores = jnp.where(jnp.eye(tile, dtype=bool), -jnp.inf, scores)
        values, found = topk.top_k(scores, k)
        return _put(best, Best(values, found + i * tile), i * tile)

    def above(t: jax.Array, state: tuple[Best, jax.Array]) -> tuple[Best, jax.Array]:
        best, products = state
        i, j = first[t], second[t]
        # The next product needs nothing of this merge, so both may run at once.
        upcoming = product(first[t + 1], second[t + 1])
        rows, columns = (Best(*(block(a, b) for a in best)) for b in (i, j))
        rows = running_best.merge_rows(rows, products, block(bias, j), j * tile)
        columns = running_best.merge_columns(columns, products, block(bias, i), i * tile)
        return _put(_put(best, rows, i * tile), columns, j * tile), upcoming

    best = running_best.nothing(x.shape[0], k)
    best = jax.lax.fori_loop(0, num_blocks, diagonal, best)
    if num_blocks == 1:
        return best.indices
    first, second = _pairs_near_first(x, num_blocks, tile)
    state = (best, product(first[0], second[0]))
    return jax.lax.fori_loop(0, first.shape[0], above, state)[0].indices


def _put(best: Best, part: Best, start: jax.Array) -> Best:
    pairs = zip(best, part, strict=True)
    return Best(*(jax.lax.dynamic_update_slice_in_dim(a, b, start, 0) for a, b in pairs))


def _pairs_near_first(x: jax.Array, num_blocks: int, tile: int) -> tuple[jax.Array, jax.Array]:
    """Pairs of blocks above the diagonal, those whose means are nearest first."""
    first, second = (jnp.asarray(a, jnp.int32) for a in np.triu_indices(num_blocks, 1))
    means = jnp.mean(x.reshape(num_blocks, tile, -1), axis=1)
    order = jnp.argsort(arrays.squared_distances(means, means)[first, second])
    return first[order], second[order]
