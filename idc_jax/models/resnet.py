"""ResNets of basic blocks in torchvision's layout.

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


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    features: int
    stride: int
    conv: ConvMethod
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[b, h, w, i]`` to ``[b, h/stride, w/stride, features]``."""
        conv = partial(Conv, method=self.conv, dtype=self.dtype)
        y = conv(self.features, 3, self.stride, name="conv1")(x)
        y = nn.relu(batch_norm(train, self.dtype, "bn1")(y, mask=mask))
        y = conv(self.features, 3, 1, name="conv2")(y)
        y = batch_norm(train, self.dtype, "bn2")(y, mask=mask)
        if self.stride != 1 or x.shape[-1] != self.features:
            x = conv(self.features, 1, self.stride, name="downsample_conv")(x)
            x = batch_norm(train, self.dtype, "downsample_bn")(x, mask=mask)
        return nn.relu(x.astype(y.dtype) + y)


class ResNet(nn.Module):
    """A ResNet up to its pooled features.

    Attributes:
      blocks: basic blocks per stage; every stage but the first halves the resolution.
      width: channels of the first stage; each later stage has twice those of the one before.
      stem: ``"imagenet"`` (7x7 stride 2, then 3x3 max-pool stride 2, both padded
        symmetrically) or ``"small"`` (3x3 stride 1).
      embedding_dim: width of a last linear layer ``fc`` (IDC's TCL has one of 512), or None.
      conv: how convolutions are computed, see :class:`idc_jax.models.layers.Conv`.
      dtype: the type computed in; parameters and statistics are float32.
    """

    blocks: tuple[int, ...]
    width: int = 64
    stem: Stem = "imagenet"
    embedding_dim: int | None = None
    conv: ConvMethod = "auto"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map images ``[b, h, w, c]`` to embeddings ``[b, d]``; ``mask`` as for Model."""
        x = self._stem(x, train, mask)
        for stage, count in enumerate(self.blocks):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                x = BasicBlock(
                    self.width * 2**stage,
                    stride,
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
