"""Multinomial logistic regression: planes between the classes."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from idc_jax import ops


@partial(jax.jit, static_argnames=("steps",))
def regression(
    features: jax.Array,
    rows: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    named: jax.Array,
    inverse_penalty: float,
    steps: int,
) -> jax.Array:
    """Fit by Nesterov's accelerated gradient, and predict.

    Args:
      features: ``[n, d]``, of unit length, to predict for.
      rows: ``[m, d]``, of unit length, to fit on.
      targets: ``[m, c]``, what each row is, rows summing to one.
      weights: ``[m]``, of the rows.
      named: bool ``[c]``, the classes that there are.
      inverse_penalty: C, of the penalty ``|W|² / 2C`` beside the sum of the rows' losses.
      steps: of the gradient.

    Returns:
      ``[n, c]``, rows summing to one.
    """
    total = jnp.maximum(weights.sum(), 1.0)
    decay = 1.0 / (inverse_penalty * total)
    # Rows (x, 1) have a squared length of 2, so the loss bends by 1 at most, and the planes'
    # penalty by its decay: under a strong one they want short steps.
    rates = (1.0 / (1.0 + decay), 1.0)

    def logits(x: jax.Array, plane: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.where(named, ops.matmul(x, plane[0]) + plane[1], -jnp.inf)

    def descend(step: jax.Array, state: tuple) -> tuple:
        plane, before = state
        ahead = jax.tree.map(lambda a, b: a + step / (step + 3.0) * (a - b), plane, before)
        error = (jax.nn.softmax(logits(rows, ahead)) - targets) * (weights / total)[:, None]
        slope = (ops.matmul(rows.T, error) + decay * ahead[0], error.sum(0))
        moved = jax.tree.map(lambda a, down, rate: a - rate * down, ahead, slope, rates)
        return moved, plane

    start = (jnp.zeros((rows.shape[1], named.shape[0])), jnp.zeros(named.shape[0]))
    plane, _ = jax.lax.fori_loop(0, steps, descend, (start, start))
    return jax.nn.softmax(logits(features, plane))
