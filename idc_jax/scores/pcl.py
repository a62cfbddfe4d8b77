"""The scores by which PCL chooses pairs ("Personalized clustering via targeted representation
learning"): uncertain pairs, and pairs on which two views disagree.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays
from idc_jax.ops.inputs import flags, floats, takes
from idc_jax.ops.shapes import Array, Bool, Float, Num

# The similarity at which a pair is taken to be least certain.
UNCERTAIN = 0.2
_CLAMP = 1e-3


@takes(z=floats("n d"), known=floats("n n"), other=floats("n d"), valid=flags("n"))
def pair_scores(
    z: Num[Array, "n d"],
    known: Num[Array, "n n"],
    remaining_fraction: jax.Array | float,
    *,
    other: Num[Array, "n d"] | None = None,
    valid: Bool[Array, "n"] | None = None,
    uncertain_at: jax.Array | float = UNCERTAIN,
) -> tuple[Float[Array, "s s"], Float[Array, "s s"]]:
    """The two terms of PCL's score of every pair in a block.

    With ``A`` the mean similarity within the two views, ``B`` that within the first and ``X``
    that between them::

      up = tanh(mm(−|A − 0.2|))
      hp = (1 − ρ) · mm(−KL(B ‖ Q₁) − KL(B ‖ Q₂)),   Q₁ = (X + q∘B) / (1 + [q ≠ 0]), Q₂ with Xᵀ

    where ``mm`` scales a matrix to 0..1 (a constant one to zeros), KL is that of two coins, and
    ρ is the share of the budget that is left. The pair worth most has the highest ``up + hp``.

    Args:
      z: embeddings ``[n, d]`` of the block in the first view.
      known: int ``[n, n]``, 1 must-link, -1 cannot-link, 0 unknown.
      remaining_fraction: ρ, from 1 (nothing asked yet) to 0.
      other: embeddings ``[n, d]`` in the second view; ``z`` by default.
      valid: bool ``[n]``, false for padding, which takes no part in the scaling.
      uncertain_at: another similarity in the place of 0.2.

    Returns:
      ``(up, hp)``, float32 ``[n, n]`` each, zero at padding.
    """
    z = arrays.normalize(z)
    other = z if other is None else arrays.normalize(other)
    valid = jnp.ones((z.shape[0],), bool) if valid is None else valid
    pairs = valid[:, None] & valid[None]
    first, cross = arrays.inner(z, z), arrays.inner(z, other)
    mean = 0.5 * (first + arrays.inner(other, other))
    up = jnp.tanh(_min_max(-jnp.abs(mean - uncertain_at), pairs))
    known = known.astype(jnp.float32)
    seen = jnp.where(known != 0, 2.0, 1.0)
    disagreement = _coin_kl(first, (cross + known * first) / seen)
    disagreement += _coin_kl(first, (cross.T + known * first) / seen)
    hp = (1.0 - remaining_fraction) * _min_max(-disagreement, pairs)
    return jnp.where(pairs, up, 0.0), jnp.where(pairs, hp, 0.0)


def _min_max(values: jax.Array, counted: jax.Array) -> jax.Array:
    """``values`` scaled to 0..1 over the counted entries; zeros where those are constant."""
    low = jnp.min(jnp.where(counted, values, jnp.inf))
    span = jnp.max(jnp.where(counted, values, -jnp.inf)) - low
    usable = jnp.isfinite(span) & (span > 0)
    return jnp.where(usable, (values - low) / jnp.where(usable, span, 1.0), 0.0)


def _coin_kl(p: jax.Array, q: jax.Array) -> jax.Array:
    """``KL(p ‖ q)`` of two coins, both probabilities kept off 0 and 1."""
    p, q = (jnp.clip(v, _CLAMP, 1.0 - _CLAMP) for v in (p, q))
    return p * jnp.log(p / q) + (1.0 - p) * jnp.log((1.0 - p) / (1.0 - q))
