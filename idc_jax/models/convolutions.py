"""Convolutions in forms that XLA's CPU backend computes fast, in loops too.

XLA brings a convolution into the form of its CPU library only outside of loops; in a scanned epoch
any other form is computed by a plain nested loop, over ten times slower. The forward pass has the
library's form already, the gradients that JAX derives from it have not. So here the gradients are
written in that form (:func:`canonical_conv`), or the whole becomes a matrix product
(:func:`matmul_conv`) where that is faster.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

Padding = Literal["torch", "tensorflow"]
# Zeros before and after each of the two axes; what `lax` takes.
Zeros = tuple[tuple[int, int], tuple[int, int]]

# The library's form: images, kernel and output with the channels last.
CANONICAL = ("NHWC", "HWIO", "NHWC")


def padding_of(side: int, size: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Zeros before and after one axis of ``side`` pixels.

    ``"torch"`` pads both ends by ``size // 2``; ``"tensorflow"`` pads so that the output has
    ``ceil(side / stride)`` pixels, and the end by one more where the total is odd.
    """
    if padding == "torch":
        return size // 2, size // 2
    total = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
    return total // 2, total - total // 2


def _zeros(x: jax.Array, size: int, stride: int, padding: Padding) -> Zeros:
    high, wide = x.shape[1:3]
    return padding_of(high, size, stride, padding), padding_of(wide, size, stride, padding)


def xla_conv(
    x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, groups: int = 1
) -> jax.Array:
    """Convolution as XLA has it: the one for GPUs and TPUs.

    Args:
      x: ``[b, h, w, i]``.
      kernel: ``[k, k, i / groups, o]``.
      stride: the same in both directions.
      padding: see :func:`padding_of`.
      groups: of channels that are kept apart.

    Returns:
      ``[b, h', w', o]``.
    """
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        _zeros(x, kernel.shape[0], stride, padding),
        dimension_numbers=CANONICAL,
        feature_group_count=groups,
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def canonical_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """:func:`xla_conv`, with both gradients as convolutions of channels-last arrays.

    Args:
      x: ``[b, h, w, i]``.
      kernel: ``[k, k, i, o]``.
      stride: the same in both directions.
      padding: see :func:`padding_of`.

    Returns:
      ``[b, h', w', o]``.
    """
    return xla_conv(x, kernel, stride, padding)


def _forward(
    x: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return xla_conv(x, kernel, stride, padding), (x, kernel)


def _backward(
    stride: int, padding: Padding, seen: tuple[jax.Array, jax.Array], grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = seen
    zeros = _zeros(x, kernel.shape[0], stride, padding)
    return _input_grad(grad, x, kernel, stride, zeros), _kernel_grad(grad, x, kernel, stride, zeros)


canonical_conv.defvjp(_forward, _backward)


def _spread(count: int, stride: int) -> int:
    """Pixels from the first to the last of ``count`` that are ``stride`` apart."""
    return (count - 1) * stride + 1


def _input_grad(
    grad: jax.Array, x: jax.Array, kernel: jax.Array, stride: int, zeros: Zeros
) -> jax.Array:
    """The spread-out gradient under the kernel turned by 180 degrees."""
    size = kernel.shape[0]
    around = [
        (size - 1 - before, side + before - _spread(count, stride))
        for side, count, (before, _) in zip(x.shape[1:3], grad.shape[1:3], zeros, strict=True)
    ]
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    return jax.lax.conv_general_dilated(
        grad, turned, (1, 1), around, lhs_dilation=(stride, stride), dimension_numbers=CANONICAL
    )


def _kernel_grad(
    grad: jax.Array, x: jax.Array, kernel: jax.Array, stride: int, zeros: Zeros
) -> jax.Array:
    """The input under the gradient as kernel: channels pass for images, images for channels."""
    size = kernel.shape[0]
    around = [
        (before, size - 1 + _spread(count, stride) - side - before)
        for side, count, (before, _) in zip(x.shape[1:3], grad.shape[1:3], zeros, strict=True)
    ]
    out = jax.lax.conv_general_dilated(
        jnp.transpose(x, (3, 1, 2, 0)),
        jnp.transpose(grad, (1, 2, 0, 3)),
        (1, 1),
        around,
        rhs_dilation=(stride, stride),
        dimension_numbers=CANONICAL,
    )
    return jnp.transpose(out, (1, 2, 0, 3))


def shifts(x: jax.Array, size: int, stride: int, padding: Padding) -> list[jax.Array]:
    """What each of a kernel's ``size²`` weights sees of ``[b, h, w, c]``, row by row."""
    x = jnp.pad(x, ((0, 0), *_zeros(x, size, stride, padding), (0, 0)))
    high, wide = (_spread((side - size) // stride + 1, stride) for side in x.shape[1:3])
    return [
        x[:, i : i + high : stride, j : j + wide : stride] for i in range(size) for j in range(size)
    ]


def matmul_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Convolution as one matrix product over gathered patches; arguments as `canonical_conv`'s."""
    patches = jnp.concatenate(shifts(x, kernel.shape[0], stride, padding), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def shifted_depthwise(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Depthwise convolution as a sum of shifted products.

    Args:
      x: ``[b, h, w, c]``.
      kernel: ``[k, k, 1, c]``.
      stride: the same in both directions.
      padding: see :func:`padding_of`.

    Returns:
      ``[b, h', w', c]``.
    """
    weights = kernel.reshape(-1, kernel.shape[-1])
    seen = shifts(x, kernel.shape[0], stride, padding)
    total = seen[0] * weights[0]
    for part, weight in zip(seen[1:], weights[1:], strict=True):
        total = total + part * weight
    return total
