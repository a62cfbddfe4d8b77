"""ConvNeXt in torchvision's layout.

Liu et al., "A ConvNet for the 2020s" (2022).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.models.layers import Conv, ConvMethod, PatchConv, dense

LAYER_NORM_EPSILON = 1e-6
LAYER_SCALE = 1e-6


def _layer_norm(dtype: DTypeLike, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=LAYER_NORM_EPSILON, dtype=dtype, name=name)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, LayerNorm, a 4x wider pointwise MLP, and a scaled residual."""

    conv: ConvMethod
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, h, w, c]`` to the same shape."""
        features = x.shape[-1]
        init = nn.initializers.truncated_normal(0.02)
        y = Conv(
            features,
            7,
            method=self.conv,
            dtype=self.dtype,
            depthwise=True,
            use_bias=True,
            name="depthwise",
        )(x)
        y = _layer_norm(self.dtype, "norm")(y)
        y = nn.Dense(4 * features, dtype=self.dtype, kernel_init=init, name="expand")(y)
        y = nn.gelu(y, approximate=False)
        y = nn.Dense(features, dtype=self.dtype, kernel_init=init, name="project")(y)
        scale = self.param("scale", nn.initializers.constant(LAYER_SCALE), (features,))
        return x + y * scale.astype(self.dtype)


class ConvNeXt(nn.Module):
    """A ConvNeXt up to its pooled, normalised features.

    Attributes:
      blocks: blocks per stage.
      widths: channels per stage.
      patch: side of the stem's patches: 4 for 224-px images, less for small ones.
      embedding_dim: width of a last linear layer ``fc`` (DSAC's is 200), or None.
      conv: how convolutions are computed, see :class:`idc_jax.models.layers.Conv`.
      dtype: the type computed in; parameters are float32.
    """

    blocks: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    patch: int = 4
    embedding_dim: int | None = None
    conv: ConvMethod = "auto"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map images ``[b, h, w, c]`` to embeddings ``[b, d]``.

        Neither ``train`` nor ``mask`` changes anything: no row depends on another.
        """
        del train, mask
        x = PatchConv(self.widths[0], self.patch, self.dtype, name="stem_conv")(
            x.astype(self.dtype)
        )
        x = _layer_norm(self.dtype, "stem_norm")(x)
        for stage, (count, width) in enumerate(zip(self.blocks, self.widths, strict=True)):
            if stage > 0:
                x = _layer_norm(self.dtype, f"down{stage}_norm")(x)
                x = PatchConv(width, 2, self.dtype, name=f"down{stage}_conv")(x)
            for index in range(count):
                x = ConvNeXtBlock(self.conv, self.dtype, name=f"stage{stage}_{index}")(x)
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        x = _layer_norm(self.dtype, "norm")(x)
        if self.embedding_dim is not None:
            x = dense(self.embedding_dim, self.dtype, "fc")(x)
        return x
