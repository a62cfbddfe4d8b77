"""How an image of any shape becomes the square that a network sees.

The authors of a network showed it images in one way, and it sees them so again: from a file
through Pillow, from pixels that are stored through :func:`fitted`, which gives Pillow's numbers on
the device, to the last bit.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from idc_jax.data.kernels import KERNELS, Kernel
from idc_jax.errors import UserError

Rule = Literal["middle", "shorter", "stretch"]
RULES: tuple[Rule, ...] = get_args(Rule)
_PILLOW: dict[Kernel, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Pillow's weights are whole multiples of 2^-22. Two halves of their bits times a grey level are
# sums that float32 holds exactly.
_BITS, _HALF = 22, 11


class Fit(NamedTuple):
    """A square out of an image.

    Attributes:
      size: its side in pixels.
      resize: what the image is resized to before the middle ``size`` pixels are cut out.
      rule: of the resizing: ``"stretch"`` the whole image to a square, make the ``"shorter"`` side
        that long, or cut out the ``"middle"`` square first.
      kernel: of the resizing, widened where it shrinks.
    """

    size: int
    resize: int
    rule: Rule = "middle"
    kernel: Kernel = "bicubic"


def check_fit(rule: str, kernel: str) -> None:
    """Refuse names that are not known.

    Raises:
      UserError: naming the choices.
    """
    for value, known in ((rule, RULES), (kernel, tuple(_PILLOW))):
        if value not in known:
            raise UserError(f"images are fitted by {', '.join(known)}, not by {value!r}")


def fit_square(
    image: Image.Image, size: int, rule: Rule = "middle", kernel: Kernel = "bicubic"
) -> Image.Image:
    """Make a square of ``size`` pixels out of an image; see :class:`Fit`."""
    if image.size == (size, size):
        return image
    if rule == "stretch":
        return image.resize((size, size), _PILLOW[kernel])
    if rule == "middle":
        return ImageOps.fit(image, (size, size), method=_PILLOW[kernel])
    width, height = image.size
    sides = _shorter(height, width, size)
    top, left = (_middle(side, size) for side in sides)
    return image.resize(sides[::-1], _PILLOW[kernel]).crop((left, top, left + size, top + size))


def fitted(raw: jax.Array, fit: Fit) -> jax.Array:
    """Make a square out of uint8 ``[h, w, c]``: uint8 levels in float32 ``[size, size, c]``."""
    height, width, _ = raw.shape
    if fit.rule == "middle" and height != width:
        side = min(height, width)
        top, left = _middle(height, side), _middle(width, side)
        raw = raw[top : top + side, left : left + side]
        height = width = side
    sides = (fit.resize, fit.resize)
    if fit.rule == "shorter":
        sides = _shorter(height, width, fit.resize)
    out = resized_levels(raw.astype(jnp.float32), sides, fit.kernel)
    top, left = (_middle(side, fit.size) for side in sides)
    return out[top : top + fit.size, left : left + fit.size]


def resized_levels(levels: jax.Array, sides: tuple[int, int], kernel: Kernel) -> jax.Array:
    """Resize whole grey levels ``[h, w, c]`` to ``[*sides, c]``, rounded as Pillow rounds them."""
    height, width, _ = levels.shape
    # Pillow rounds between the two. It begins within the rows; where an image is not square, its
    # latest versions may begin within the columns.
    if width != sides[1]:
        levels = _resample(levels, width, sides[1], kernel, "hwc,sw->hsc")
    if height != sides[0]:
        levels = _resample(levels, height, sides[0], kernel, "hwc,sh->swc")
    return levels


def _resample(levels: jax.Array, old: int, new: int, kernel: Kernel, equation: str) -> jax.Array:
    high, low = (
        jnp.einsum(equation, levels, weights, precision=jax.lax.Precision.HIGHEST)
        for weights in _whole_weights(old, new, kernel)
    )
    total = high.astype(jnp.int32) * 2**_HALF + low.astype(jnp.int32) + 2 ** (_BITS - 1)
    return jnp.clip(total >> _BITS, 0, 255).astype(jnp.float32)


@functools.cache
def _whole_weights(old: int, new: int, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower bits of Pillow's weights ``[new, old]``, as whole numbers."""
    weigh, _ = KERNELS[kernel]
    ratio = old / new
    stretch = max(ratio, 1.0)
    centres = (np.arange(new) + 0.5)[:, None] * ratio
    offsets = (np.arange(old) + 0.5 - centres) / stretch
    weights = weigh(offsets)
    weights = weights / weights.sum(axis=1, keepdims=True) * 2**_BITS
    # Half away from zero.
    whole = np.trunc(weights + np.copysign(0.5, weights)).astype(np.int64)
    high = whole >> _HALF
    return high.astype(np.float32), (whole - (high << _HALF)).astype(np.float32)


def _shorter(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width once the shorter of them is ``size``; a part of a pixel is left out."""
    if height <= width:
        return size, int(size * width / height)
    return int(size * height / width), size


def _middle(side: int, size: int) -> int:
    """Where the middle ``size`` of ``side`` pixels begin; of a half, torchvision takes the even."""
    return round((side - size) / 2)
