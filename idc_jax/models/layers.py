"""Layers that every network here shares: explicit padding, one BatchNorm, one Dense."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

ConvMethod = Literal["auto", "xla", "matmul"]
Padding = Literal["torch", "tensorflow"]

# torch.nn.BatchNorm's momentum of 0.1 is the share of the new value; Flax's is that of the old.
BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-5
# The largest depthwise kernel that is taken apart into shifts unasked.
MOST_SHIFTED = 5


def batch_norm(
    train: bool,
    dtype: DTypeLike,
    name: str,
    *,
    momentum: float = BATCH_NORM_MOMENTUM,
    epsilon: float = BATCH_NORM_EPSILON,
) -> nn.BatchNorm:
    """BatchNorm with torch's constants, parameters and statistics in float32."""
    return nn.BatchNorm(
        use_running_average=not train, momentum=momentum, epsilon=epsilon, dtype=dtype, name=name
    )


def padding_of(side: int, size: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Zeros before and after one axis of ``side`` pixels.

    ``"torch"`` pads both ends by ``size // 2``; ``"tensorflow"`` pads so that the output has
    ``ceil(side / stride)`` pixels, and the end by one more where the total is odd.
    """
    if padding == "torch":
        return size // 2, size // 2
    total = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
    return total // 2, total - total // 2


def shifts(x: jax.Array, size: int, stride: int, padding: Padding) -> list[jax.Array]:
    """What each of a kernel's ``size²`` weights sees of ``[b, h, w, c]``, row by row."""
    rows, cols = (padding_of(side, size, stride, padding) for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), rows, cols, (0, 0)))
    high, wide = ((side - size) // stride * stride + 1 for side in x.shape[1:3])
    return [
        x[:, i : i + high : stride, j : j + wide : stride] for i in range(size) for j in range(size)
    ]


def matmul_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Convolution as one matrix product over gathered patches.

    Inside a loop (a scanned epoch) XLA's CPU backend falls back to a plain nested-loop
    convolution, over ten times slower; matrix products keep their fast kernels there.

    Args:
      x: ``[b, h, w, i]``.
      kernel: ``[k, k, i, o]``.
      stride: the same in both directions.
      padding: see :func:`padding_of`.

    Returns:
      ``[b, h', w', o]``.
    """
    patches = jnp.concatenate(shifts(x, kernel.shape[0], stride, padding), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def shifted_depthwise(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Depthwise convolution as a sum of shifted products, for the reason of `matmul_conv`.

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


class Conv(nn.Module):
    """Square convolution with explicit padding.

    ``SAME`` would pad a strided convolution on one side more than on the other, which only
    networks that came from TensorFlow expect.

    Attributes:
      features: output channels.
      size: the kernel's side.
      stride: the same in both directions.
      method: ``"xla"``, ``"matmul"`` (:func:`matmul_conv`, :func:`shifted_depthwise`), or
        ``"auto"``: matmul on CPUs unless a depthwise kernel is larger than ``MOST_SHIFTED``, XLA
        elsewhere.
      dtype: the type computed in; parameters are kept in float32.
      padding: see :func:`padding_of`.
      depthwise: each channel by itself; ``features`` are the input's channels.
      use_bias: add a bias.
    """

    features: int
    size: int = 3
    stride: int = 1
    method: ConvMethod = "auto"
    dtype: DTypeLike = jnp.float32
    padding: Padding = "torch"
    depthwise: bool = False
    use_bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, h, w, i]`` to ``[b, h', w', features]``."""
        inputs = 1 if self.depthwise else x.shape[-1]
        shape = (self.size, self.size, inputs, self.features)
        init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        kernel = self.param("kernel", init, shape, jnp.float32).astype(self.dtype)
        out = self._convolve(x.astype(self.dtype), kernel)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            out = out + bias.astype(self.dtype)
        return out

    def _convolve(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        if self._by_matmul():
            compute = shifted_depthwise if self.depthwise else matmul_conv
            return compute(x, kernel, self.stride, self.padding)
        sides = x.shape[1:3]
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (self.stride, self.stride),
            [padding_of(side, self.size, self.stride, self.padding) for side in sides],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1] if self.depthwise else 1,
        )

    def _by_matmul(self) -> bool:
        if self.method != "auto":
            return self.method == "matmul"
        # Many shifts make a program that takes minutes to compile.
        few = not self.depthwise or self.size <= MOST_SHIFTED
        return few and jax.default_backend() == "cpu"


class PatchConv(nn.Module):
    """A convolution whose stride is its size: a linear map of each patch.

    Attributes:
      features: output channels.
      size: the patches' side; pixels beyond the last whole patch are left out.
      dtype: the type computed in.
    """

    features: int
    size: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, h, w, c]`` to ``[b, h // size, w // size, features]``."""
        size, channels = self.size, x.shape[-1]
        init = nn.initializers.truncated_normal(0.02)
        kernel = self.param("kernel", init, (size, size, channels, self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        high, wide = x.shape[1] // size, x.shape[2] // size
        x = x[:, : high * size, : wide * size].astype(self.dtype)
        patches = x.reshape(x.shape[0], high, size, wide, size, channels)
        return jnp.einsum("bhiwjc,ijcf->bhwf", patches, kernel.astype(self.dtype)) + bias.astype(
            self.dtype
        )


def dense(features: int, dtype: DTypeLike, name: str, use_bias: bool = True) -> nn.Dense:
    """Linear layer with torch's default scale (uniform in ±1/sqrt(fan-in))."""
    return nn.Dense(
        features,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
        name=name,
    )
