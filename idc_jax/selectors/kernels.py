"""Kernels of the coverage selectors: how well one sample stands for another, 0 to 1."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays


def gaussian(x: jax.Array, y: jax.Array, bandwidth: jax.Array) -> jax.Array:
    """``exp(−|x − y|² / σ²)`` ``[a, b]``."""
    return jnp.exp(-arrays.squared_distances(x, y) / jnp.square(bandwidth))


def ball(x: jax.Array, y: jax.Array, radius: jax.Array) -> jax.Array:
    """1 where ``|x − y| ≤ δ`` and 0 elsewhere, ``[a, b]``."""
    return (arrays.squared_distances(x, y) <= jnp.square(radius)).astype(jnp.float32)


def cosine(x: jax.Array, y: jax.Array) -> jax.Array:
    """``(1 + cos) / 2`` of unit-length rows, ``[a, b]``."""
    return jnp.clip(0.5 + 0.5 * arrays.inner(x, y), 0.0, 1.0)
