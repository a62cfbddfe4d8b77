"""Operations that look at an image's grey levels as a whole, channel by channel."""

import jax
import jax.numpy as jnp

from idc_jax.data.augment.color import levels


def autocontrast(image: jax.Array) -> jax.Array:
    """Stretch each channel of ``[h, w, c]`` in [0, 1] to the full range: ImageOps.autocontrast."""
    low = jnp.min(image, axis=(0, 1))
    high = jnp.max(image, axis=(0, 1))
    spread = high - low
    flat = spread <= 0
    return jnp.where(flat, image, (image - low) / jnp.where(flat, 1.0, spread))


def equalize(image: jax.Array) -> jax.Array:
    """Flatten the histogram of each channel of ``[h, w, c]`` in [0, 1]: ``ImageOps.equalize``."""
    height, width, channels = image.shape
    # One table of 256 levels per channel, laid end to end: one scatter and one gather for all.
    slots = levels(image).astype(jnp.int32) + 256 * jnp.arange(channels)
    counts = jnp.zeros(256 * channels).at[slots.ravel()].add(1.0, mode="promise_in_bounds")
    table = _equalizing_table(counts.reshape(channels, 256), height * width).ravel()
    # Without the barrier XLA computes the table anew for every pixel that looks something up.
    table = jax.lax.optimization_barrier(table)
    return table.at[slots].get(mode="promise_in_bounds").astype(image.dtype) / 255.0


def _equalizing_table(counts: jax.Array, total: int) -> jax.Array:
    """Return Pillow's integer table as floats ``[c, 256]``, from the counts ``[c, 256]``."""
    level = jnp.arange(256.0)
    brightest = jnp.max(jnp.where(counts > 0, level, 0.0), axis=1, keepdims=True)
    # Pillow leaves the brightest level that occurs out of the step, and so do we.
    last = jnp.sum(jnp.where(level == brightest, counts, 0.0), axis=1, keepdims=True)
    step = _whole_quotient(total - last, 255.0)
    below = jnp.cumsum(counts, axis=1) - counts
    table = _whole_quotient(_whole_quotient(step, 2.0) + below, jnp.maximum(step, 1.0))
    return jnp.where(step > 0, jnp.minimum(table, 255.0), level)


def _whole_quotient(dividend: jax.Array, divisor: jax.Array | float) -> jax.Array:
    """Divide whole floats, rounding down; the half keeps rounding from crossing a whole number."""
    return jnp.floor((dividend + 0.5) / divisor)
