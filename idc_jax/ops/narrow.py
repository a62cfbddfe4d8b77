"""Rows that stay as narrow as they come (float16, bfloat16).

What is computed of them is computed in float32, of a block of rows at a time: XLA for CPUs makes
all of a narrow operand of a product float32 first, unless each block is cut out within a loop.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import arrays, blocks

# Rows that are made float32 at a time.
_BLOCK = 4096
_NARROW = (jnp.float16, jnp.bfloat16)
_KEPT = (jnp.float32, *_NARROW)


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


def widened(x: jax.Array) -> jax.Array:
    """``x`` in float32, if it is narrower."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def each(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """``function`` of the rows of ``x`` ``[n, d]``: ``[n, e]``, as narrow as ``x``.

    Args:
      function: of float32 ``[b, d]`` to ``[b, e]``, row by row; indexes no array but these.
      x: ``[n, d]``.
    """
    return blocks.map_rows(lambda rows: function(widened(rows)).astype(x.dtype), (x,), _BLOCK)


def mean(x: jax.Array) -> jax.Array:
    """The mean ``[d]`` of the rows of ``x`` ``[n, d]``, float32."""
    return _mean(lambda rows: rows, x)


def variances(x: jax.Array) -> jax.Array:
    """The variance ``[d]`` of each column of ``x`` ``[n, d]``, float32."""
    if x.dtype not in _NARROW:
        return jnp.var(x, axis=0)
    center = mean(x)
    return _mean(lambda rows: jnp.square(rows - center), x)


def _mean(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    def total(fresh: jax.Array, rows: jax.Array) -> jax.Array:
        return jnp.sum(function(widened(rows)), axis=0, where=fresh[:, None])

    return blocks.sum_rows(total, (x,), _BLOCK) / len(x)
