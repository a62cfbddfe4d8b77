"""Clusters without a name stay clusters of their own, as far as more groups are wanted.

The committee knows the classes that somebody has named, and gives every sample to one of them. As
long as fewer have a name than were wanted, the clusters left over are the best guess at the others.
Some hold no answered sample; of some an answer gave a name that another cluster bears, be it that
both are of one class, be it that the sample was a stranger in its cluster. With every answer that
names nothing new it is less likely that there is anything left to name.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# How sure the committee is that a cluster of which nobody has said anything is a class of its own:
# just enough, so that it is asked about.
SILENT = 0.55
# Nobody has said anything of so many samples: the clusters are all there is.
_MOST = 0.5
# How sure it is of any other once there are as many answers as outputs; then less and less.
_LEFT_OVER = 0.35


def trust_in_unnamed(slots: np.ndarray, before: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """How far each cluster without a name is taken for a class of its own: float32 ``[c]``.

    In none, 0, as long as no group has a name.

    Args:
      slots: int ``[c]``, the group that each output stands for, negative for none.
      before: ``[n, c]``, the prediction before these answers.
      choice: int ``[n]``, the output of each answered sample, negative for others.
    """
    cluster, answered = before.argmax(axis=1), choice >= 0
    sizes = np.bincount(cluster, minlength=len(slots))
    told = np.bincount(cluster[answered], minlength=len(slots))
    unnamed = (slots < 0) & (sizes > 0)
    silent = unnamed & (told == 0)
    few = answered.sum() < len(slots) or sizes[silent].sum() > _MOST * len(before)
    later = min(SILENT, _LEFT_OVER * len(slots) / max(answered.sum(), 1))
    trust = np.where(silent & few, SILENT, np.where(unnamed, later, 0.0))
    return (trust * (slots >= 0).any()).astype(np.float32)


@jax.jit
def keep_unnamed(
    probabilities: jax.Array, before: jax.Array, trust: jax.Array, rejected: jax.Array
) -> jax.Array:
    """The committee's ``probabilities`` ``[n, c]``, with the clusters without a name kept.

    Args:
      probabilities: of the named classes.
      before: ``[n, c]``, the prediction before these answers: whose cluster each sample is of.
      trust: ``[c]``, how far each is kept; where it is 0, the probabilities are as they were.
      rejected: bool ``[n, c]``, what a sample is known not to be of.
    """
    own = jax.nn.one_hot(jnp.argmax(before, axis=1), before.shape[1])
    kept = jnp.where(rejected, 0.0, trust * own)
    return kept + (1.0 - kept.sum(axis=1, keepdims=True)) * probabilities
