"""Vision transformers with scaled residuals, as DINOv2 publishes them.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021); Oquab et al., "DINOv2: Learning Robust
Visual Features without Supervision" (2023).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from idc_jax.models.layers import PatchConv, dense

LAYER_NORM_EPSILON = 1e-6
# The cubic convolution that PyTorch interpolates with.
CUBIC = -0.75


class SelfAttention(nn.Module):
    """Multi-head self-attention over the patches of each image."""

    heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, t, d]`` to the same shape."""
        width = x.shape[-1]

        def project(name: str) -> jax.Array:
            out = nn.Dense(width, dtype=self.dtype, name=name)(x)
            return out.reshape(*x.shape[:2], self.heads, width // self.heads)

        query, key, value = project("query"), project("key"), project("value")
        mixed = jax.nn.dot_product_attention(query, key, value)
        return nn.Dense(width, dtype=self.dtype, name="project")(mixed.reshape(x.shape))


class TransformerBlock(nn.Module):
    """Attention and an MLP, each after a LayerNorm and added with a learnt scale."""

    heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, t, d]`` to the same shape."""
        width = x.shape[-1]

        def norm(name: str, y: jax.Array) -> jax.Array:
            return nn.LayerNorm(epsilon=LAYER_NORM_EPSILON, dtype=self.dtype, name=name)(y)

        y = SelfAttention(self.heads, self.dtype, name="attention")(norm("norm1", x))
        x = x + y * self._scale("scale1", width)
        y = nn.Dense(4 * width, dtype=self.dtype, name="fc1")(norm("norm2", x))
        y = nn.Dense(width, dtype=self.dtype, name="fc2")(nn.gelu(y, approximate=False))
        return x + y * self._scale("scale2", width)

    def _scale(self, name: str, width: int) -> jax.Array:
        return self.param(name, nn.initializers.ones, (width,), jnp.float32).astype(self.dtype)


class VisionTransformer(nn.Module):
    """A vision transformer up to its normalised class token.

    Attributes:
      width: of a token.
      heads: of each attention.
      depth: blocks.
      patch: side of a patch in pixels.
      grid: side of the grid of position embeddings, in patches: 37 for the 518 pixels that
        DINOv2 was trained at. Other sizes of images interpolate it.
      embedding_dim: width of a last linear layer ``fc``, or None.
      dtype: the type computed in; parameters are float32.
    """

    width: int
    heads: int
    depth: int = 12
    patch: int = 14
    grid: int = 37
    embedding_dim: int | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map images ``[b, h, w, c]`` to embeddings ``[b, d]``.

        Neither ``train`` nor ``mask`` changes anything: no row depends on another.
        """
        del train, mask
        x = PatchConv(self.width, self.patch, self.dtype, name="patch_embed")(x)
        init = nn.initializers.truncated_normal(0.02)
        token = self.param("cls_token", init, (1, 1, self.width), jnp.float32)
        shape = (1, 1 + self.grid**2, self.width)
        position = self.param("pos_embed", init, shape, jnp.float32)
        start = jnp.broadcast_to(token, (x.shape[0], 1, self.width)) + position[:, :1]
        x = x + _resized(position[:, 1:], self.grid, x.shape[1:3]).astype(x.dtype)
        x = jnp.concatenate([start.astype(x.dtype), x.reshape(x.shape[0], -1, self.width)], axis=1)
        for index in range(self.depth):
            x = TransformerBlock(self.heads, self.dtype, name=f"block{index}")(x)
        x = nn.LayerNorm(epsilon=LAYER_NORM_EPSILON, dtype=self.dtype, name="norm")(x[:, 0])
        if self.embedding_dim is not None:
            x = dense(self.embedding_dim, self.dtype, "fc")(x)
        return x


def _resized(position: jax.Array, grid: int, shape: tuple[int, ...]) -> jax.Array:
    """Interpolate ``[1, grid², d]`` to ``[1, *shape, d]`` as PyTorch's bicubic does."""
    square = position.reshape(1, grid, grid, -1)
    if shape == (grid, grid):
        return square
    rows, cols = (jnp.asarray(cubic_weights(grid, size)) for size in shape)
    return jnp.einsum("rh,cw,nhwd->nrcd", rows, cols, square, precision="highest")


def cubic_weights(inputs: int, outputs: int) -> np.ndarray:
    """Weights ``[outputs, inputs]`` of cubic convolution at pixel centres, edges repeated."""
    centre = (np.arange(outputs) + 0.5) * inputs / outputs - 0.5
    first = np.floor(centre).astype(int) - 1
    weights = np.zeros((outputs, inputs))
    for tap in range(4):
        distance = np.abs(centre - (first + tap))
        near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
        far = ((distance - 5) * distance + 8) * distance * CUBIC - 4 * CUBIC
        value = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
        column = np.clip(first + tap, 0, inputs - 1)
        np.add.at(weights, (np.arange(outputs), column), value)
    return weights.astype(np.float32)
