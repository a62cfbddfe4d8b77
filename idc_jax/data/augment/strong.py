"""IDC's strong view: mirror, four random operations (RandAugment's family) and Cutout."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.data.augment import color, geometry
from idc_jax.data.augment.cutout import random_cutout
from idc_jax.data.augment.histogram import autocontrast, equalize
from idc_jax.data.augment.resample import resize


class StrongOptions(NamedTuple):
    """How strongly the strong view changes an image.

    Attributes:
      mirror: flip left to right half of the time; not for digits and letters.
      operations: how many are drawn, with replacement.
      cutout: the longest side of the hidden square, as a fraction of the image's: 75 of 224
        pixels, and 96 of 224 for STL-10.
    """

    mirror: bool = True
    operations: int = 4
    cutout: float = 75 / 224


# Name, least and greatest magnitude; the unit is that of the operation of this name.
OPERATIONS: tuple[tuple[str, float, float], ...] = (
    ("identity", 0.0, 0.0),
    ("autocontrast", 0.0, 0.0),
    ("equalize", 0.0, 0.0),
    ("solarize", 0.0, 256.0),
    ("posterize", 4.0, 8.0),
    ("color", 0.05, 0.95),
    ("contrast", 0.05, 0.95),
    ("brightness", 0.05, 0.95),
    ("sharpness", 0.05, 0.95),
    ("rotate", -30.0, 30.0),
    ("shear_x", -0.1, 0.1),
    ("shear_y", -0.1, 0.1),
    ("translate_x", -0.1, 0.1),
    ("translate_y", -0.1, 0.1),
)
_Carry = tuple[jax.Array, jax.Array]
_INDEX = {name: index for index, (name, _, _) in enumerate(OPERATIONS)}


def strong_view(key: jax.Array, image: jax.Array, size: int, options: StrongOptions) -> jax.Array:
    """Return a strong view ``[size, size, c]`` of ``[h, w, c]`` in [0, 1].

    IDC's appendix on augmentation. The operations on colours are applied in the order drawn and
    the geometric ones after them, composed into a single warp: the published code resamples at
    each, which only loses sharpness, and differs in that later colour operations see the black
    corners of earlier turns.
    """
    mirror_key, which_key, magnitude_key, cutout_key = jax.random.split(key, 4)
    out = resize(image, size)
    if options.mirror:
        out = jnp.where(jax.random.bernoulli(mirror_key), geometry.mirror(out), out)
    which = jax.random.randint(which_key, (options.operations,), 0, len(OPERATIONS))
    uniform = jax.random.uniform(magnitude_key, (options.operations,))
    limits = jnp.asarray([operation[1:] for operation in OPERATIONS])
    magnitude = limits[which, 0] + uniform * (limits[which, 1] - limits[which, 0])
    out = apply_operations(out, which, magnitude)
    return random_cutout(cutout_key, out, round(options.cutout * size))


def apply_operations(image: jax.Array, which: jax.Array, magnitude: jax.Array) -> jax.Array:
    """Apply the operations ``which`` ``[m]`` of `OPERATIONS` with magnitudes ``[m]``."""
    size = image.shape[0]

    def step(carry: _Carry, drawn: tuple[jax.Array, jax.Array]) -> tuple[_Carry, None]:
        out, matrix = carry
        return (_color_step(out, *drawn), matrix @ _geometric_step(*drawn, size)), None

    start = (image, geometry.identity())
    (out, matrix), _ = jax.lax.scan(step, start, (which, magnitude))
    return geometry.warp(out, matrix)


def _color_step(image: jax.Array, which: jax.Array, magnitude: jax.Array) -> jax.Array:
    # Under vmap a switch computes every branch anyway: one select over all of them fuses.
    outcomes = {
        "autocontrast": autocontrast(image),
        "equalize": equalize(image),
        "solarize": color.solarize(image, magnitude),
        "posterize": color.posterize(image, jnp.floor(magnitude)),
        "color": color.saturation(image, magnitude),
        "contrast": color.contrast(image, magnitude),
        "brightness": color.brightness(image, magnitude),
        "sharpness": color.sharpness(image, magnitude),
    }
    chosen = [which == _INDEX[name] for name in outcomes]
    return jnp.select(chosen, list(outcomes.values()), image)


def _geometric_step(which: jax.Array, magnitude: jax.Array, size: int) -> jax.Array:
    outcomes = {
        "rotate": geometry.rotation(magnitude, size, size),
        "shear_x": geometry.shear_x(magnitude),
        "shear_y": geometry.shear_y(magnitude),
        "translate_x": geometry.translation(magnitude * size, 0.0),
        "translate_y": geometry.translation(0.0, magnitude * size),
    }
    chosen = [which == _INDEX[name] for name in outcomes]
    return jnp.select(chosen, list(outcomes.values()), geometry.identity())
