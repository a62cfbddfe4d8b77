"""DSAC's three losses, L = L_u + L_class + γ L_center.

From "Deep Self-paced Active Learning for Image Clustering".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.losses.classification import cross_entropy, masked_mean
from idc_jax.ops.inputs import count, flags, floats, ints, takes_as_is
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num


@takes_as_is(embeddings=floats("b d"), centers=floats("b d"), mask=flags("b"))
def self_paced(
    embeddings: Num[Array, "b d"],
    centers: Num[Array, "b d"],
    scale: jax.Array,
    mask: Bool[Array, "b"],
) -> Float[Array, ""]:
    """L_u: the mean over the unlabelled of w_i d_i, easy samples first.

    d_i = ‖F_i − c_i‖² and w_i = max(1 − d_i/λ, 0). The weights are the closed-form minimum of
    w d + λ(w²/2 − w), so they count as constants.

    Args:
      embeddings: ``[b, d]``.
      centers: ``[b, d]``, the centre of each row's own cluster, constants.
      scale: λ, a scalar or ``[b]``; where it is 0 only rows on their centre have weight.
      mask: bool ``[b]``, the unlabelled rows.

    Returns:
      A scalar, 0 where nothing is unlabelled.
    """
    distances = _squared_distances(embeddings, centers, mask)
    constant = jax.lax.stop_gradient(distances)
    ratio = jnp.where(scale > 0, constant / jnp.where(scale > 0, scale, 1.0), jnp.inf)
    weights = jnp.where(constant == 0, 1.0, jnp.maximum(1.0 - ratio, 0.0))
    return masked_mean(weights * distances, mask)


@takes_as_is(logits=floats("b c"), targets=ints("b"), weights=floats("b"), mask=flags("b"))
def weighted_class(
    logits: Num[Array, "b c"],
    targets: Int[Array, "b"],
    weights: Num[Array, "b"],
    mask: Bool[Array, "b"],
) -> Float[Array, ""]:
    """L_class: the mean over the labelled of C_i · CE_i.

    Args:
      logits: ``[b, c]``.
      targets: int ``[b]``, answers and pseudo-labels.
      weights: ``[b]``, the compactness C_i of each row.
      mask: bool ``[b]``, the labelled rows.

    Returns:
      A scalar, 0 where nothing is labelled.
    """
    losses = cross_entropy(logits, targets, mask)
    return masked_mean(jnp.where(mask, weights, 0.0) * losses, mask)


@takes_as_is(embeddings=floats("b d"), centers=floats("b d"), weights=floats("b"), mask=flags("b"))
def weighted_center(
    embeddings: Num[Array, "b d"],
    centers: Num[Array, "b d"],
    weights: Num[Array, "b"],
    mask: Bool[Array, "b"],
) -> Float[Array, ""]:
    """L_center: the mean over the labelled of C_i ‖F_i − c'‖².

    Args:
      embeddings: ``[b, d]``.
      centers: ``[b, d]``, the mean embedding c' of each row's class.
      weights: ``[b]``, the compactness C_i of each row.
      mask: bool ``[b]``, the labelled rows.

    Returns:
      A scalar, 0 where nothing is labelled.
    """
    distances = _squared_distances(embeddings, centers, mask)
    return masked_mean(jnp.where(mask, weights, 0.0) * distances, mask)


@takes_as_is(embeddings=floats("b d"), targets=ints("b"), mask=flags("b"), num_classes=count(1))
def class_means(
    embeddings: Num[Array, "b d"],
    targets: Int[Array, "b"],
    mask: Bool[Array, "b"],
    num_classes: int,
) -> tuple[Float[Array, "{num_classes} d"], Float[Array, "{num_classes}"]]:
    """The mean embedding of each class over the rows in ``mask``.

    Args:
      embeddings: ``[b, d]``.
      targets: int ``[b]``.
      mask: bool ``[b]``.
      num_classes: c.

    Returns:
      Means ``[c, d]``, 0 for a class without rows, and how many rows each has, ``[c]``.
    """
    members = jnp.where(
        mask[:, None], jax.nn.one_hot(targets, num_classes, dtype=embeddings.dtype), 0.0
    )
    counts = jnp.sum(members, axis=0)
    totals = jnp.matmul(
        members.T, jnp.where(mask[:, None], embeddings, 0.0), precision=jax.lax.Precision.HIGHEST
    )
    return totals / jnp.maximum(counts, 1)[:, None], counts


def _squared_distances(rows: jax.Array, centers: jax.Array, mask: jax.Array) -> jax.Array:
    difference = jnp.where(mask[:, None], rows - centers, 0.0)
    return jnp.sum(difference**2, axis=-1)
