"""The clusters that there were before any answer, as far as few answers cannot do better.

One answer per class says less than k-means does: learners that know nothing else tear apart what
stood together. So each of the first clusters takes the names that its answers give it, and speaks
beside the committee, the less the more answers there are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# How much they count with one answer for each output; with more it falls with their square.
_AT_ONE, _AT_MOST = 0.4, 0.5
# Where an answer gave a cluster a name that is at home in another, it may be of that class, or the
# sample a stranger in it.
_NAMED_TWICE = 0.5


def told_by_answers(slots: np.ndarray, clusters: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """What each of the first clusters is, by the answers in it: float32 ``[c, c]``.

    A row for each cluster, summing to one; one without an answer is an output of its own.

    Args:
      slots: int ``[c]``, the group that each output stands for, negative for none.
      clusters: int ``[n]``, each sample's first cluster, below c.
      choice: int ``[n]``, the output of each answered sample, negative for others.
    """
    own = np.eye(len(slots), dtype=np.float32)
    answered = choice >= 0
    said = np.zeros_like(own)
    np.add.at(said, (clusters[answered], choice[answered]), 1.0)
    counts = said.sum(axis=1)
    elsewhere = np.where(slots < 0, _NAMED_TWICE, 1.0)
    share = np.where(counts > 0, elsewhere, 0.0)[:, None]
    return (share * said / np.maximum(counts, 1.0)[:, None] + (1.0 - share) * own).astype(
        np.float32
    )


def counting_for(answers: int, outputs: int) -> float:
    """How much the first clusters count beside the committee's 1, after ``answers``."""
    per_output = max(answers, 1) / outputs
    return min(_AT_MOST, _AT_ONE / per_output**2)


@jax.jit
def beside_first_clusters(
    probabilities: jax.Array,
    clusters: jax.Array,
    told: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    weight: jax.Array | float,
) -> jax.Array:
    """The mean of the committee's ``probabilities`` ``[n, c]`` and what the first clusters are.

    Args:
      probabilities: the committee's.
      clusters: int ``[n]``, each sample's first cluster.
      told: ``[c, c]``, see :func:`told_by_answers`.
      choice: int ``[n]``, the output of each answered sample, which the clusters leave alone.
      rejected: bool ``[n, c]``, what a sample is known not to be of.
      weight: how much the clusters count, at most 1.
    """
    said = jnp.where(rejected, 0.0, told[clusters])
    share = weight * said.sum(axis=1, keepdims=True) * (choice < 0)[:, None]
    said /= jnp.maximum(said.sum(axis=1, keepdims=True), 1e-12)
    return (1.0 - share) * probabilities + share * said
