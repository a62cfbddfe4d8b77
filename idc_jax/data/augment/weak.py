"""The contrastive view: random resized crop, mirror, colour jitter, grey (SimCLR's family)."""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.data.augment import color
from idc_jax.data.augment.resample import Box, crop_resize
from idc_jax.data.kernels import Kernel

_ORDERS = tuple(itertools.permutations(range(4)))


class WeakOptions(NamedTuple):
    """How strongly the contrastive view changes an image.

    Attributes:
      crop_scale: the least and greatest area of the crop, as a fraction of the image's.
      crop_ratio: the least and greatest width / height of the crop.
      kernel: of the resizing.
      mirror: flip left to right half of the time; not for digits and letters.
      jitter: strengths of brightness, contrast, saturation and hue.
      jitter_probability: how often colours are jittered at all.
      gray_probability: how often colour is dropped.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    kernel: Kernel = "bilinear"
    mirror: bool = True
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: float = 0.8
    gray_probability: float = 0.2


def weak_view(key: jax.Array, image: jax.Array, size: int, options: WeakOptions) -> jax.Array:
    """Return a contrastive view ``[size, size, c]`` of ``[h, w, c]`` in [0, 1]."""
    box_key, jitter_key, coin_key = jax.random.split(key, 3)
    height, width, channels = image.shape
    box = random_box(box_key, height, width, options.crop_scale, options.crop_ratio)
    mirror_coin, gray_coin = jax.random.uniform(coin_key, (2,))
    mirrored = options.mirror & (mirror_coin < 0.5)
    out = crop_resize(image, box, size, options.kernel, mirrored)
    out = color_jitter(jitter_key, out, options.jitter, options.jitter_probability)
    if channels == 1:
        return out
    return jnp.where(gray_coin < options.gray_probability, color.grayscale(out), out)


def random_box(
    key: jax.Array,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box:
    """Draw a crop: area uniform in ``scale``, log of width / height uniform in ``ratio``.

    A side that would not fit is cut to the image's, in place of drawing again.
    """
    uniform = jax.random.uniform(key, (4,))
    area = height * width * _between(uniform[0], *scale)
    aspect = jnp.exp(_between(uniform[1], math.log(ratio[0]), math.log(ratio[1])))
    crop_width = jnp.clip(jnp.round(jnp.sqrt(area * aspect)), 1, width)
    crop_height = jnp.clip(jnp.round(jnp.sqrt(area / aspect)), 1, height)
    top = jnp.floor(uniform[2] * (height - crop_height + 1))
    left = jnp.floor(uniform[3] * (width - crop_width + 1))
    return Box(top, left, crop_height, crop_width)


def color_jitter(
    key: jax.Array,
    image: jax.Array,
    strengths: tuple[float, float, float, float],
    probability: float,
) -> jax.Array:
    """Change brightness, contrast, saturation and hue, in random order, with ``probability``.

    Factors are uniform in ``1 - strength .. 1 + strength`` (0 at least), the hue's turn in
    ``-strength .. strength``.
    """
    # One draw for everything: each call of a generator costs compile time.
    uniform = jax.random.uniform(key, (6,))
    spread = jnp.asarray(strengths[:3])
    factors = _between(uniform[:3], jnp.maximum(1.0 - spread, 0.0), 1.0 + spread)
    turn = _between(uniform[3], -strengths[3], strengths[3])
    order = jnp.asarray(_ORDERS)[(uniform[4] * len(_ORDERS)).astype(jnp.int32)]
    out = image
    for slot in range(4):
        out = _jitter_step(out, order[slot], factors, turn)
    return jnp.where(uniform[5] < probability, out, image)


def _between(uniform: jax.Array, low: jax.Array | float, high: jax.Array | float) -> jax.Array:
    """Stretch draws from [0, 1) to [low, high)."""
    return low + uniform * (high - low)


def _jitter_step(
    image: jax.Array, which: jax.Array, factors: jax.Array, turn: jax.Array
) -> jax.Array:
    """Apply one of the four: three are a blend, with black, the mean or grey."""
    gray = color.luma(image)
    base = jnp.where(which == 0, 0.0, jnp.where(which == 1, jnp.mean(gray), gray))
    factor = factors[jnp.minimum(which, 2)]
    if image.shape[-1] == 1:
        return jnp.where(which < 2, color.blend(base, image, factor), image)
    return jnp.where(which < 3, color.blend(base, image, factor), color.hue(image, turn))
