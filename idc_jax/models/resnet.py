"""ResNets of basic blocks or bottlenecks in torchvision's layout.

He et al., "Deep Residual Learning for Image Recognition" (2016).
"""

from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.models.layers import Conv, ConvMethod, batch_norm, dense

Stem = Literal["imagenet", "small"]


# A bottleneck's output has so many times the channels of its inner convolution.
EXPANSION = 4


class Block(nn.Module):
    """Convolutions and a shortcut, projected where the shape changes.

    Attributes:
      features: channels of the 3x3 convolutions.
      stride: of the first of them.
      bottleneck: one 3x3 convolution between two of 1x1, in place of two; the last widens.
      conv: how convolutions are computed, see :class:`idc_jax.models.layers.Conv`.
      dtype: the type computed in.
    """

    features: int
    stride: int
    bottleneck: bool
    conv: ConvMethod
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[b, h, w, i]`` to ``[b, h/stride, w/stride, o]``."""
        conv = partial(Conv, method=self.conv, dtype=self.dtype)
        out = self.features * (EXPANSION if self.bottleneck else 1)
        layers = [(self.features, 3, self.stride), (out, 3, 1)]
        if self.bottleneck:
            layers = [(self.features, 1, 1), (self.features, 3, self.stride), (out, 1, 1)]
        y = x
        for index, (features, size, stride) in enumerate(layers, start=1):
            y = nn.relu(y) if index > 1 else y
            y = conv(features, size, stride, name=f"conv{index}")(y)
            y = batch_norm(train, self.dtype, f"bn{index}")(y, mask=mask)
        if self.stride != 1 or x.shape[-1] != out:
            x = conv(out, 1, self.stride, name="downsample_conv")(x)
            x = batch_norm(train, self.dtype, "downsample_bn")(x, mask=mask)
        return nn.relu(x.astype(y.dtype) + y)


class ResNet(nn.Module):
    """A ResNet up to its pooled features.

    Attributes:
      blocks: per stage; every stage but the first halves the resolution.
      width: channels of the first stage's 3x3 convolutions; each later stage has twice those of
        the one before.
      stem: ``"imagenet"`` (7x7 stride 2, then 3x3 max-pool stride 2, both padded
        symmetrically) or ``"small"`` (3x3 stride 1).
      embedding_dim: width of a last linear layer ``fc`` (IDC's TCL has one of 512), or None.
      bottleneck: blocks of three convolutions (ResNet-50 and deeper) in place of two.
      conv: how convolutions are computed, see :class:`idc_jax.models.layers.Conv`.
      dtype: the type computed in; parameters and statistics are float32.
    """

    blocks: tuple[int, ...]
    width: int = 64
    stem: Stem = "imagenet"
    embedding_dim: int | None = None
    bottleneck: bool = False
    conv: ConvMethod = "auto"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map images ``[b, h, w, c]`` to embeddings ``[b, d]``; ``mask`` as for Model."""
        x = self._stem(x, train, mask)
        for stage, count in enumerate(self.blocks):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                x = Block(
                    self.width * 2**stage,
                    stride,
                    self.bottleneck,
                    self.conv,
                    self.dtype,
                    name=f"layer{stage + 1}_{index}",
                )(x, train, mask)
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        if self.embedding_dim is not None:
            x = dense(self.embedding_dim, self.dtype, "fc")(x)
        return x

    def _stem(self, x: jax.Array, train: bool, mask: jax.Array | None) -> jax.Array:
        size, stride = (7, 2) if self.stem == "imagenet" else (3, 1)
        x = Conv(self.width, size, stride, self.conv, self.dtype, name="conv1")(x)
        x = nn.relu(batch_norm(train, self.dtype, "bn1")(x, mask=mask))
        if self.stem == "imagenet":
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        return x
