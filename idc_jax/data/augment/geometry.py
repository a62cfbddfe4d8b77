"""Rotations, shears and translations as affine maps, and the warp that applies one.

A map is a ``[3, 3]`` matrix that takes a position in the result, in (x, y, 1) pixels, to the
position in the image that is shown there. That is Pillow's convention for ``Image.transform``,
and maps compose: of ``a`` and then ``b``, the whole is ``a @ b``.
"""

import jax
import jax.numpy as jnp

_Scalar = jax.Array | float


def identity() -> jax.Array:
    """Return the map that changes nothing."""
    return jnp.eye(3)


def rotation(degrees: _Scalar, height: int, width: int) -> jax.Array:
    """Return the counter-clockwise turn about the centre: ``Image.rotate``."""
    angle = jnp.deg2rad(jnp.asarray(degrees, jnp.float32))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2.0, height / 2.0
    return _matrix(cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)


def shear_x(amount: _Scalar) -> jax.Array:
    """Move each row sideways by ``amount`` pixels per row, the first by none."""
    return _matrix(1.0, amount, 0.0, 0.0, 1.0, 0.0)


def shear_y(amount: _Scalar) -> jax.Array:
    """Move each column up or down by ``amount`` pixels per column, the first by none."""
    return _matrix(1.0, 0.0, 0.0, amount, 1.0, 0.0)


def translation(x: _Scalar, y: _Scalar) -> jax.Array:
    """Move the image left by ``x`` and up by ``y`` pixels."""
    return _matrix(1.0, 0.0, x, 0.0, 1.0, y)


def warp(image: jax.Array, matrix: jax.Array) -> jax.Array:
    """Apply a map to ``[h, w, c]``: the nearest pixel, and 0 where the map leaves the image."""
    height, width, channels = image.shape
    x = jnp.arange(width) + 0.5
    y = (jnp.arange(height) + 0.5)[:, None]
    column = jnp.floor(matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]).astype(jnp.int32)
    row = jnp.floor(matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]).astype(jnp.int32)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Positions outside read pixel 0, which the mask then hides.
    flat = jnp.where(inside, row * width + column, 0)
    taken = image.reshape(height * width, channels)[flat]
    return jnp.where(inside[..., None], taken, 0.0)


def mirror(image: jax.Array) -> jax.Array:
    """Flip ``[h, w, c]`` left to right: ``ImageOps.mirror``."""
    return image[:, ::-1]


def _matrix(a: _Scalar, b: _Scalar, c: _Scalar, d: _Scalar, e: _Scalar, f: _Scalar) -> jax.Array:
    entries = [jnp.asarray(entry, jnp.float32) for entry in (a, b, c, d, e, f, 0.0, 0.0, 1.0)]
    return jnp.stack(entries).reshape(3, 3)
