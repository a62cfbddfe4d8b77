"""Vision transformers: DINOv2 and DINOv3, and the image towers of CLIP and SigLIP.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021); Oquab et al., "DINOv2: Learning Robust
Visual Features without Supervision" (2023); Darcet et al., "Vision Transformers Need Registers"
(2024); Simeoni et al., "DINOv3" (2025); Radford et al., "Learning Transferable Visual Models From
Natural Language Supervision" (2021); Zhai et al., "Sigmoid Loss for Language Image Pre-Training"
(2023).
"""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.models.layers import PatchConv
from idc_jax.models.positions import PositionKernel, resized, rotary_angles, rotated

Activation = Literal["gelu", "gelu_tanh", "quick_gelu", "swiglu"]
Pool = Literal["token", "attention"]


def _quick_gelu(x: jax.Array) -> jax.Array:
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
    "quick_gelu": _quick_gelu,
}


class SelfAttention(nn.Module):
    """Multi-head self-attention over the patches of each image.

    Attributes:
      heads: must divide the width.
      key_bias: whether the map of the keys has a bias.
      dtype: the type computed in.
    """

    heads: int
    key_bias: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, angles: jax.Array | None) -> jax.Array:
        """Map ``[b, t, d]`` to the same shape; the last tokens are turned by ``angles``."""
        width = x.shape[-1]

        def project(name: str, bias: bool = True) -> jax.Array:
            out = nn.Dense(width, use_bias=bias, dtype=self.dtype, name=name)(x)
            return out.reshape(*x.shape[:2], self.heads, width // self.heads)

        query, key, value = project("query"), project("key", self.key_bias), project("value")
        if angles is not None:
            query, key = rotated(query, angles), rotated(key, angles)
        mixed = jax.nn.dot_product_attention(query, key, value)
        return nn.Dense(width, dtype=self.dtype, name="project")(mixed.reshape(x.shape))


class TransformerBlock(nn.Module):
    """Attention and an MLP, each after a LayerNorm and added, with a learnt scale or without.

    Attributes:
      heads: of the attention.
      hidden: units of the MLP.
      activation: of the MLP; ``"swiglu"`` multiplies SiLU of one linear map with another.
      scaled: whether there is a learnt scale.
      key_bias: of the attention.
      epsilon: of the LayerNorms.
      dtype: the type computed in.
    """

    heads: int
    hidden: int
    activation: Activation
    scaled: bool
    key_bias: bool
    epsilon: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, angles: jax.Array | None = None) -> jax.Array:
        """Map ``[b, t, d]`` to the same shape."""
        y = nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name="norm1")(x)
        y = SelfAttention(self.heads, self.key_bias, self.dtype, name="attention")(y, angles)
        x = x + self._scale("scale1", y)
        y = nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name="norm2")(x)
        return x + self._scale("scale2", self._mlp(y))

    def _mlp(self, x: jax.Array) -> jax.Array:
        y = nn.Dense(self.hidden, dtype=self.dtype, name="fc1")(x)
        if self.activation == "swiglu":
            y = nn.silu(nn.Dense(self.hidden, dtype=self.dtype, name="gate")(x)) * y
        else:
            y = ACTIVATIONS[self.activation](y)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="fc2")(y)

    def _scale(self, name: str, y: jax.Array) -> jax.Array:
        if not self.scaled:
            return y
        scale = self.param(name, nn.initializers.ones, (y.shape[-1],), jnp.float32)
        return y * scale.astype(self.dtype)


class AttentionPool(nn.Module):
    """One learnt query that attends over all tokens, and an MLP on what it finds (SigLIP's)."""

    heads: int
    hidden: int
    activation: Activation
    epsilon: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[b, t, d]`` to ``[b, d]``."""
        width, heads = x.shape[-1], self.heads

        def project(name: str, y: jax.Array) -> jax.Array:
            out = nn.Dense(width, dtype=self.dtype, name=name)(y)
            return out.reshape(*y.shape[:2], heads, width // heads)

        probe = self.param("probe", nn.initializers.xavier_uniform(), (1, 1, width), jnp.float32)
        probe = jnp.broadcast_to(probe.astype(self.dtype), (x.shape[0], 1, width))
        query, key, value = project("query", probe), project("key", x), project("value", x)
        mixed = jax.nn.dot_product_attention(query, key, value).reshape(-1, width)
        y = nn.Dense(width, dtype=self.dtype, name="project")(mixed)
        z = nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name="norm")(y)
        z = ACTIVATIONS[self.activation](nn.Dense(self.hidden, dtype=self.dtype, name="fc1")(z))
        return y + nn.Dense(width, dtype=self.dtype, name="fc2")(z)


class VisionTransformer(nn.Module):
    """A vision transformer up to one vector an image.

    Attributes:
      width: of a token.
      heads: of each attention.
      depth: blocks.
      patch: side of a patch in pixels.
      grid: side of the grid of position embeddings, in patches: 37 for the 518 pixels that
        DINOv2 was trained at; 0 for none. Other sizes of images interpolate it.
      grid_kernel: how.
      rotary: the base period of rotary positions in the attention (DINOv3), or None.
      class_token: whether a class token goes before the patches.
      token_position: whether the class token has a position embedding.
      registers: tokens without a position between the class token and the patches.
      pre_norm: a LayerNorm before the first block (CLIP).
      hidden: units of the MLPs; None for four times the width.
      activation: of the MLPs.
      scaled: a learnt scale on what each block adds.
      key_bias: whether the attention's keys have a bias.
      patch_bias: whether the map of the patches has one.
      pool: ``"token"``, the class token, or ``"attention"``, :class:`AttentionPool`.
      epsilon: of the LayerNorms.
      embedding_dim: width of a last linear layer ``fc``, or None.
      fc_bias: whether that has a bias.
      dtype: the type computed in; parameters are float32.
    """

    width: int
    heads: int
    depth: int = 12
    patch: int = 14
    grid: int = 37
    grid_kernel: PositionKernel = "cubic"
    rotary: float | None = None
    class_token: bool = True
    token_position: bool = True
    registers: int = 0
    pre_norm: bool = False
    hidden: int | None = None
    activation: Activation = "gelu"
    scaled: bool = True
    key_bias: bool = True
    patch_bias: bool = True
    pool: Pool = "token"
    epsilon: float = 1e-6
    embedding_dim: int | None = None
    fc_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map images ``[b, h, w, c]`` to embeddings ``[b, d]``.

        Neither ``train`` nor ``mask`` changes anything: no row depends on another.
        """
        del train, mask
        patches = PatchConv(
            self.width, self.patch, self.dtype, use_bias=self.patch_bias, name="patch_embed"
        )(x)
        angles = None
        if self.rotary is not None:
            angles = rotary_angles(patches.shape[1:3], self.width // self.heads, self.rotary)
        x = self._tokens(patches)
        hidden = 4 * self.width if self.hidden is None else self.hidden
        if self.pre_norm:
            x = self._norm("pre_norm", x)
        for index in range(self.depth):
            x = TransformerBlock(
                self.heads,
                hidden,
                self.activation,
                self.scaled,
                self.key_bias,
                self.epsilon,
                self.dtype,
                name=f"block{index}",
            )(x, angles)
        if self.pool == "attention":
            pool = AttentionPool(
                self.heads, hidden, self.activation, self.epsilon, self.dtype, name="pool"
            )
            x = pool(self._norm("norm", x))
        else:
            x = self._norm("norm", x[:, 0])
        if self.embedding_dim is not None:
            x = nn.Dense(
                self.embedding_dim,
                use_bias=self.fc_bias,
                dtype=self.dtype,
                kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
                name="fc",
            )(x)
        return x

    def _tokens(self, patches: jax.Array) -> jax.Array:
        """All tokens ``[b, t, d]``, of ``[b, h, w, d]``: class token, registers, patches."""
        init, width = nn.initializers.truncated_normal(0.02), self.width
        first = []
        if self.class_token:
            first.append(self.param("cls_token", init, (1, 1, width), jnp.float32))
        if self.grid:
            ahead = int(self.class_token and self.token_position)
            shape = (1, ahead + self.grid**2, width)
            position = self.param("pos_embed", init, shape, jnp.float32)
            if ahead:
                first = [first[0] + position[:, :1]]
            sides = (patches.shape[1], patches.shape[2])
            patches = patches + resized(
                position[:, ahead:], self.grid, sides, self.grid_kernel
            ).astype(patches.dtype)
        if self.registers:
            first.append(self.param("registers", init, (1, self.registers, width), jnp.float32))
        count = patches.shape[0]
        before = [jnp.broadcast_to(t, (count, *t.shape[1:])).astype(patches.dtype) for t in first]
        return jnp.concatenate([*before, patches.reshape(count, -1, width)], axis=1)

    def _norm(self, name: str, x: jax.Array) -> jax.Array:
        return nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name=name)(x)
