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
    level = levels(image).astype(jnp.int32)
    mapped = jax.vmap(_equalize_channel, in_axes=-1, out_axes=-1)(level)
    return mapped.astype(image.dtype) / 255.0


def _equalize_channel(level: jax.Array) -> jax.Array:
    """Map int32 levels ``[h, w]`` as Pillow's integer table does."""
    counts = jnp.zeros(256, jnp.int32).at[level.ravel()].add(1)
    # Pillow leaves the brightest level that occurs out of the step, and so do we.
    step = (level.size - counts[jnp.max(level)]) // 255
    below = jnp.cumsum(counts) - counts
    table = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, table[level], level)
