"""Where a patch is: grids of learnt positions at any size, and rotary ones."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

# "cubic" is PyTorch's bicubic interpolation, the others its antialiased ones (which are Pillow's).
PositionKernel = Literal["cubic", "cubic_antialiased", "linear_antialiased"]
# The parameter of the cubic convolution: PyTorch's, and where it antialiases.
_CUBIC, _CUBIC_ANTIALIASED = -0.75, -0.5


def resized(
    position: jax.Array, grid: int, sides: tuple[int, int], kernel: PositionKernel
) -> jax.Array:
    """Interpolate ``[1, grid², d]`` to ``[1, *sides, d]`` as PyTorch does."""
    square = position.reshape(1, grid, grid, -1)
    if sides == (grid, grid):
        return square
    rows, cols = (jnp.asarray(position_weights(grid, side, kernel)) for side in sides)
    return jnp.einsum("rh,cw,nhwd->nrcd", rows, cols, square, precision="highest")


def position_weights(inputs: int, outputs: int, kernel: PositionKernel) -> np.ndarray:
    """Weights ``[outputs, inputs]`` of interpolation at pixel centres.

    The plain kernel repeats the edge, the antialiased ones end there and are widened when they
    shrink.
    """
    ratio = inputs / outputs
    centre = (np.arange(outputs) + 0.5) * ratio - 0.5
    if kernel != "cubic":
        offsets = (np.arange(inputs) - centre[:, None]) / max(ratio, 1.0)
        linear = np.maximum(1 - np.abs(offsets), 0.0)
        weights = linear if kernel == "linear_antialiased" else _cubic(offsets, _CUBIC_ANTIALIASED)
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    first = np.floor(centre).astype(int) - 1
    weights = np.zeros((outputs, inputs))
    for tap in range(4):
        column = np.clip(first + tap, 0, inputs - 1)
        np.add.at(weights, (np.arange(outputs), column), _cubic(centre - (first + tap), _CUBIC))
    return weights.astype(np.float32)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def rotary_angles(sides: tuple[int, ...], head: int, period: float) -> jax.Array:
    """DINOv3's angles ``[h * w, head]`` of the patches of an ``h`` by ``w`` grid.

    The centre of a patch lies between -1 and 1 along each axis; a quarter of the head's
    dimensions turns by its row and a quarter by its column, ``2π`` times that over periods from 1
    to ``period``, and the second half as the first.
    """
    rows, cols = (2 * (np.arange(side) + 0.5) / side - 1 for side in sides)
    centres = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2, 1)
    frequencies = period ** -np.arange(0, 1, 4 / head)
    angles = (2 * np.pi * centres * frequencies).reshape(len(centres), -1)
    return jnp.asarray(np.tile(angles, 2), jnp.float32)


def rotated(x: jax.Array, angles: jax.Array) -> jax.Array:
    """Turn the last tokens of ``[b, t, heads, d]``, as many as there are angles ``[p, d]``."""
    first, last = jnp.split(x, [x.shape[1] - angles.shape[0]], axis=1)
    low, high = jnp.split(last, 2, axis=-1)
    cos, sin = (f(angles)[:, None].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    turned = last * cos + jnp.concatenate([-high, low], axis=-1) * sin
    return jnp.concatenate([first, turned], axis=1)
