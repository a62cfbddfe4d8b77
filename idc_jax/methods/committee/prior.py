"""How large the classes are, as far as answers tell, and a prediction that agrees with it."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from idc_jax import ops
from idc_jax.ops import blocks, sharded
from idc_jax.ops.narrow import widened

# How much the logarithm of a class's share varies from one answer to another, so to say: the
# variance that k answers for each class leave is this over k.
_NOISE = 0.64
# Brings the prediction's shares to the classes'.
_STEPS = 5
_ROWS = 1024


@jax.jit
def class_prior(
    features: jax.Array, rows: jax.Array, said: jax.Array, named: jax.Array
) -> jax.Array:
    """The classes' shares ``[c]``, drawn towards even ones as far as their differences are noise.

    A class's share is that of the samples whose nearest answered sample is of it. Its logarithm is
    shrunk as James and Stein's estimator does, by how far the classes differ beyond what the
    number of answers explains.

    Args:
      features: ``[n, d]``, of unit length and any precision.
      rows: int ``[m]``, the answered samples.
      said: ``[m, c]``, their classes one-hot; rows of zeros are padding.
      named: bool ``[c]``, the classes that there are.
    """
    there = said.sum(1) > 0
    answered, classes = widened(sharded.take(features, rows)), jnp.argmax(said, axis=1)

    def nearest(
        block: jax.Array, answered: jax.Array, classes: jax.Array, there: jax.Array
    ) -> jax.Array:
        cosines = jnp.where(there, ops.inner(widened(block), answered), -jnp.inf)
        return classes[jnp.argmax(cosines, axis=1)]

    found = blocks.map_rows(nearest, (features,), _ROWS, (answered, classes, there))
    shares = jnp.zeros(len(named)).at[found].add(1.0 / len(features))
    count = named.sum()
    logs = jnp.log(jnp.maximum(shares, 1.0 / len(features)))
    logs = jnp.where(named, logs - jnp.where(named, logs, 0.0).sum() / count, 0.0)
    spread = jnp.square(logs).sum() / count
    noise = _NOISE * count / jnp.maximum(there.sum(), 1)
    kept = jnp.maximum(0.0, 1.0 - noise / jnp.maximum(spread, 1e-12))
    return jax.nn.softmax(jnp.where(named, kept * logs, -jnp.inf))


@partial(jax.jit, static_argnames=("steps",))
def with_shares(probabilities: jax.Array, prior: jax.Array, steps: int = _STEPS) -> jax.Array:
    """``probabilities`` ``[n, c]`` whose mean comes near the ``prior`` ``[c]``: Sinkhorn."""

    def step(_: jax.Array, probs: jax.Array) -> jax.Array:
        probs = probs * (prior / jnp.maximum(probs.mean(0), 1e-12))
        return probs / jnp.maximum(probs.sum(1, keepdims=True), 1e-12)

    return jax.lax.fori_loop(0, steps, step, probabilities)
