"""Pillow's resampling kernels, of NumPy's arrays and JAX's alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

Kernel = Literal["bilinear", "bicubic", "lanczos"]


def _bilinear(x: Any) -> Any:
    xp = x.__array_namespace__()
    return xp.maximum(1.0 - xp.abs(x), 0.0)


def _bicubic(x: Any) -> Any:
    """Keys' cubic convolution kernel with a = -0.5."""
    xp = x.__array_namespace__()
    x = xp.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return xp.where(x < 1.0, near, xp.where(x < 2.0, far, 0.0))


def _lanczos(x: Any) -> Any:
    xp = x.__array_namespace__()
    return xp.where(xp.abs(x) < 3.0, xp.sinc(x) * xp.sinc(x / 3), 0.0)


# Each with its support: how far from its middle it is not zero.
KERNELS: dict[Kernel, tuple[Callable[[Any], Any], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
