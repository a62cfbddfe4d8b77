"""An orthonormal basis of a few columns of many rows, made of blocks of them.

Each block has a basis of its own rows, and one of their small factors makes them one (Demmel,
Grigori, Hoemmen and Langou, "Communication-optimal parallel and sequential QR and LU
factorizations", 2012): over the devices that the rows are spread over, and on each of many rows.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays, blocks, sharded
from idc_jax.ops.narrow import widened

# Rows of one block.
_ROWS = 16_384


def orthonormal(x: jax.Array, length: float = 1.0) -> jax.Array:
    """An orthonormal basis ``[n, w]`` of the columns of ``x`` ``[n, w]``, n at least w.

    Args:
      x: of any precision, which the basis has, too.
      length: of the basis's vectors. With √n, half precision holds their numbers.
    """
    how, width = sharded.divides(len(x)), x.shape[1]
    if how is None or len(x) // how.size < width:
        return _by_blocks(x, length)[0]

    def local(x: jax.Array) -> jax.Array:
        basis, factor = _by_blocks(x, length)
        factors = jax.lax.all_gather(factor, how.axis, tiled=True)
        turn = jnp.linalg.qr(factors)[0]
        own = jax.lax.dynamic_slice_in_dim(turn, jax.lax.axis_index(how.axis) * width, width)
        return blocks.replace_rows(_turned, basis, _ROWS, (own,))

    return sharded.on_each(local, how, (x,))


def _by_blocks(x: jax.Array, length: float) -> tuple[jax.Array, jax.Array]:
    """A basis ``[n, w]`` in the place of ``x``, and its factor ``[w, w]``."""
    n, width = x.shape
    if n <= max(_ROWS, 2 * width):
        basis, factor = jnp.linalg.qr(widened(x))
        return (length * basis).astype(x.dtype), factor
    rows = max(_ROWS, width)
    own_length = math.sqrt(rows)

    def of_block(
        state: tuple[jax.Array, jax.Array], start: jax.Array, fresh: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        factors, x = state
        own = jax.lax.dynamic_slice_in_dim(x, start, rows)
        basis, factor = jnp.linalg.qr(jnp.where(fresh[:, None], widened(own), 0.0))
        basis = jnp.where(fresh[:, None], (own_length * basis).astype(x.dtype), own)
        x = jax.lax.dynamic_update_slice_in_dim(x, basis, start, 0)
        return factors.at[-(-start // rows)].set(factor), x

    def turned(i: jax.Array, fresh: jax.Array, own: jax.Array, turns: jax.Array) -> jax.Array:
        return _turned(i, fresh, own, turns[i])

    factors = jnp.zeros((-(-n // rows), width, width))
    factors, x = blocks.scan_rows(of_block, (factors, x), n, rows)
    turns, factor = jnp.linalg.qr(factors.reshape(-1, width))
    turns = (length / own_length) * turns.reshape(factors.shape)
    return blocks.replace_rows(turned, x, rows, (turns,)), factor


def _turned(i: jax.Array, fresh: jax.Array, rows: jax.Array, turn: jax.Array) -> jax.Array:
    del i, fresh
    return arrays.matmul(widened(rows), turn).astype(rows.dtype)
