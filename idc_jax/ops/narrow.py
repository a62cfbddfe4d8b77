"""Rows that stay as narrow as they come (float16, bfloat16)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import arrays

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
