"""Attention over a block of samples: the network of PCL.

The samples of a block are the tokens, so a prediction depends on who else is in the block, at
test time too ("Personalized Clustering via Targeted Representation Learning" calls it
cross-instance attention). A fixed order of blocks makes it deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.models.heads import NORM_FLOOR, Head, HeadLayout
from idc_jax.models.layers import dense

AttentionStart = Literal["random", "identity"]


class BatchAttention(nn.Module):
    """Multi-head self-attention whose tokens are the rows of a batch.

    Bias-free queries, keys and values, and nothing else: no output projection, no residual, no
    normalisation. With 8 heads on a 512-d embedding each head has 64 dimensions.

    Attributes:
      num_heads: must divide the embedding's width.
      start: ``"random"``, or ``"identity"``: the three maps begin as the identity, so that the
        layer begins as an average over similar rows and keeps what a pre-trained network knows.
    """

    num_heads: int = 8
    start: AttentionStart = "random"

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Map ``[b, d]`` to ``[b, d]``; nobody attends to rows outside ``mask`` ``[b]``."""
        width = x.shape[-1]
        queries, keys, values = (self._heads(name, x) for name in ("query", "key", "value"))
        scores = jnp.einsum("bhd,chd->hbc", queries, keys) / jnp.sqrt(width / self.num_heads)
        # Finite, so that a block of nothing but padding stays finite too.
        scores = jnp.where(mask[None, None, :], scores, jnp.finfo(scores.dtype).min)
        mixed = jnp.einsum("hbc,chd->bhd", jax.nn.softmax(scores, axis=-1), values)
        return mixed.reshape(x.shape)

    def _heads(self, name: str, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        if self.start == "identity":
            layer = nn.Dense(width, use_bias=False, kernel_init=_identity, name=name)
        else:
            layer = dense(width, x.dtype, name, use_bias=False)
        return layer(x).reshape(x.shape[0], self.num_heads, width // self.num_heads)


class BlockModel(NamedTuple):
    """A network that sees a block of samples at once.

    Attributes:
      init: ``(key, x [b, ...]) -> variables``: those of :class:`idc_jax.models.base.Model`, and
        ``attention`` among the parameters where the network attends.
      apply: ``(variables, x, mask, train) -> (Outputs, variables)``; ``mask`` ``[b]`` is False
        for padding, whose outputs mean nothing. The outputs' embedding is the attended one.
    """

    init: Callable[[jax.Array, jax.Array], Variables]
    apply: Callable[[Variables, jax.Array, jax.Array, bool], tuple[Outputs, Variables]]


def without_attention(model: Model) -> BlockModel:
    """Let an ordinary network pass for one that sees blocks."""

    def apply(
        variables: Variables, x: jax.Array, mask: jax.Array, train: bool
    ) -> tuple[Outputs, Variables]:
        del mask
        return model.apply(variables, x, train)

    return BlockModel(model.init, apply)


def with_attention(
    model: Model,
    *,
    num_clusters: int,
    head: HeadLayout,
    instance_dim: int = 128,
    num_heads: int = 8,
    start: AttentionStart = "random",
) -> BlockModel:
    """Put attention over the block between a network's backbone and its heads.

    The heads keep their parameters, so variables trained or imported without attention fit.

    Args:
      model: of :func:`idc_jax.models.build` with the same ``num_clusters``, ``head`` and
        ``instance_dim``.
      num_clusters: the cluster head's width.
      head: the heads' layout; one without BatchNorm.
      instance_dim: the instance head's width.
      num_heads: attention heads.
      start: see :class:`BatchAttention`.

    Raises:
      UserError: heads with BatchNorm, or, at ``init``, an embedding that the heads don't divide.
    """
    if head == "batch_norm":
        raise UserError("attention over a block needs heads without BatchNorm: use head='plain'")
    attention = BatchAttention(num_heads, start)
    instance_head, cluster_head = Head(instance_dim, head), Head(num_clusters, head)

    def init(key: jax.Array, x: jax.Array) -> Variables:
        model_key, attention_key = jax.random.split(key)
        variables = model.init(model_key, x)
        return add_attention(attention_key, variables, _embedding_width(model, variables, x))

    def add_attention(key: jax.Array, variables: Variables, width: int) -> Variables:
        if width % num_heads:
            raise UserError(f"{num_heads} attention heads do not divide an embedding of {width}")
        added = attention.init(key, jnp.zeros((1, width)), jnp.ones(1, bool))["params"]
        return {**variables, "params": {**variables["params"], "attention": added}}

    def head_of(head: Head, params: Variables, x: jax.Array) -> jax.Array:
        return cast(jax.Array, head.apply({"params": params}, x, False))

    def apply(
        variables: Variables, x: jax.Array, mask: jax.Array, train: bool
    ) -> tuple[Outputs, Variables]:
        params = variables["params"]
        own = {name: value for name, value in params.items() if name != "attention"}
        outputs, moved = model.apply({**variables, "params": own}, x, train)
        attended = attention.apply({"params": params["attention"]}, outputs.embedding, mask)
        attended = cast(jax.Array, attended)
        instance = head_of(instance_head, params["instance_head"], attended)
        logits = head_of(cluster_head, params["cluster_head"], attended)
        return Outputs(attended, _unit(instance), logits), {**moved, "params": params}

    return BlockModel(init, apply)


def _embedding_width(model: Model, variables: Variables, x: jax.Array) -> int:
    outputs, _ = jax.eval_shape(lambda v: model.apply(v, x, False), variables)
    return int(outputs.embedding.shape[-1])


def _identity(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    del key
    return jnp.eye(shape[0], shape[1], dtype=dtype)


def _unit(x: jax.Array) -> jax.Array:
    squared = jnp.sum(x**2, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squared, NORM_FLOOR**2))
