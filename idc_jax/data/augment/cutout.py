"""Cutout (DeVries and Taylor): hide one square of the image."""

import jax
import jax.numpy as jnp


def cutout(image: jax.Array, centre: jax.Array, length: jax.Array) -> jax.Array:
    """Blacken a square of ``[h, w, c]``.

    Args:
      image: the image.
      centre: int ``[2]``, the row and column of the middle.
      length: int scalar; the side is ``2 * (length // 2)`` pixels, cut off at the border.

    Returns:
      ``[h, w, c]`` with 0 in the square.
    """
    height, width, _ = image.shape
    half = length // 2
    rows = jnp.arange(height)
    columns = jnp.arange(width)
    in_rows = (rows >= centre[0] - half) & (rows < centre[0] + half)
    in_columns = (columns >= centre[1] - half) & (columns < centre[1] + half)
    return jnp.where((in_rows[:, None] & in_columns[None, :])[..., None], 0.0, image)


def random_cutout(key: jax.Array, image: jax.Array, longest: int) -> jax.Array:
    """Blacken a square of uniform length 1 to ``longest`` pixels about a uniform pixel."""
    if longest < 2:
        return image
    place, extent = jax.random.split(key)
    size = jnp.asarray(image.shape[:2])
    centre = jax.random.randint(place, (2,), 0, size)
    return cutout(image, centre, jax.random.randint(extent, (), 1, longest + 1))
