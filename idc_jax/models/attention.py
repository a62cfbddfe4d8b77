"""Attention over a block of samples: the network of PCL.

The samples of a block are the tokens, so a prediction depends on what else is in the block, at
test time too ("Personalized Clustering via Targeted Representation Learning" calls it
cross-instance attention). A fixed order of blocks makes it deterministic.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.models.base import Model
from idc_jax.models.layers import dense, groups_of

AttentionStart = Literal["random", "identity"]
# Samples that attend to each other where nobody says which: as many as in the published code.
BLOCK = 128


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
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[b, d]`` to ``[b, d]``; no row attends to rows outside ``mask`` as for Model.

        Raises:
          UserError: an embedding that the heads don't divide.
        """
        width = x.shape[-1]
        if width % self.num_heads:
            raise UserError(
                f"{self.num_heads} attention heads do not divide an embedding of {width}"
            )
        queries, keys, values = (self._heads(name, x) for name in ("query", "key", "value"))
        scores = jnp.einsum("bhd,chd->hbc", queries, keys) / jnp.sqrt(width / self.num_heads)
        if mask is not None:
            # Finite, so that a block of nothing but padding stays finite too.
            groups = groups_of(mask)
            seen = (groups[:, None] & groups[None]).any(-1)
            scores = jnp.where(seen, scores, jnp.finfo(scores.dtype).min)
        mixed = jnp.einsum("hbc,chd->bhd", jax.nn.softmax(scores, axis=-1), values)
        return mixed.reshape(x.shape)

    def _heads(self, name: str, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        if self.start == "identity":
            layer = nn.Dense(width, use_bias=False, kernel_init=_identity, name=name)
        else:
            layer = dense(width, x.dtype, name, use_bias=False)
        return layer(x).reshape(x.shape[0], self.num_heads, width // self.num_heads)


def with_attention(model: Model, *, num_heads: int = 8, start: AttentionStart = "random") -> Model:
    """Put attention over the rows of a batch between a network's backbone and its heads.

    Its variables have ``attention`` among the parameters. All others keep their names and shapes,
    so variables trained or imported without attention fit. The outputs' embedding is the attended
    one.

    Args:
      model: of :func:`idc_jax.models.build`.
      num_heads: attention heads; at ``init`` they must divide the embedding.
      start: see :class:`BatchAttention`.
    """
    return Model(model.module.clone(attention=BatchAttention(num_heads, start)))


def without_attention(model: Model) -> Model:
    """The network that :func:`with_attention` was given."""
    return Model(model.module.clone(attention=None))


def _identity(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    del key
    return jnp.eye(shape[0], shape[1], dtype=dtype)
