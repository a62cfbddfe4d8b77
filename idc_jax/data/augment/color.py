"""Colour operations on float images ``[h, w, c]`` in [0, 1], as Pillow's ImageEnhance has them.

A factor of 1 gives the image back, 0 gives what the operation takes away. With one channel
`saturation`, `hue` and `grayscale` are identities, as they are for Pillow's mode ``"L"``.
"""

import jax
import jax.numpy as jnp

# ITU-R 601-2 luma, Pillow's conversion to mode "L".
_LUMA = (0.299, 0.587, 0.114)


def luma(image: jax.Array) -> jax.Array:
    """Return the brightness ``[h, w, 1]`` of each pixel."""
    if image.shape[-1] == 1:
        return image
    # A sum of slices fuses with what comes after it; a matrix product would not.
    red, green, blue = (weight * image[..., c : c + 1] for c, weight in enumerate(_LUMA))
    return red + green + blue


def blend(base: jax.Array, image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Return ``base + factor * (image - base)``, clipped to [0, 1]."""
    return jnp.clip(base + factor * (image - base), 0.0, 1.0)


def brightness(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Blend with black: ``ImageEnhance.Brightness``."""
    return blend(jnp.zeros_like(image), image, factor)


def contrast(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Blend with the image's mean brightness: ``ImageEnhance.Contrast``."""
    return blend(jnp.mean(luma(image)), image, factor)


def saturation(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Blend with the image in grey: ``ImageEnhance.Color``."""
    return blend(luma(image), image, factor)


def sharpness(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Blend with a smoothed image: ``ImageEnhance.Sharpness``."""
    return blend(smooth(image), image, factor)


def smooth(image: jax.Array) -> jax.Array:
    """Pillow's ``ImageFilter.SMOOTH``: a 3x3 mean with weight 5 in the middle; edges stay."""
    height, width, _ = image.shape
    if height < 3 or width < 3:
        return image
    rows = image[:-2] + image[1:-1] + image[2:]
    total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    inner = (total + 4.0 * image[1:-1, 1:-1]) / 13.0
    return image.at[1:-1, 1:-1].set(inner)


def grayscale(image: jax.Array) -> jax.Array:
    """Return the image in grey, with as many channels as before."""
    return jnp.broadcast_to(luma(image), image.shape)


def solarize(image: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """Invert what is at least ``threshold`` (0 to 256, in grey levels): ``ImageOps.solarize``."""
    return jnp.where(image * 255.0 >= threshold, 1.0 - image, image)


def posterize(image: jax.Array, bits: jax.Array | int) -> jax.Array:
    """Keep the ``bits`` (1 to 8) highest bits of each grey level: ``ImageOps.posterize``."""
    step = jnp.exp2(8.0 - bits)
    return jnp.floor(levels(image) / step) * step / 255.0


def levels(image: jax.Array) -> jax.Array:
    """Return the grey levels 0 to 255 as whole floats."""
    return jnp.round(image * 255.0)


def invert(image: jax.Array) -> jax.Array:
    """Return the negative: ``ImageOps.invert``."""
    return 1.0 - image


def hue(image: jax.Array, turn: jax.Array | float) -> jax.Array:
    """Rotate the hue in HSV by ``turn`` of a full circle (-0.5 to 0.5)."""
    if image.shape[-1] == 1:
        return image
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    scale = 1.0 / jnp.where(chroma > 0, chroma, 1.0)
    sector = jnp.where(
        value == red,
        (green - blue) * scale,
        jnp.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    turned = sector + 6.0 * turn
    # Each channel of an HSV colour is a trapezoid of the hue, a third of a turn apart.
    channels = [value - chroma * _trapezoid(turned + start) for start in (5.0, 3.0, 1.0)]
    return jnp.clip(jnp.stack(channels, axis=-1), 0.0, 1.0)


def _trapezoid(sextants: jax.Array) -> jax.Array:
    """Rise from 0 to 1, stay, fall and stay at 0 within six units; ``jnp.mod`` is far slower."""
    phase = sextants - 6.0 * jnp.floor(sextants / 6.0)
    return jnp.clip(jnp.minimum(phase, 4.0 - phase), 0.0, 1.0)
