"""Uniformly random picks: the baseline that every selector has to beat."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.ops.inputs import count, flags, key, takes
from idc_jax.ops.shapes import Array, Bool, PRNGKeyArray
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection


@takes(key=key, num_points=count(1), budget=count(0), labelled=flags("n"), allowed=flags("n"))
def random(
    key: PRNGKeyArray,
    num_points: int,
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
) -> Selection:
    """Pick candidates uniformly without replacement.

    Args:
      key: PRNG key.
      num_points: ``n``.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, never picked.
      allowed: bool ``[n]``, the samples that may be picked.

    Returns:
      :class:`~idc_jax.selectors.Selection`; values are zero.

    Raises:
      UserError: a negative budget, or masks of another length.
    """
    budget = masks.check_budget(budget, num_points)
    _, candidates = masks.masks(num_points, labelled, allowed)
    return _random(key, candidates, budget)


@functools.partial(jax.jit, static_argnames=("budget",))
def _random(key: jax.Array, candidates: jax.Array, budget: int) -> Selection:
    keys = jax.random.uniform(key, candidates.shape)
    picks = masks.top(keys, candidates, budget)
    return masks.blank(picks._replace(values=jnp.zeros_like(picks.values)), picks.indices >= 0)
