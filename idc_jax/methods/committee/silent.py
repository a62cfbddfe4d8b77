"""Clusters of which nobody has said anything yet: they stay clusters of their own.

The committee knows the classes that somebody has named, and gives every sample to one of them. With
fewer answers than clusters, or answers about few of them, most clusters of those before any answer
hold no answered sample: each is likely to be a class which nobody has named yet. Later a cluster
without one is small, and the committee knows better.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

# How sure it is that such a cluster is a class of its own: just enough, so that it is asked about.
_TRUST = 0.55
# Nobody has said anything of so many samples: the clusters are all there is.
_MOST = 0.5


@jax.jit
def silent_clusters(slots: jax.Array, before: jax.Array, choice: jax.Array) -> jax.Array:
    """Outputs that stand for no group and hold samples, none of them answered: bool ``[c]``.

    There are none once there is an answer for each output and for most of the samples.

    Args:
      slots: int ``[c]``, the group that each output stands for, negative for none.
      before: ``[n, c]``, the prediction before these answers.
      choice: int ``[n]``, the output of each answered sample, negative for others.
    """
    members = jax.nn.one_hot(jnp.argmax(before, axis=1), before.shape[1])
    answered = jnp.where((choice >= 0)[:, None], members, 0.0).sum(axis=0)
    sizes = members.sum(axis=0)
    silent = (slots < 0) & (sizes > 0) & (answered == 0)
    few = (choice >= 0).sum() < len(slots)
    return silent & (few | (jnp.where(silent, sizes, 0.0).sum() > _MOST * len(before)))


@jax.jit
def keep_silent(
    probabilities: jax.Array, before: jax.Array, silent: jax.Array, rejected: jax.Array
) -> jax.Array:
    """The committee's ``probabilities`` ``[n, c]``, with the ``silent`` clusters ``[c]`` kept.

    Args:
      probabilities: of the named classes.
      before: ``[n, c]``, the prediction before these answers: whose cluster each sample is of.
      silent: bool ``[c]``.
      rejected: bool ``[n, c]``, what a sample is known not to be of.
    """
    own = jax.nn.one_hot(jnp.argmax(before, axis=1), before.shape[1])
    kept = jnp.where(silent[None] & ~rejected, _TRUST * own, 0.0)
    return kept + (1.0 - kept.sum(axis=1, keepdims=True)) * probabilities
