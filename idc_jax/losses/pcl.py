"""The losses of PCL, L = L_ins + L_clu, over one block of samples seen in two views.

Formulas as in the published code of "Personalized Clustering via Targeted Representation
Learning"; every term has weight 1. Links are q ``[n, n]`` in {-1, 0, 1}: cannot-link, unknown,
must-link; the diagonal is not read.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from idc_jax.ops.inputs import count, flags, floats, takes_as_is
from idc_jax.ops.shapes import Array, Bool, Float, Num

_MIN_MUST_WEIGHT = 2.0
_ENTROPY_EPSILON = 1e-8


@takes_as_is(links=floats("n n"), mask=flags("n"), block=count(1))
def must_link_weight(
    links: Num[Array, "n n"], mask: Bool[Array, "n"], block: int
) -> Float[Array, ""]:
    """ρ = max(4 n / (#{q = 1} + 1), 2): the fewer must-links, the more each counts.

    Args:
      links: int ``[n, n]``, symmetric: each must-link counts twice.
      mask: bool ``[n]``, False for padding.
      block: n, the nominal size of a block (128), the same for a padded one.

    Returns:
      A scalar.
    """
    count = jnp.sum((links == 1) & _distinct(mask)).astype(jnp.float32)
    return jnp.maximum(4.0 * block / (count + 1.0), _MIN_MUST_WEIGHT)


@takes_as_is(
    first=floats("n d"),
    second=floats("n d"),
    links=floats("n n"),
    mask=flags("n"),
    pseudo_links=flags("n n"),
)
def constrained_contrast(
    first: Num[Array, "n d"],
    second: Num[Array, "n d"],
    links: Num[Array, "n n"],
    mask: Bool[Array, "n"],
    *,
    must_weight: Float[Array, ""],
    temperature: float,
    pseudo_links: Bool[Array, "n n"] | None = None,
) -> Float[Array, ""]:
    """ℓ: pull views of one sample and must-linked samples together, cannot-linked apart.

    Over the m = 2n view items, with S_uv = exp(o_u · o_v / τ):
    den_u = m Σ_v w⁻_uv S_uv / Σ_v w⁻_uv with w⁻ = 0 for u = v, 2 for cannot-link, else 1;
    w⁺ = 1 for two views of one sample, 1 + ρ for must-link, 1 for a pseudo must-link;
    ℓ = Σ w⁺ (log den_u − log S_uv) / Σ w⁺.

    Args:
      first: ``[n, d]``, one view's rows: unit instance embeddings, or cluster probabilities.
      second: ``[n, d]``, the other view's.
      links: int ``[n, n]``, q.
      mask: bool ``[n]``, False for padding.
      must_weight: ρ.
      temperature: τ, 1.0.
      pseudo_links: bool ``[n, n]``, must-links that nobody confirmed; None for none.

    Returns:
      A scalar, 0 for an empty block.
    """
    items = jnp.where(jnp.tile(mask, 2)[:, None], jnp.concatenate([first, second]), 0.0)
    similarity = jnp.matmul(items, items.T, precision=jax.lax.Precision.HIGHEST) / temperature
    repel = _repelling(links, mask)
    attract = _attracting(links, mask, must_weight, pseudo_links)
    # A padded row has nothing to repel: one stand-in entry keeps its logarithm finite.
    repel = jnp.where(jnp.sum(repel, axis=1, keepdims=True) > 0, repel, jnp.eye(repel.shape[0]))
    log_mean = jax.nn.logsumexp(similarity, axis=1, b=repel) - jnp.log(jnp.sum(repel, axis=1))
    log_denominator = jnp.log(jnp.maximum(2.0 * jnp.sum(mask).astype(jnp.float32), 1.0)) + log_mean
    total = jnp.sum(attract * (log_denominator[:, None] - similarity))
    return total / jnp.maximum(jnp.sum(attract), 1.0)


@takes_as_is(first=floats("n c"), second=floats("n c"), mask=flags("n"))
def cluster_contrast(
    first: Num[Array, "n c"],
    second: Num[Array, "n c"],
    mask: Bool[Array, "n"],
    *,
    temperature: float,
) -> Float[Array, ""]:
    """Tell the clusters apart: cross-entropy over the cosines of the 2C probability columns.

    A column's positive is the same cluster in the other view; the mean runs over the 2C
    columns.

    Args:
      first: ``[n, c]``, probabilities of one view.
      second: ``[n, c]``, of the other.
      mask: bool ``[n]``, False for padding.
      temperature: 2.0 in the published code.

    Returns:
      A scalar.
    """
    num_clusters = first.shape[1]
    columns = jnp.where(mask[:, None], jnp.concatenate([first, second], axis=1), 0.0).T
    # A cluster without any probability, or an empty block, has no direction: keep 0 finite.
    norms = jnp.sqrt(jnp.maximum(jnp.sum(columns**2, axis=1, keepdims=True), 1e-16))
    unit = columns / norms
    cosine = jnp.matmul(unit, unit.T, precision=jax.lax.Precision.HIGHEST) / temperature
    others = jnp.where(jnp.eye(2 * num_clusters, dtype=bool), -jnp.inf, cosine)
    partner = jnp.roll(jnp.arange(2 * num_clusters), num_clusters)
    matched = jnp.take_along_axis(cosine, partner[:, None], axis=1)[:, 0]
    loss = jnp.mean(jax.nn.logsumexp(others, axis=1) - matched)
    return jnp.where(jnp.any(mask), loss, 0.0)


@takes_as_is(first=floats("n c"), second=floats("n c"), mask=flags("n"))
def cluster_entropy(
    first: Num[Array, "n c"], second: Num[Array, "n c"], mask: Bool[Array, "n"]
) -> Float[Array, ""]:
    """Σ over the views of log C + Σ_k p_k log(p_k + 1e-8): 0 where the clusters are even.

    Args:
      first: ``[n, c]``, probabilities of one view.
      second: ``[n, c]``, of the other.
      mask: bool ``[n]``, False for padding.

    Returns:
      A scalar, 0 for an empty block.
    """
    return _negative_entropy(first, mask) + _negative_entropy(second, mask)


@takes_as_is(first=floats("n d"), second=floats("n d"), links=floats("n n"), mask=flags("n"))
def instance_loss(
    first: Num[Array, "n d"],
    second: Num[Array, "n d"],
    links: Num[Array, "n n"],
    mask: Bool[Array, "n"],
    **options: Any,
) -> Float[Array, ""]:
    """L_ins: `constrained_contrast` of the unit instance embeddings ``[n, d]`` at τ = 1."""
    return constrained_contrast(first, second, links, mask, temperature=1.0, **options)


@takes_as_is(first=floats("n c"), second=floats("n c"), links=floats("n n"), mask=flags("n"))
def cluster_loss(
    first: Num[Array, "n c"],
    second: Num[Array, "n c"],
    links: Num[Array, "n n"],
    mask: Bool[Array, "n"],
    **options: Any,
) -> Float[Array, ""]:
    """L_clu: cluster contrast + `constrained_contrast` of probabilities ``[n, c]`` + entropy."""
    return (
        cluster_contrast(first, second, mask, temperature=2.0)
        + constrained_contrast(first, second, links, mask, temperature=1.0, **options)
        + cluster_entropy(first, second, mask)
    )


def _negative_entropy(probs: jax.Array, mask: jax.Array) -> jax.Array:
    mass = jnp.sum(jnp.where(mask[:, None], probs, 0.0), axis=0)
    share = mass / jnp.maximum(jnp.sum(mass), _ENTROPY_EPSILON)
    spread = jnp.log(float(probs.shape[1])) + jnp.sum(share * jnp.log(share + _ENTROPY_EPSILON))
    return jnp.where(jnp.any(mask), spread, 0.0)


def _distinct(mask: jax.Array) -> jax.Array:
    """Pairs ``[n, n]`` of two different samples, neither of them padding."""
    return mask[:, None] & mask[None, :] & ~jnp.eye(mask.shape[0], dtype=bool)


def _repelling(links: jax.Array, mask: jax.Array) -> jax.Array:
    """w⁻ ``[2n, 2n]``."""
    count = mask.shape[0]
    valid = jnp.tile(mask[:, None] & mask[None, :], (2, 2)) & ~jnp.eye(2 * count, dtype=bool)
    cannot = jnp.tile((links == -1) & _distinct(mask), (2, 2))
    return jnp.where(valid, jnp.where(cannot, 2.0, 1.0), 0.0)


def _attracting(
    links: jax.Array, mask: jax.Array, must_weight: jax.Array, pseudo_links: jax.Array | None
) -> jax.Array:
    """w⁺ ``[2n, 2n]``."""
    must = (links == 1) & _distinct(mask)
    weight = jnp.where(must, 1.0 + must_weight, 0.0)
    if pseudo_links is not None:
        weight = jnp.where(~must & pseudo_links & _distinct(mask), 1.0, weight)
    own = jnp.kron(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.diag(mask.astype(weight.dtype)))
    return jnp.tile(weight, (2, 2)) + own
