"""Samples that the model is least sure of."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays, sharded
from idc_jax.ops.inputs import count, flags, floats, takes
from idc_jax.ops.shapes import Array, Bool, Float, Num
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection


@takes(probabilities=floats("n c"), budget=count(0), labelled=flags("n"), allowed=flags("n"))
def margin(
    probabilities: Num[Array, "n c"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
) -> Selection:
    """Pick the smallest gaps between the two likeliest classes (Scheffer, Decomain and Wrobel,
    "Active hidden Markov models for information extraction").

    Args:
      probabilities: ``[n, c]``, rows summing to one.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, never picked.
      allowed: bool ``[n]``, the samples that may be picked.

    Returns:
      :class:`~idc_jax.selectors.Selection` with values ``p₍₂₎ − p₍₁₎``, at most 0.

    Raises:
      UserError: probabilities that are not finite, masks of another length.
    """
    return _ranked(margin_values, probabilities, budget, labelled, allowed)


@takes(probabilities=floats("n c"), budget=count(0), labelled=flags("n"), allowed=flags("n"))
def entropy(
    probabilities: Num[Array, "n c"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
) -> Selection:
    """Pick the highest predictive entropies (Shannon; Settles, "Active learning literature
    survey"), ``−Σ p log p`` in nats.

    Args:
      probabilities: ``[n, c]``, rows summing to one.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, never picked.
      allowed: bool ``[n]``, the samples that may be picked.

    Returns:
      :class:`~idc_jax.selectors.Selection` with the entropies as values.

    Raises:
      UserError: probabilities that are not finite, masks of another length.
    """
    return _ranked(entropy_values, probabilities, budget, labelled, allowed)


def margin_values(probabilities: Num[Array, "n c"]) -> Float[Array, "n"]:
    """``p₍₂₎ − p₍₁₎`` ``[n]``, 0 where two classes tie; zeros with a single class."""
    if probabilities.shape[1] < 2:
        return jnp.zeros((probabilities.shape[0],), jnp.float32)
    first, second = sharded.two_largest(probabilities)
    return second - first


def entropy_values(probabilities: Num[Array, "n c"]) -> Float[Array, "n"]:
    """``−Σ p log p`` ``[n]``, in nats."""
    return jnp.sum(jax.scipy.special.entr(jnp.maximum(probabilities, 0.0)), axis=1)


def _ranked(
    value: Callable[[jax.Array], jax.Array],
    probabilities: jax.Array,
    budget: int,
    labelled: jax.Array | None,
    allowed: jax.Array | None,
) -> Selection:
    probabilities = arrays.check_matrix(probabilities, "probabilities")
    budget = masks.check_budget(budget, probabilities.shape[0])
    _, candidates = masks.masks(probabilities.shape[0], labelled, allowed)
    return _top(value, probabilities, candidates, budget)


@functools.partial(jax.jit, static_argnames=("value", "budget"))
def _top(
    value: Callable[[jax.Array], jax.Array],
    probabilities: jax.Array,
    candidates: jax.Array,
    budget: int,
) -> Selection:
    return masks.top(value(probabilities), candidates, budget)
