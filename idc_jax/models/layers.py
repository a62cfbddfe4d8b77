"""Layers that every network here shares: explicit padding, one BatchNorm, one Dense."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

ConvMethod = Literal["auto", "xla", "matmul"]

# torch.nn.BatchNorm's momentum of 0.1 is the share of the new value; Flax's is that of the old.
BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-5


def batch_norm(train: bool, dtype: DTypeLike, name: str) -> nn.BatchNorm:
    """BatchNorm with torch's constants, parameters and statistics in float32."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=BATCH_NORM_MOMENTUM,
        epsilon=BATCH_NORM_EPSILON,
        dtype=dtype,
        name=name,
    )


def matmul_conv(x: jax.Array, kernel: jax.Array, stride: int, pad: int) -> jax.Array:
    """Convolution as one matrix product over gathered patches.

    Inside a loop (a scanned epoch) XLA's CPU backend falls back to a plain nested-loop
    convolution, over ten times slower; matrix products keep their fast kernels there.

    Args:
      x: ``[b, h, w, i]``.
      kernel: ``[k, k, i, o]``.
      stride: the same in both directions.
      pad: zeros on every side.

    Returns:
      ``[b, h', w', o]``.
    """
    rows, cols, _, features = kernel.shape
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    high = (x.shape[1] - rows) // stride + 1
    wide = (x.shape[2] - cols) // stride + 1
    shifted = [
        x[:, i : i + (high - 1) * stride + 1 : stride, j : j + (wide - 1) * stride + 1 : stride]
        for i in range(rows)
        for j in range(cols)
    ]
    patches = jnp.concatenate(shifted, axis=-1)
    return patches @ kernel.reshape(-1, features)


class Conv(nn.Module):
    """Bias-free square convolution with symmetric explicit padding, as torch pads.

    ``SAME`` would pad a strided convolution on one side more than on the other.

    Attributes:
      features: output channels.
      size: the kernel's side.
      stride: the same in both directions.
      method: ``"xla"``, ``"matmul"`` (:func:`matmul_conv`), or ``"auto"``: matmul on CPUs, XLA
        elsewhere.
      dtype: the type computed in; the kernel is kept in float32.
    """

    features: int
    size: int = 3
    stride: int = 1
    method: ConvMethod = "auto"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, h, w, i]`` to ``[b, h', w', features]``."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        kernel = self.param("kernel", init, shape, jnp.float32).astype(self.dtype)
        x = x.astype(self.dtype)
        pad = self.size // 2
        if self._use_matmul():
            return matmul_conv(x, kernel, self.stride, pad)
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (self.stride, self.stride),
            [(pad, pad), (pad, pad)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def _use_matmul(self) -> bool:
        if self.method != "auto":
            return self.method == "matmul"
        return jax.default_backend() == "cpu"


def dense(features: int, dtype: DTypeLike, name: str, use_bias: bool = True) -> nn.Dense:
    """Linear layer with torch's default scale (uniform in ±1/sqrt(fan-in))."""
    return nn.Dense(
        features,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
        name=name,
    )
