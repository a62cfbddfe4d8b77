"""An orthonormal basis of a few columns of many rows, made of blocks of them.

Each block has a basis of its own rows, and one of their small factors makes them one (Demmel,
Grigori, Hoemmen and Langou, "Communication-optimal parallel and sequential QR and LU
factorizations", 2012): over the devices that the rows are spread over, and on each of many rows.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays, blocks, sharded

# Rows of one block.
_ROWS = 16_384


def orthonormal(x: jax.Array) -> jax.Array:
    """An orthonormal basis ``[n, w]`` of the columns of ``x`` ``[n, w]``, n at least w."""
    how, width = sharded.divides(len(x)), x.shape[1]
    if how is None or len(x) // how.size < width:
        return _by_blocks(x)[0]

    def local(x: jax.Array) -> jax.Array:
        basis, factor = _by_blocks(x)
        factors = jax.lax.all_gather(factor, how.axis, tiled=True)
        turn = jnp.linalg.qr(factors)[0]
        own = jax.lax.dynamic_slice_in_dim(turn, jax.lax.axis_index(how.axis) * width, width)
        return blocks.replace_rows(_turned, basis, _ROWS, (own,))

    return sharded.on_each(local, how, (x,))


def _by_blocks(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A basis ``[n, w]`` in the place of ``x``, and the factor ``[w, w]`` that gives ``x`` back."""
    n, width = x.shape
    if n <= max(_ROWS, 2 * width):
        basis, factor = jnp.linalg.qr(x)
        return basis, factor
    rows = max(_ROWS, width)

    def factor_of(factors: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        own = jax.lax.dynamic_slice_in_dim(x, start, rows)
        found = jnp.linalg.qr(jnp.where(fresh[:, None], own, 0.0), mode="r")
        return factors.at[-(-start // rows)].set(found)

    factors = jnp.zeros((-(-n // rows), width, width))
    factors = blocks.scan_rows(factor_of, factors, n, rows)
    turns, factor = jnp.linalg.qr(factors.reshape(-1, width))

    def basis_of(i: jax.Array, fresh: jax.Array, own: jax.Array, turns: jax.Array) -> jax.Array:
        # Made once more: all of them would be as large as the basis.
        basis = jnp.linalg.qr(jnp.where(fresh[:, None], own, 0.0))[0]
        return arrays.matmul(basis, turns[i])

    return blocks.replace_rows(basis_of, x, rows, (turns.reshape(factors.shape),)), factor


def _turned(i: jax.Array, fresh: jax.Array, rows: jax.Array, turn: jax.Array) -> jax.Array:
    del i, fresh
    return arrays.matmul(rows, turn)
