"""Rows that stay as narrow as they come (float16, bfloat16), a few at a time made float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import arrays, blocks

_KEPT = (jnp.float32, jnp.float16, jnp.bfloat16)


def check_rows(x: jax.Array) -> jax.Array:
    """``x`` ``[n, d]`` as :func:`idc_jax.ops.arrays.check_matrix` takes it, half precision kept.

    Raises:
      UserError: nothing can be computed from ``x``.
    """
    if x.ndim != 2 or 0 in x.shape:
        raise UserError(f"x has shape {x.shape}; it must be [n, d] with n, d >= 1")
    arrays.check_finite(x)
    arrays.check_scale(x)
    return x if x.dtype in _KEPT else x.astype(jnp.float32)


def exact_distances2(
    x: jax.Array, rows: jax.Array, found: jax.Array, block: int = 256
) -> jax.Array:
    """``Σ (xᵢ − xⱼ)²`` in float32, of each of the ``rows`` ``[m]`` and those ``found`` ``[m, k]``.

    A row of ``n`` stands for nothing: it is infinitely far.
    """

    def exact(rows: jax.Array, found: jax.Array) -> jax.Array:
        gaps = x[rows].astype(jnp.float32)[:, None] - x[found].astype(jnp.float32)
        return jnp.where(found < x.shape[0], jnp.sum(jnp.square(gaps), axis=-1), jnp.inf)

    return blocks.map_rows(exact, (rows, found), block)
