"""k-Center: each pick is the sample farthest from all picks so far."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays
from idc_jax.ops.inputs import count, flags, floats, takes
from idc_jax.ops.shapes import Array, Bool, Num
from idc_jax.selectors import greedy, masks
from idc_jax.selectors.base import Selection


@takes(embeddings=floats("n d"), budget=count(0), labelled=flags("n"), allowed=flags("n"))
def k_center(
    embeddings: Num[Array, "n d"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
) -> Selection:
    """Farthest-first traversal, the greedy of the core-set approach (Sener and Savarese, "Active
    learning for convolutional neural networks: a core-set approach"; Gonzalez, "Clustering to
    minimize the maximum intercluster distance").

    With nothing labelled, the first pick is the sample nearest the mean of all.

    Args:
      embeddings: ``[n, d]``.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, centres already, never picked.
      allowed: bool ``[n]``, the samples that may be picked.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value is the squared distance to the nearest
      earlier centre, and for a first pick the negative one to the mean.

    Raises:
      UserError: embeddings that are not finite, masks of another length.
    """
    x = arrays.check_matrix(embeddings, "embeddings")
    budget = masks.check_budget(budget, x.shape[0])
    labelled, candidates = masks.masks(x.shape[0], labelled, allowed)
    return _k_center(x, labelled, candidates, budget)


@functools.partial(jax.jit, static_argnames=("budget",))
def _k_center(x: jax.Array, labelled: jax.Array, candidates: jax.Array, budget: int) -> Selection:
    x = x - jnp.mean(x, axis=0)
    first = -arrays.squared_norms(x)
    zeros = jnp.zeros_like(first)
    return greedy.farthest(x, zeros, budget, labelled, candidates, arrays.squared_distances, first)
