"""Pseudo-labels from confident predictions: the paper's threshold and the code's store."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops.inputs import flags, floats, ints, takes_as_is
from idc_jax.ops.shapes import Array, Bool, Int, Num


@takes_as_is(probs=floats("b c"))
def confident_labels(probs: Num[Array, "b c"], *, threshold: float) -> Int[Array, "b"]:
    """The paper's pseudo-labels: argmax where max p > ``threshold``, else -1.

    Args:
      probs: ``[b, c]``.
      threshold: τ, 0.99 in "Interactive Deep Clustering via Value Mining".

    Returns:
      int32 ``[b]``.
    """
    labels = jnp.argmax(probs, axis=-1).astype(jnp.int32)
    return jnp.where(jnp.max(probs, axis=-1) > threshold, labels, -1)


@takes_as_is(store=ints("n"), indices=ints("b"), probs=floats("b c"), mask=flags("b"))
def update_pseudo_labels(
    store: Int[Array, "n"],
    indices: Int[Array, "b"],
    probs: Num[Array, "b c"],
    mask: Bool[Array, "b"],
    *,
    fraction: float,
    threshold: float,
) -> Int[Array, "n"]:
    """One step of the published code's pseudo-label memory.

    Each predicted class proposes its ceil(fraction · b / c) most confident rows, b without the
    padding; those above
    the threshold label samples that have no label yet. A stored label is kept even where the
    prediction changed, until the sample's confidence falls below the threshold.

    Args:
      store: int32 ``[n]``, -1 for "none".
      indices: int ``[b]``, which samples the rows are, each at most once.
      probs: ``[b, c]``, predictions on their evaluation views.
      mask: bool ``[b]``, False for padding.
      fraction: the share of a batch that may be proposed, 0.2.
      threshold: 0.99.

    Returns:
      The new store, ``[n]``.
    """
    # A hair less, lest rounding lift a whole number to the next.
    size = jnp.sum(mask).astype(jnp.float32)
    quota = jnp.ceil(fraction * size / probs.shape[1] - 1e-4).astype(jnp.int32)
    labels = jnp.argmax(probs, axis=-1).astype(store.dtype)
    confidence = jnp.where(mask, jnp.max(probs, axis=-1), -1.0)
    proposed = (_rank_in_class(labels, confidence) < quota) & (confidence > threshold)
    # Padding may repeat an index: it reads anything and writes nowhere.
    kept = store[indices]
    filled = jnp.where((kept < 0) & proposed, labels, kept)
    updated = jnp.where(confidence < threshold, -1, filled)
    return store.at[jnp.where(mask, indices, store.shape[0])].set(updated, mode="drop")


def _rank_in_class(labels: jax.Array, confidence: jax.Array) -> jax.Array:
    """Each row's rank ``[b]`` by falling confidence among the rows of its class."""
    order = jnp.lexsort((-confidence, labels))
    ordered = labels[order]
    place = jnp.arange(labels.shape[0])
    first = jnp.searchsorted(ordered, ordered, side="left")
    return jnp.zeros_like(place).at[order].set(place - first)
