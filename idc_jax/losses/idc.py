"""The three losses of IDC's fine-tuning, L = L_pos + L_neg + L_reg.

Each takes logits and a mask. Where the published code departs from "Interactive Deep
Clustering via Value Mining" it is an option: ``balanced=True``, and a key for `negative`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.losses.classification import class_balanced_mean, cross_entropy, masked_mean
from idc_jax.ops.inputs import flags, floats, ints, key, takes_as_is
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num, PRNGKeyArray

# The published code's floor of 1 - p: a wholly wrong sample costs 11.5 and gives no gradient.
_MIN_COMPLEMENT = 1e-5


@takes_as_is(logits=floats("b c"), targets=ints("b"), mask=flags("b"))
def positive(
    logits: Num[Array, "b c"], targets: Int[Array, "b"], mask: Bool[Array, "b"], *, balanced: bool
) -> Float[Array, ""]:
    """L_pos: cross-entropy with the clusters that the answers named.

    Args:
      logits: ``[b, c]``, of the strong views.
      targets: int ``[b]``, the chosen clusters.
      mask: bool ``[b]``, the rows with a positive answer.
      balanced: False is the paper's plain mean over the positives; True the published code's
        mean over the present classes of the per-class mean.

    Returns:
      A scalar, 0 where there is no positive.
    """
    losses = cross_entropy(logits, targets, mask)
    if balanced:
        return class_balanced_mean(losses, targets, mask, logits.shape[-1])
    return masked_mean(losses, mask)


@takes_as_is(logits=floats("b c"), candidates=ints("b t"), mask=flags("b"), key=key)
def negative(
    logits: Num[Array, "b c"],
    candidates: Int[Array, "b t"],
    mask: Bool[Array, "b"],
    *,
    key: PRNGKeyArray | None,
) -> Float[Array, ""]:
    """L_neg: the mean of -log max(1 - p_ij, 1e-5) over the rejected candidates.

    Args:
      logits: ``[b, c]``.
      candidates: int ``[b, t]``, the clusters that the person was offered and rejected, -1
        where there are fewer.
      mask: bool ``[b]``, the rows whose answer was "none of these".
      key: draws one candidate per row, as the paper and its code do at every step; None
        averages over all of a row's candidates, which is that draw's expectation.

    Returns:
      A scalar, 0 where there is no negative.
    """
    rejected = (candidates >= 0) & mask[:, None]
    mask = mask & jnp.any(rejected, axis=-1)
    probs = jax.nn.softmax(jnp.where(mask[:, None], logits, 0.0), axis=-1)
    picked = jnp.take_along_axis(probs, jnp.maximum(candidates, 0), axis=-1)
    losses = -jnp.log(jnp.maximum(1.0 - picked, _MIN_COMPLEMENT))
    if key is None:
        per_row = jax.vmap(masked_mean)(losses, rejected)
    else:
        drawn = jax.random.categorical(key, jnp.where(rejected, 0.0, -jnp.inf), axis=-1)
        per_row = jnp.take_along_axis(losses, drawn[:, None], axis=-1)[:, 0]
    return masked_mean(per_row, mask)


@takes_as_is(logits=floats("b c"), pseudo_labels=ints("b"), mask=flags("b"))
def regularisation(
    logits: Num[Array, "b c"],
    pseudo_labels: Int[Array, "b"],
    mask: Bool[Array, "b"],
    *,
    balanced: bool,
) -> Float[Array, ""]:
    """L_reg: cross-entropy of strong views with confident pseudo-labels.

    Args:
      logits: ``[b, c]``, of the strong views.
      pseudo_labels: int ``[b]``, -1 for a sample without one (see `confident_labels` and
        `update_pseudo_labels`).
      mask: bool ``[b]``, the rows that count; False for padding and for samples to leave out.
      balanced: False is the paper's (1/N) sum over the pseudo-labelled, N counting the rows
        of the mask; True the published code's mean over present classes of the per-class mean.

    Returns:
      A scalar, 0 where nothing is pseudo-labelled.
    """
    labelled = mask & (pseudo_labels >= 0)
    losses = cross_entropy(logits, pseudo_labels, labelled)
    if balanced:
        return class_balanced_mean(losses, pseudo_labels, labelled, logits.shape[-1])
    return masked_mean(losses, mask)
