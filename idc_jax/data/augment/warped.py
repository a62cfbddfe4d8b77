"""The contrastive view of glyphs: a random affine map, a little elastic, in place of crops.

A crop of a digit may be another digit, and a mirrored letter is no letter; slants, sizes and
positions are what handwriting varies by.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from idc_jax.data.augment.resample import resize

# Sides of the grid of random displacements that the elastic part interpolates.
_ELASTIC_GRID = 3


class WarpOptions(NamedTuple):
    """How strongly the view changes an image; every range is uniform and symmetric.

    Attributes:
      rotation: degrees.
      shift: fraction of the side.
      scale: of the logarithm of each side's factor.
      shear: horizontal displacement per unit of height, a slant.
      elastic: standard deviation of the displacements on a 3x3 grid, as a fraction of the side.
      contrast: the grey levels are multiplied by ``1 - contrast .. 1 + contrast``.
      noise: standard deviation of the Gaussian noise on the grey levels in [0, 1].
    """

    rotation: float = 15.0
    shift: float = 0.125
    scale: float = 0.15
    shear: float = 0.2
    elastic: float = 0.0
    contrast: float = 0.2
    noise: float = 0.05


def warped_view(key: jax.Array, image: jax.Array, size: int, options: WarpOptions) -> jax.Array:
    """Return a warped view ``[size, size, c]`` of ``[h, w, c]`` in [0, 1]."""
    affine_key, elastic_key, contrast_key, noise_key = jax.random.split(key, 4)
    image = resize(image, size)
    positions = _affine_positions(affine_key, size, options)
    if options.elastic > 0:
        grid = jax.random.normal(elastic_key, (_ELASTIC_GRID, _ELASTIC_GRID, 2))
        smooth = jax.image.resize(grid, (size, size, 2), "cubic")
        positions = positions + options.elastic * size * smooth
    out = _sample(image, positions)
    factor = jax.random.uniform(
        contrast_key, minval=1.0 - options.contrast, maxval=1.0 + options.contrast
    )
    out = factor * out + options.noise * jax.random.normal(noise_key, out.shape)
    return jnp.clip(out, 0.0, 1.0)


def _affine_positions(key: jax.Array, size: int, options: WarpOptions) -> jax.Array:
    """Where in the image each pixel of the view is read: ``[size, size, 2]``, rows and columns."""
    uniform = jax.random.uniform(key, (6,), minval=-1.0, maxval=1.0)
    angle = jnp.deg2rad(options.rotation * uniform[0])
    slant = options.shear * uniform[1]
    factors = jnp.exp(options.scale * uniform[2:4])
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turn = jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
    slanted = jnp.eye(2).at[1, 0].set(slant)
    matrix = turn @ slanted @ jnp.diag(factors)
    middle = (size - 1) / 2
    axis = jnp.arange(size) - middle
    offsets = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), axis=-1)
    return offsets @ matrix.T + middle + options.shift * size * uniform[4:6]


def _sample(image: jax.Array, positions: jax.Array) -> jax.Array:
    """Bilinear interpolation of every channel, 0 outside."""

    def channel(plane: jax.Array) -> jax.Array:
        coordinates = [positions[..., 0], positions[..., 1]]
        return map_coordinates(plane, coordinates, order=1, mode="constant")

    return jax.vmap(channel, in_axes=-1, out_axes=-1)(image)
