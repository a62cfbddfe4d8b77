"""EfficientNet-Lite0: ReLU6 and no squeeze-and-excitation, made for small devices.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019).
The published weights came from TensorFlow, and with them its padding and its BatchNorm.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.models.layers import Conv, ConvMethod, batch_norm, dense

STEM_FEATURES = 32
HEAD_FEATURES = 1280
_norm = partial(batch_norm, momentum=0.99, epsilon=1e-3)


class Stage(NamedTuple):
    """Equal blocks in a row; the first of them has the stride."""

    repeats: int
    size: int
    stride: int
    expand: int
    features: int


LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class InvertedBlock(nn.Module):
    """Expand, depthwise, project, and a shortcut where nothing changes shape."""

    stage: Stage
    stride: int
    conv: ConvMethod
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[b, h, w, i]`` to ``[b, h', w', stage.features]``."""
        conv = partial(Conv, method=self.conv, dtype=self.dtype, padding="tensorflow")
        wide = x.shape[-1] * self.stage.expand
        y = x
        if self.stage.expand != 1:
            y = conv(wide, 1, name="expand_conv")(y)
            y = nn.relu6(_norm(train, self.dtype, "expand_bn")(y, mask=mask))
        y = conv(wide, self.stage.size, self.stride, depthwise=True, name="depthwise_conv")(y)
        y = nn.relu6(_norm(train, self.dtype, "depthwise_bn")(y, mask=mask))
        y = conv(self.stage.features, 1, name="project_conv")(y)
        y = _norm(train, self.dtype, "project_bn")(y, mask=mask)
        return x + y if y.shape == x.shape else y


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite up to its pooled features of 1280.

    Attributes:
      stages: blocks.
      embedding_dim: width of a last linear layer ``fc``, or None.
      conv: how convolutions are computed, see :class:`idc_jax.models.layers.Conv`.
      dtype: the type computed in; parameters and statistics are float32.
    """

    stages: tuple[Stage, ...] = LITE0
    embedding_dim: int | None = None
    conv: ConvMethod = "auto"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map images ``[b, h, w, c]`` to embeddings ``[b, d]``; ``mask`` as for Model."""
        conv = partial(Conv, method=self.conv, dtype=self.dtype, padding="tensorflow")
        x = conv(STEM_FEATURES, 3, 2, name="stem_conv")(x)
        x = nn.relu6(_norm(train, self.dtype, "stem_bn")(x, mask=mask))
        index = 0
        for stage in self.stages:
            for index_in_stage in range(stage.repeats):
                stride = stage.stride if index_in_stage == 0 else 1
                name = f"block{index}"
                x = InvertedBlock(stage, stride, self.conv, self.dtype, name=name)(x, train, mask)
                index += 1
        x = conv(HEAD_FEATURES, 1, name="head_conv")(x)
        x = nn.relu6(_norm(train, self.dtype, "head_bn")(x, mask=mask))
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        if self.embedding_dim is not None:
            x = dense(self.embedding_dim, self.dtype, "fc")(x)
        return x
