"""Means over the rows that count, and the cross-entropies made of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops.inputs import count, flags, floats, ints, takes_as_is
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num


@takes_as_is(values=floats("b"), mask=flags("b"))
def masked_mean(values: Num[Array, "b"], mask: Bool[Array, "b"]) -> Float[Array, ""]:
    """The mean of ``values`` ``[b]`` over the rows in ``mask`` ``[b]``; 0 where there is none."""
    kept = jnp.where(mask, values, 0.0)
    return jnp.sum(kept) / jnp.maximum(jnp.sum(mask), 1).astype(kept.dtype)


@takes_as_is(values=floats("b"), targets=ints("b"), mask=flags("b"), num_classes=count(1))
def class_balanced_mean(
    values: Num[Array, "b"], targets: Int[Array, "b"], mask: Bool[Array, "b"], num_classes: int
) -> Float[Array, ""]:
    """The mean over the present classes of each class's own mean.

    Args:
      values: ``[b]``.
      targets: int ``[b]``, class ids in [0, num_classes); anything where ``mask`` is False.
      mask: bool ``[b]``, the rows that count.
      num_classes: how many classes there may be.

    Returns:
      A scalar, 0 where no row counts.
    """
    members = jnp.where(
        mask[:, None], jax.nn.one_hot(targets, num_classes, dtype=values.dtype), 0.0
    )
    counts = jnp.sum(members, axis=0)
    means = jnp.where(mask, values, 0.0) @ members / jnp.maximum(counts, 1)
    return jnp.sum(means) / jnp.maximum(jnp.sum(counts > 0), 1).astype(means.dtype)


@takes_as_is(logits=floats("b c"), targets=ints("b"), mask=flags("b"))
def cross_entropy(
    logits: Num[Array, "b c"], targets: Int[Array, "b"], mask: Bool[Array, "b"]
) -> Float[Array, "b"]:
    """Per-row cross-entropy ``[b]`` of ``logits`` ``[b, c]``; 0 where ``mask`` is False.

    A row outside the mask may hold anything, NaN too: neither its value nor its gradient
    reaches the result.
    """
    safe = jnp.where(mask[:, None], logits, 0.0)
    log_probs = jax.nn.log_softmax(safe, axis=-1)
    picked = jnp.take_along_axis(log_probs, jnp.maximum(targets, 0)[:, None], axis=-1)[:, 0]
    return jnp.where(mask, -picked, 0.0)
