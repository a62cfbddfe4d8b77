"""Antialiased resizing and cropping as two small matrix products.

Pillow's resampling is separable: an output row is a weighted mean of input rows. With the weights
as a matrix, crop, resize and mirror are one ``W_y @ image @ W_x^T``, which needs no gather and is
fast on every backend, also with a box that differs from sample to sample.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.data.kernels import KERNELS, Kernel


class Box(NamedTuple):
    """A crop in pixels of the raw image; each field a scalar."""

    top: jax.Array
    left: jax.Array
    height: jax.Array
    width: jax.Array


def whole(height: int, width: int) -> Box:
    """Return the box that covers an image of this size."""
    zero = jnp.zeros(())
    return Box(zero, zero, jnp.asarray(float(height)), jnp.asarray(float(width)))


def crop_resize(
    image: jax.Array, box: Box, size: int, kernel: Kernel, mirror: jax.Array | bool = False
) -> jax.Array:
    """Cut ``box`` out of an image, resize it to a square and perhaps mirror it left to right.

    Equals Pillow's ``image.crop(box).resize((size, size), kernel)`` for boxes of whole pixels,
    but for its rounding to uint8.

    Args:
      image: float ``[h, w, c]`` in [0, 1].
      box: what to cut out.
      size: side of the result in pixels.
      kernel: one of :data:`idc_jax.data.kernels.KERNELS`, widened when shrinking.
      mirror: bool scalar.

    Returns:
      float ``[size, size, c]``, clipped to [0, 1].
    """
    height, width, _ = image.shape
    rows = axis_weights(height, size, box.top, box.height, kernel)
    columns = axis_weights(width, size, box.left, box.width, kernel)
    columns = jnp.where(mirror, columns[::-1], columns)
    highest = jax.lax.Precision.HIGHEST
    out = jnp.einsum("sh,hwc->swc", rows, image, precision=highest)
    out = jnp.einsum("tw,swc->stc", columns, out, precision=highest)
    return jnp.clip(out, 0.0, 1.0)


def resize(image: jax.Array, size: int, kernel: Kernel = "bicubic") -> jax.Array:
    """Resize float ``[h, w, c]`` to ``[size, size, c]``; an image of that size stays as it is."""
    height, width, _ = image.shape
    if height == size and width == size:
        return image
    return crop_resize(image, whole(height, width), size, kernel)


def axis_weights(
    in_size: int, out_size: int, start: jax.Array, length: jax.Array, kernel: Kernel
) -> jax.Array:
    """Return the weights ``[out_size, in_size]`` of resampling one axis; rows sum to one.

    Only pixels within ``start .. start + length`` take part, as if the crop were cut out first.
    """
    weigh, support = KERNELS[kernel]
    ratio = length / out_size
    # A kernel narrower than a pixel would alias: Pillow widens it when shrinking.
    stretch = jnp.maximum(ratio, 1.0)
    centres = start + (jnp.arange(out_size) + 0.5) * ratio
    pixels = jnp.arange(in_size) + 0.5
    offsets = (pixels[None, :] - centres[:, None]) / stretch
    inside = (pixels > start) & (pixels < start + length)
    weights = jnp.where(inside & (jnp.abs(offsets) < support), weigh(offsets), 0.0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)
