"""Heads on an embedding: the instance head, the cluster head, and the network that joins them."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.models.layers import batch_norm, dense
from idc_jax.models.outputs import Outputs

HeadLayout = Literal["relu_first", "plain", "batch_norm", "linear"]
HEAD_LAYOUTS: tuple[HeadLayout, ...] = ("relu_first", "plain", "batch_norm", "linear")
NORM_FLOOR = 1e-12


class Head(nn.Module):
    """A projector d -> d -> out in one of the published layouts.

    Attributes:
      features: the output's width.
      layout: ``"relu_first"`` (ReLU, Linear, ReLU, Linear: the TCL that IDC starts from),
        ``"plain"`` (Linear, ReLU, Linear: Contrastive Clustering and PCL), ``"batch_norm"``
        (BatchNorm, ReLU, Linear twice: Twin Contrastive Learning as published) or ``"linear"``
        (one Linear: DSAC).
      dtype: the type computed in.
    """

    features: int
    layout: HeadLayout = "relu_first"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[b, d]`` to ``[b, features]``; ``mask`` as for Model."""
        if self.layout == "linear":
            return dense(self.features, self.dtype, "dense_0")(x)
        for index, features in enumerate((x.shape[-1], self.features)):
            if self.layout == "batch_norm":
                x = batch_norm(train, self.dtype, f"norm_{index}")(x, mask=mask)
            if index > 0 or self.layout != "plain":
                x = nn.relu(x)
            x = dense(features, self.dtype, f"dense_{index}")(x)
        return x


class Projector(nn.Module):
    """Linear, BatchNorm, ReLU, Linear: what ProPos puts on its backbone and clusters.

    Attributes:
      hidden: units of the first layer.
      features: the output's width.
      dtype: the type computed in.
    """

    hidden: int
    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[b, d]`` to ``[b, features]``; ``mask`` as for Model."""
        x = dense(self.hidden, self.dtype, "dense_0")(x)
        x = nn.relu(batch_norm(train, self.dtype, "norm_0")(x, mask=mask))
        return dense(self.features, self.dtype, "dense_1")(x)


class ClusterNet(nn.Module):
    """A backbone with an instance head and a cluster head.

    The variables hold ``backbone``, ``instance_head`` and ``cluster_head`` at the top of each
    collection, so that an optimiser or an import can address them by these names. Where the
    network projects or attends, ``projector`` and ``attention`` stand beside them; variables
    trained or imported without attention fit otherwise.

    Attributes:
      backbone: ``(x, train, mask) -> [b, d]``.
      num_clusters: the cluster head's width.
      instance_dim: the instance head's width.
      head: the layout of both heads.
      mean, std: subtracted from and divided into the input per channel; empty for neither.
      dtype: the type computed in.
      projector: ``(embedding, train, mask) -> [b, d]``, behind the backbone; or None.
      attention: ``(embedding, mask) -> [b, d]``, between that and the heads; or None.
    """

    backbone: nn.Module
    num_clusters: int
    instance_dim: int = 128
    head: HeadLayout = "relu_first"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    dtype: DTypeLike = jnp.float32
    projector: nn.Module | None = None
    attention: nn.Module | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> Outputs:
        """Map inputs ``[b, ...]`` to float32 :class:`Outputs`; ``mask`` as for Model."""
        if self.mean:
            x = (x - jnp.asarray(self.mean)) / jnp.asarray(self.std)
        embedding = self.backbone(x, train, mask).astype(jnp.float32)
        if self.projector is not None:
            embedding = self.projector(embedding, train, mask).astype(jnp.float32)
        if self.attention is not None:
            embedding = self.attention(embedding, mask)
        instance = Head(self.instance_dim, self.head, self.dtype, name="instance_head")(
            embedding, train, mask
        ).astype(jnp.float32)
        logits = Head(self.num_clusters, self.head, self.dtype, name="cluster_head")(
            embedding, train, mask
        )
        squared = jnp.sum(instance**2, axis=-1, keepdims=True)
        unit = instance * jax.lax.rsqrt(jnp.maximum(squared, NORM_FLOOR**2))
        return Outputs(embedding, unit, logits.astype(jnp.float32))
