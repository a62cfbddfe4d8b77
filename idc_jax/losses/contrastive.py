"""Losses of contrastive deep clustering, on arrays alone.

Li et al., "Contrastive Clustering" (2021); Li et al., "Twin Contrastive Learning for Online
Clustering" (2022) trains with the same pair of contrasts. Its cluster-level contrast and the
entropy term that keeps the clusters even are :func:`idc_jax.losses.pcl.cluster_contrast` and
:func:`idc_jax.losses.pcl.cluster_entropy`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.losses.classification import masked_mean
from idc_jax.losses.pcl import cluster_contrast, cluster_entropy
from idc_jax.ops.shapes import Array, Bool, Float, Int

_LOG_FLOOR = 1e-8


class ContrastiveTerms(NamedTuple):
    """The terms of contrastive clustering, each a scalar and not yet weighted."""

    instance: jax.Array
    cluster: jax.Array
    entropy: jax.Array
    agreement: jax.Array


def instance_contrast(
    first: Float[Array, "n d"],
    second: Float[Array, "n d"],
    mask: Bool[Array, "n"],
    *,
    temperature: float,
    ids: Int[Array, "2*n"] | None = None,
) -> Float[Array, ""]:
    """NT-Xent: the other view of a sample against all other views of the batch.

    ``-mean_u [ s_uv+/τ − log Σ_{v ≠ u} exp(s_uv/τ) ]`` over the 2m valid views u, with s the inner
    product and v+ the other view of u's sample ("A Simple Framework for Contrastive Learning of
    Visual Representations").

    Args:
      first: ``[n, d]``, unit vectors, one view of each sample.
      second: ``[n, d]``, the other.
      mask: bool ``[n]``, False for padding.
      temperature: τ.
      ids: int ``[2n]``, what each view shows; views of the same thing beside the positive are
        then left out of the negatives. None where no sample can occur twice.

    Returns:
      A scalar, 0 for an empty batch.
    """
    items = jnp.concatenate([first, second])
    count = first.shape[0]
    valid = jnp.tile(mask, 2)
    similarity = jnp.matmul(items, items.T, precision=jax.lax.Precision.HIGHEST) / temperature
    partner = jnp.roll(jnp.arange(2 * count), count)
    positive = jnp.take_along_axis(similarity, partner[:, None], axis=1)[:, 0]
    is_partner = jnp.arange(2 * count)[None, :] == partner[:, None]
    same = jnp.eye(2 * count, dtype=bool) if ids is None else ids[:, None] == ids[None, :]
    counted = valid[None, :] & (~same | is_partner) & ~jnp.eye(2 * count, dtype=bool)
    # A padded row may have nothing to compare with: its partner keeps the logarithm finite.
    counted = counted | (is_partner & ~valid[:, None])
    log_total = jax.nn.logsumexp(similarity, axis=1, where=counted)
    return masked_mean(log_total - positive, valid)


def assignment_agreement(
    first: Float[Array, "n c"], second: Float[Array, "n c"], mask: Bool[Array, "n"]
) -> Float[Array, ""]:
    """Both views in the same cluster, and surely: ``−mean_i log Σ_k p_ik q_ik``.

    The consistency term of "SCAN: Learning to Classify Images without Labels".

    Args:
      first: ``[n, c]``, probabilities of one view.
      second: ``[n, c]``, of the other, or of a neighbour.
      mask: bool ``[n]``, False for padding.

    Returns:
      A scalar, 0 for an empty batch.
    """
    together = jnp.sum(first * second, axis=1)
    return masked_mean(-jnp.log(together + _LOG_FLOOR), mask)


def contrastive_terms(
    instances: tuple[jax.Array, jax.Array],
    logits: tuple[jax.Array, jax.Array],
    mask: Bool[Array, "n"],
    *,
    instance_temperature: float,
    cluster_temperature: float,
    ids: Int[Array, "2*n"] | None = None,
) -> ContrastiveTerms:
    """All the terms for two views of one batch.

    Args:
      instances: unit vectors ``[n, d]`` of either view.
      logits: ``[n, c]`` of either view.
      mask: bool ``[n]``, False for padding.
      instance_temperature: τ of :func:`instance_contrast`.
      cluster_temperature: τ of the cluster-level contrast.
      ids: as in :func:`instance_contrast`.
    """
    first, second = (jax.nn.softmax(view, axis=-1) for view in logits)
    return ContrastiveTerms(
        instance=instance_contrast(*instances, mask, temperature=instance_temperature, ids=ids),
        cluster=cluster_contrast(first, second, mask, temperature=cluster_temperature),
        entropy=cluster_entropy(first, second, mask),
        agreement=assignment_agreement(first, second, mask),
    )
