"""How much each member of the committee counts: as much as held-out answers bear it out.

Which learner errs least differs from data to data: on some only the graph knows the classes, on
others planes do. Answers that a member has not seen tell. Of each member they calibrate how sure it
is (Guo et al., "On calibration of modern neural networks", 2017, by one temperature), and then they
weigh the members: stacking (Wolpert, "Stacked generalization", 1992) of a linear pool, by the
likelihood of the held-out answers. While answers are few, both stay near what holds for most data.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# Powers that a member's opinion is raised to: those tried.
_POWERS = np.geomspace(0.3, 12.0, 24).astype(np.float32)
# How much a power's logarithm is held to 0, in answers, and how many answers the usual weights are
# worth.
_HELD, _USUAL = 5.0, 3.0
# The share of answers that no member can know.
_ODD = 0.02
# Few: members that know the same stay together.
_STEPS = 20
_TINY = 1e-6


def folds(said: jax.Array, count: int) -> jax.Array:
    """The fold ``[m]`` of each answer, from 0 to below ``count``, each class's spread over all.

    Args:
      said: ``[m, c]``, classes one-hot; rows of zeros are padding.
      count: of the folds.
    """
    rank = jnp.sum(jnp.cumsum(said, axis=0) * said, axis=1)
    return (rank.astype(jnp.int32) + jnp.argmax(said, axis=1)) % count


@jax.jit
def stack(
    held_out: jax.Array, said: jax.Array, named: jax.Array, usual: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Each member's power and weight.

    Args:
      held_out: ``[j, m, c]``, what each member thinks of answered samples, without their answers.
      said: ``[m, c]``, the answers one-hot; rows of zeros are padding.
      named: bool ``[c]``, the classes that there are.
      usual: ``[j]``, the weights before any answer, summing to one.

    Returns:
      Powers ``[j]`` to raise opinions to, and weights ``[j]``, summing to one.
    """
    # No member can know a class of which there is no other answer.
    tested = said @ (said.sum(0) > 1)

    def likely(power: jax.Array) -> jax.Array:
        """Of each answer under each member ``[j, m]``."""
        right = jnp.sum(sharpened(held_out, named, power) * said, axis=2)
        return (1.0 - _ODD) * right + _ODD / jnp.maximum(named.sum(), 1)

    fits = jax.lax.map(lambda power: jnp.log(likely(power)) @ tested, jnp.asarray(_POWERS))
    held = 0.5 * _HELD * jnp.square(jnp.log(_POWERS))
    powers = jnp.asarray(_POWERS)[jnp.argmax(fits - held[:, None], axis=0)]
    found = likely(powers[:, None, None])

    def step(_: jax.Array, weights: jax.Array) -> jax.Array:
        shares = weights[:, None] * found
        return (_USUAL * usual + (shares / shares.sum(0)) @ tested) / (_USUAL + tested.sum())

    return powers, jax.lax.fori_loop(0, _STEPS, step, usual)


def sharpened(opinions: jax.Array, named: jax.Array, power: jax.Array) -> jax.Array:
    """``opinions`` ``[..., c]`` to a ``power``, rows summing to one over the ``named`` classes."""
    logs = power * jnp.log(jnp.maximum(opinions, _TINY))
    return jax.nn.softmax(jnp.where(named, logs, -jnp.inf), axis=-1)
