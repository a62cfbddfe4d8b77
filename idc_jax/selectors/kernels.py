"""Kernels of the coverage selectors: how well one sample stands for another, 0 to 1."""

from __future__ import annotations

import jax.numpy as jnp

from idc_jax.ops import arrays
from idc_jax.ops.shapes import Array, Float


def gaussian(
    x: Float[Array, "n d"], y: Float[Array, "m d"], bandwidth: Float[Array, ""]
) -> Float[Array, "n m"]:
    """``exp(−|x − y|² / σ²)`` ``[a, b]``."""
    return jnp.exp(-arrays.squared_distances(x, y) / jnp.square(bandwidth))


def ball(
    x: Float[Array, "n d"], y: Float[Array, "m d"], radius: Float[Array, ""]
) -> Float[Array, "n m"]:
    """1 where ``|x − y| ≤ δ`` and 0 elsewhere, ``[a, b]``."""
    return (arrays.squared_distances(x, y) <= jnp.square(radius)).astype(jnp.float32)


def cosine(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """``(1 + cos) / 2`` of unit-length rows, ``[a, b]``."""
    return jnp.clip(0.5 + 0.5 * arrays.inner(x, y), 0.0, 1.0)
