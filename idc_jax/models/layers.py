"""Layers that every network here shares: explicit padding, one BatchNorm, one Dense."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.models.convolutions import (
    Padding,
    canonical_conv,
    matmul_conv,
    shifted_depthwise,
    xla_conv,
)
from idc_jax.ops import arrays

ConvMethod = Literal["auto", "xla", "matmul", "canonical"]

# torch.nn.BatchNorm's momentum of 0.1 is the share of the new value; Flax's is that of the old.
BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-5
# The largest depthwise kernel that is taken apart into shifts unasked: many of them make a program
# that takes minutes to compile.
MOST_SHIFTED = 5


class GroupedBatchNorm(nn.BatchNorm):
    """PyTorch's BatchNorm, for batches in which rows are padding, or which are several in one."""

    def __call__(
        self,
        x: jax.Array,
        use_running_average: bool | None = None,
        *,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Normalise ``[b, ..., c]``, each row by the statistics of its group in ``mask``.

        The averages move by one group after the other; one without rows leaves them as they are.
        """
        average = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        if average or self.is_initializing():
            return super().__call__(x, use_running_average)
        groups = groups_of(jnp.ones(len(x)) if mask is None else jnp.asarray(mask)).astype(
            jnp.float32
        )
        mean, var, rows = _statistics(x.astype(jnp.float32), groups)
        values = rows * math.prod(x.shape[1:-1])
        # An unbiased estimate, which Flax does not keep: it matters to small groups.
        unbiased = var * (values / jnp.maximum(values - 1, 1))[:, None]
        self._move({"mean": mean, "var": unbiased}, rows > 0)
        scale: jax.Array = self.get_variable("params", "scale")
        bias: jax.Array = self.get_variable("params", "bias")
        spatial = (-1, *(1,) * (x.ndim - 2), x.shape[-1])
        # Padding has a scale of zero.
        shift, factor = (
            arrays.matmul(groups, per_group).reshape(spatial)
            for per_group in (mean, scale * jax.lax.rsqrt(var + self.epsilon))
        )
        return ((x - shift) * factor + bias).astype(self.dtype)

    def _move(self, found: dict[str, jax.Array], some: jax.Array) -> None:
        for name, of_groups in found.items():
            average: jax.Array = self.get_variable("batch_stats", name)
            for there, value in zip(some, of_groups, strict=True):
                moved = self.momentum * average + (1 - self.momentum) * value
                average = jnp.where(there, moved, average)
            self.put_variable("batch_stats", name, average)


def groups_of(mask: jax.Array) -> jax.Array:
    """A mask ``[b]`` or groups ``[b, g]`` as groups ``[b, g]``."""
    return mask[:, None] if mask.ndim == 1 else mask


def _statistics(x: jax.Array, groups: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean and variance ``[g, c]`` of ``x`` ``[b, ..., c]``, and the rows of each group ``[g]``."""
    spatial = tuple(range(1, x.ndim - 1))
    rows = groups.sum(0)
    share = groups.T / jnp.maximum(rows, 1)[:, None]
    mean, square = (arrays.matmul(share, a.mean(spatial)) for a in (x, jnp.square(x)))
    return mean, jnp.maximum(square - jnp.square(mean), 0.0), rows


def batch_norm(
    train: bool,
    dtype: DTypeLike,
    name: str,
    *,
    momentum: float = BATCH_NORM_MOMENTUM,
    epsilon: float = BATCH_NORM_EPSILON,
) -> GroupedBatchNorm:
    """BatchNorm with torch's constants, parameters and statistics in float32."""
    return GroupedBatchNorm(
        use_running_average=not train, momentum=momentum, epsilon=epsilon, dtype=dtype, name=name
    )


class Conv(nn.Module):
    """Square convolution with explicit padding.

    ``SAME`` would pad a strided convolution on one side more than on the other, which only
    networks that came from TensorFlow expect.

    Attributes:
      features: output channels.
      size: the kernel's side.
      stride: the same in both directions.
      method: ``"xla"``, ``"matmul"`` or ``"canonical"`` (see :mod:`idc_jax.models.convolutions`;
        they differ by rounding), or ``"auto"``: XLA's own, on CPUs :func:`fastest_on_cpu`.
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
        method = self._method(min(x.shape[1:3]))
        if self.depthwise:
            if method == "matmul":
                return shifted_depthwise(x, kernel, self.stride, self.padding)
            return xla_conv(x, kernel, self.stride, self.padding, groups=x.shape[-1])
        if method == "matmul":
            return matmul_conv(x, kernel, self.stride, self.padding)
        if method == "canonical":
            return canonical_conv(x, kernel, self.stride, self.padding)
        return xla_conv(x, kernel, self.stride, self.padding)

    def _method(self, side: int) -> ConvMethod:
        if self.method != "auto":
            return self.method
        if jax.default_backend() != "cpu":
            return "xla"
        if self.depthwise:
            return "matmul" if self.size <= MOST_SHIFTED else "xla"
        return fastest_on_cpu(side, self.size, self.stride)


def fastest_on_cpu(side: int, size: int, stride: int) -> ConvMethod:
    """How a convolution of images of ``side`` pixels trains fastest on CPUs.

    Patches hold ``(size / stride)²`` copies of the image: where these are few, as for 1x1 kernels
    and strided 3x3 ones, one matrix product over them wins. So it does where most of a patch is
    padding.
    """
    return "canonical" if size > 2 * stride and side > size else "matmul"


class PatchConv(nn.Module):
    """A convolution whose stride is its size: a linear map of each patch.

    Attributes:
      features: output channels.
      size: the patches' side; pixels beyond the last whole patch are left out.
      dtype: the type computed in.
      use_bias: add a bias.
    """

    features: int
    size: int
    dtype: DTypeLike
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, h, w, c]`` to ``[b, h // size, w // size, features]``."""
        size, channels = self.size, x.shape[-1]
        init = nn.initializers.truncated_normal(0.02)
        kernel = self.param("kernel", init, (size, size, channels, self.features), jnp.float32)
        high, wide = x.shape[1] // size, x.shape[2] // size
        x = x[:, : high * size, : wide * size].astype(self.dtype)
        patches = x.reshape(x.shape[0], high, size, wide, size, channels)
        out = jnp.einsum("bhiwjc,ijcf->bhwf", patches, kernel.astype(self.dtype))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            out = out + bias.astype(self.dtype)
        return out


def dense(features: int, dtype: DTypeLike, name: str, use_bias: bool = True) -> nn.Dense:
    """Linear layer with torch's default scale (uniform in ±1/sqrt(fan-in))."""
    return nn.Dense(
        features,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
        name=name,
    )
