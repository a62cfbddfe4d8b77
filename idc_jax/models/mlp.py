"""A multilayer perceptron for feature vectors."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.models.layers import batch_norm, dense


class MLP(nn.Module):
    """Hidden layers with BatchNorm and ReLU, then a linear embedding.

    Attributes:
      hidden: the hidden layers' widths; may be empty.
      embedding_dim: the embedding's width; 0 leaves it out: the last hidden layer is it.
      dtype: the type computed in; parameters and statistics are float32.
    """

    hidden: tuple[int, ...]
    embedding_dim: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[b, ...]``, flattened, to embeddings ``[b, d]``; ``mask`` as for Model."""
        x = x.reshape(x.shape[0], -1).astype(self.dtype)
        for index, features in enumerate(self.hidden):
            # BatchNorm's shift makes a bias redundant.
            x = dense(features, self.dtype, f"dense_{index}", use_bias=False)(x)
            x = nn.relu(batch_norm(train, self.dtype, f"bn_{index}")(x, mask=mask))
        return dense(self.embedding_dim, self.dtype, "fc")(x) if self.embedding_dim else x
