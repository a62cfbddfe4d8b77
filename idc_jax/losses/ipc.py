"""IPC's pair loss ("Interactive Personalized Clustering: Navigating Beyond Rigid Criteria and
Sample Ambiguity"): two samples of one group are to be predicted alike, two of different ones not.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops.inputs import flags, floats, takes_as_is
from idc_jax.ops.shapes import Array, Bool, Float, Num


@takes_as_is(first=floats("b c"), second=floats("b c"), same=flags("b"), mask=flags("b"))
def pair_loss(
    first: Num[Array, "b c"],
    second: Num[Array, "b c"],
    same: Bool[Array, "b"],
    mask: Bool[Array, "b"],
) -> Float[Array, "b"]:
    """What each pair costs, given what was said of it.

    With ``p = softmax(first)`` and ``q = softmax(second)``, a pair of one group costs
    ``−½ Σₖ [pₖ log qₖ + qₖ log pₖ]``, one of different groups
    ``−½ Σₖ [pₖ log (1 − qₖ) + qₖ log (1 − pₖ)]``.

    Args:
      first: logits ``[b, c]`` of the pairs' first samples, c at least 2.
      second: likewise, of their second samples.
      same: bool ``[b]``, whether they were said to be of one group.
      mask: bool ``[b]``, the pairs that count. Others may hold anything, NaN too.

    Returns:
      ``[b]``, 0 where ``mask`` is False. A wholly wrong pair keeps a finite loss and a gradient.
    """
    p, q = (jax.nn.log_softmax(jnp.where(mask[:, None], a, 0.0), axis=-1) for a in (first, second))
    alike = _symmetric(p, q, p, q)
    apart = _symmetric(p, q, _log_complement(p), _log_complement(q))
    return jnp.where(mask, jnp.where(same, alike, apart), 0.0)


def _symmetric(p: jax.Array, q: jax.Array, of_p: jax.Array, of_q: jax.Array) -> jax.Array:
    return -0.5 * jnp.sum(jnp.exp(p) * of_q + jnp.exp(q) * of_p, axis=-1)


def _log_complement(log_probs: jax.Array) -> jax.Array:
    """``log (1 − p)`` of ``log p`` ``[b, c]``, exact where p rounds to 1.

    Only the largest p can come near 1: what is left of it is the sum of the others.
    """
    largest = jax.nn.one_hot(jnp.argmax(log_probs, axis=-1), log_probs.shape[-1], dtype=bool)
    others = jnp.where(largest, -jnp.inf, log_probs)
    left = jax.nn.logsumexp(others, axis=-1, keepdims=True)
    return jnp.where(largest, left, jnp.log1p(-jnp.exp(others)))
