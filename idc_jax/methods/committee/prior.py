"""How large the classes are, as far as answers tell, and a prediction that agrees with it."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from idc_jax import ops
from idc_jax.ops import arrays, blocks, sharded
from idc_jax.ops.narrow import widened

# How much the logarithm of a class's share varies from one answer to another, so to say: the
# variance that k answers for each class leave is this over k.
_NOISE = 0.64
# Brings the prediction's shares to the classes'.
_STEPS = 5
_ROWS = 1024
# A class of so small a share is one that nobody is of; no row sums to less.
_NOBODY, _TINY = 1e-12, 1e-30


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
def share_factors(probabilities: jax.Array, prior: jax.Array, steps: int = _STEPS) -> jax.Array:
    """What to multiply each class's ``probabilities`` ``[n, c]`` by to come near the ``prior``.

    Sinkhorn's steps: rows sum to one, and their mean comes near the ``prior`` ``[c]``. Of all rows
    only one column is held in between.

    Returns:
      ``[c]``, for :func:`with_factors`.
    """

    def step(_: jax.Array, factors: jax.Array) -> jax.Array:
        totals = arrays.matmul(probabilities, factors)
        heard = arrays.matmul(1.0 / jnp.maximum(totals, _TINY), probabilities)
        means = factors * heard / len(probabilities)
        factors = factors * jnp.where(means > _NOBODY, prior / means, jnp.sign(prior))
        return factors / jnp.max(factors)

    return jax.lax.fori_loop(0, steps, step, jnp.ones_like(prior))


def with_factors(probabilities: jax.Array, factors: jax.Array) -> jax.Array:
    """Rows of ``probabilities`` ``[n, c]`` times the ``factors`` ``[c]``, summing to one again."""
    found = probabilities * factors
    return found / jnp.maximum(found.sum(1, keepdims=True), _TINY)
