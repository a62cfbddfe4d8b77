"""Multinomial logistic regression: planes between the classes."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax import ops


class Planes(NamedTuple):
    """What regression fits.

    Attributes:
      slopes: ``[..., d, c]``.
      offsets: ``[..., c]``.
    """

    slopes: jax.Array
    offsets: jax.Array


@partial(jax.jit, static_argnames=("steps",))
def fit_planes(
    rows: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    named: jax.Array,
    inverse_penalty: float,
    steps: int,
) -> Planes:
    """Fit by Nesterov's accelerated gradient.

    Args:
      rows: ``[m, d]``, of unit length, to fit on.
      targets: ``[m, c]``, what each row is, rows summing to one.
      weights: ``[m]``, of the rows.
      named: bool ``[c]``, the classes that there are.
      inverse_penalty: C, of the penalty ``|W|² / 2C`` beside the sum of the rows' losses.
      steps: of the gradient.
    """
    total = jnp.maximum(weights.sum(), 1.0)
    decay = 1.0 / (inverse_penalty * total)
    # Rows (x, 1) have a squared length of 2, so the loss bends by 1 at most, and the planes'
    # penalty by its decay: under a strong one they want short steps.
    rates = Planes(1.0 / (1.0 + decay), jnp.ones(()))

    def descend(step: jax.Array, state: tuple[Planes, Planes]) -> tuple[Planes, Planes]:
        planes, before = state
        ahead = jax.tree.map(lambda a, b: a + step / (step + 3.0) * (a - b), planes, before)
        error = (opinions(rows, ahead, named) - targets) * (weights / total)[:, None]
        slope = Planes(ops.matmul(rows.T, error) + decay * ahead.slopes, error.sum(0))
        moved = jax.tree.map(lambda a, down, rate: a - rate * down, ahead, slope, rates)
        return moved, planes

    start = Planes(jnp.zeros((rows.shape[1], named.shape[0])), jnp.zeros(named.shape[0]))
    return jax.lax.fori_loop(0, steps, descend, (start, start))[0]


def opinions(features: jax.Array, planes: Planes, named: jax.Array) -> jax.Array:
    """What ``features`` ``[n, d]`` are by one fit's ``planes``: ``[n, c]``, rows summing to one."""
    logits = ops.matmul(features, planes.slopes) + planes.offsets
    return jax.nn.softmax(jnp.where(named, logits, -jnp.inf))
