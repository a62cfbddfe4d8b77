"""Clusters of which nobody has said anything yet: they stay clusters of their own.

The committee knows the classes that somebody has named, and gives every sample to one of them. With
fewer answers than clusters, or answers about few of them, most clusters of those before any answer
hold no answered sample: each is likely to be a class which nobody has named yet. Later a cluster
without one is small, and the committee knows better.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# How sure it is that such a cluster is a class of its own: just enough, so that it is asked about.
_TRUST = 0.55
# Nobody has said anything of so many samples: the clusters are all there is.
_MOST = 0.5


def silent_clusters(slots: np.ndarray, before: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Outputs that stand for no group and hold samples, none of them answered: bool ``[c]``.

    There are none as long as no group has a name, and none once there is an answer for each output
    and for most of the samples.

    Args:
      slots: int ``[c]``, the group that each output stands for, negative for none.
      before: ``[n, c]``, the prediction before these answers.
      choice: int ``[n]``, the output of each answered sample, negative for others.
    """
    cluster, answered = before.argmax(axis=1), choice >= 0
    sizes = np.bincount(cluster, minlength=len(slots))
    told = np.bincount(cluster[answered], minlength=len(slots))
    silent = (slots < 0) & (sizes > 0) & (told == 0)
    few = answered.sum() < len(slots) or sizes[silent].sum() > _MOST * len(before)
    return silent & bool(few and (slots >= 0).any())


@jax.jit
def keep_silent(
    probabilities: jax.Array, before: jax.Array, silent: jax.Array, rejected: jax.Array
) -> jax.Array:
    """The committee's ``probabilities`` ``[n, c]``, with the ``silent`` clusters ``[c]`` kept.

    Args:
      probabilities: of the named classes.
      before: ``[n, c]``, the prediction before these answers: whose cluster each sample is of.
      silent: bool ``[c]``; where there is none, the probabilities are as they were.
      rejected: bool ``[n, c]``, what a sample is known not to be of.
    """
    own = jax.nn.one_hot(jnp.argmax(before, axis=1), before.shape[1])
    kept = jnp.where(silent[None] & ~rejected, _TRUST * own, 0.0)
    return kept + (1.0 - kept.sum(axis=1, keepdims=True)) * probabilities
