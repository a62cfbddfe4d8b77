"""The three views of an image, put together."""

import functools

import jax
import jax.numpy as jnp

from idc_jax.data.augment.resample import resize
from idc_jax.data.augment.strong import StrongOptions, strong_view
from idc_jax.data.augment.warped import WarpOptions, warped_view
from idc_jax.data.augment.weak import WeakOptions, weak_view
from idc_jax.data.fit import Fit, fitted
from idc_jax.data.views import Views
from idc_jax.errors import UserError

# Per-channel statistics of ImageNet, which PCL's views are normalised by.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Normalization = tuple[tuple[float, ...], tuple[float, ...]]


@functools.lru_cache(maxsize=32)
def image_views(
    shape: tuple[int, ...],
    size: int,
    *,
    weak: WeakOptions | WarpOptions | None = None,
    strong: StrongOptions | None = None,
    normalization: Normalization | None = None,
    val: Fit | None = None,
) -> Views:
    """Build the views of a raw image, each ``(key, uint8 [h, w, c]) -> float32 [size, size, c]``.

    Equal arguments give the same functions, so that a second run compiles nothing anew.

    Args:
      shape: (h, w, c) of a raw image.
      size: side of the views in pixels.
      weak: options of the contrastive view, crops or warps; None for the crops' defaults.
      strong: options of the strong view; None for the defaults.
      normalization: mean and standard deviation for each channel, or None for values in [0, 1].
      val: how the view without augmentation is made, rounded to grey levels as a file's would be;
        None for a bicubic resizing of the whole image, not rounded.

    Raises:
      UserError: a shape that no image has.
    """
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1 or size < 1:
        raise UserError(
            f"no views for images of shape {list(shape)} at {size} pixels: "
            f"use [h, w, 1] or [h, w, 3] and a size of at least 1"
        )
    weak = WeakOptions() if weak is None else weak
    strong = StrongOptions() if strong is None else strong

    def weak_image(key: jax.Array, raw: jax.Array) -> jax.Array:
        image = to_float(raw)
        if isinstance(weak, WarpOptions):
            return normalize(warped_view(key, image, size, weak), normalization)
        return normalize(weak_view(key, image, size, weak), normalization)

    def strong_image(key: jax.Array, raw: jax.Array) -> jax.Array:
        return normalize(strong_view(key, to_float(raw), size, strong), normalization)

    def val_image(key: jax.Array, raw: jax.Array) -> jax.Array:
        del key
        seen = resize(to_float(raw), size) if val is None else fitted(raw, val) / 255.0
        return normalize(seen, normalization)

    return Views(weak=weak_image, strong=strong_image, val=val_image)


def pcl_views(shape: tuple[int, ...], size: int = 128) -> Views:
    """Build PCL's views: crops of 0.08 to 1 of the area, ImageNet's normalisation.

    PCL has no strong view; the one here is IDC's, normalised alike. Images of one channel are
    normalised by the mean of the three channels' statistics.
    """
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if shape[2] == 1:
        return image_views(shape, size, normalization=((sum(mean) / 3,), (sum(std) / 3,)))
    return image_views(shape, size, normalization=(mean, std))


def to_float(raw: jax.Array) -> jax.Array:
    """Return uint8 ``[h, w, c]`` as float32 in [0, 1]."""
    return raw.astype(jnp.float32) / 255.0


def normalize(image: jax.Array, normalization: Normalization | None) -> jax.Array:
    """Return ``(image - mean) / std``, or the image where there is no normalisation."""
    if normalization is None:
        return image
    mean, std = (jnp.asarray(values, image.dtype) for values in normalization)
    return (image - mean) / std
