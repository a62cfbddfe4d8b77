"""Training in class space: which output stands for which class, and who is pseudo-labelled."""

from __future__ import annotations

import jax
import numpy as np

from idc_jax import ops

UNASKED = -1
# Asked, but nothing to learn from: a skip, or a class for which no output is left.
UNUSABLE = -2


def allocate_slots(slots: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give every class that is named for the first time an output of its own.

    A class gets the output of its own number where that one is free, else the lowest free one;
    classes beyond the number of outputs get none.

    Args:
      slots: int32 ``[c]``, the class of each output, -1 for a free one.
      classes: int ``[m]``, answers in order; negative for "cannot say".

    Returns:
      The new slots ``[c]``, and int32 ``[m]``, the output of each answer or ``UNUSABLE``.
    """
    slots = np.array(slots, np.int32)
    outputs = {int(name): slot for slot, name in enumerate(slots) if name >= 0}
    placed = np.full(len(classes), UNUSABLE, np.int32)
    for position, name in enumerate(np.asarray(classes).tolist()):
        if name < 0:
            continue
        if name not in outputs:
            free = np.flatnonzero(slots < 0)
            if not len(free):
                continue
            outputs[name] = name if name in free else int(free[0])
            slots[outputs[name]] = name
        placed[position] = outputs[name]
    return slots, placed


def representatives(
    asked: np.ndarray, labels: np.ndarray, assignments: np.ndarray, distances2: np.ndarray, c: int
) -> np.ndarray:
    """The sample of a round that stands for each cluster: the usable one nearest its centre.

    Args:
      asked: int ``[m]``, the round's samples.
      labels: int ``[n]``, outputs by answer, negative without one.
      assignments: int ``[n]``, clusters.
      distances2: ``[n]``, squared distances to the own centre.
      c: the number of clusters.

    Returns:
      int32 ``[c]``, -1 for a cluster of which nothing usable was asked.
    """
    chosen = np.full(c, -1, np.int32)
    usable = asked[labels[asked] >= 0]
    for sample in usable[np.argsort(-distances2[usable], kind="stable")]:
        chosen[assignments[sample]] = sample
    return chosen


def nearest_to_centers(
    assignments: np.ndarray, distances2: np.ndarray, c: int, count: int
) -> np.ndarray:
    """Which samples are among the ``count`` nearest to the centre of their own cluster, ``[n]``."""
    nearest = np.zeros(len(assignments), bool)
    for cluster in range(c):
        members = np.flatnonzero(assignments == cluster)
        order = np.argsort(distances2[members], kind="stable")
        nearest[members[order[:count]]] = True
    return nearest


def around_answers(z: jax.Array, labels: np.ndarray, count: int) -> np.ndarray:
    """Take the ``count`` samples nearest each answered one for its class.

    Args:
      z: embeddings ``[n, d]``.
      labels: int ``[n]``, outputs by answer, negative without one.
      count: how many of the samples that are nearer to this answered one than to any other.

    Returns:
      int32 ``[n]``, -1 for a sample that is nobody's.
    """
    answered = np.flatnonzero(labels >= 0)
    if not len(answered):
        return np.full(len(labels), -1, np.int32)
    found = ops.knn(z[answered], 1, queries=z)
    owner = np.asarray(found.indices)[:, 0]
    near = nearest_to_centers(owner, np.asarray(found.distances2)[:, 0], len(answered), count)
    return np.where(near, labels[answered][owner], -1).astype(np.int32)
