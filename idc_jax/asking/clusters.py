"""Which of these groups? Each is shown by a sample that people said to be of it."""

from __future__ import annotations

import numpy as np

from idc_jax.annotate.questions import Questions, plain_roles
from idc_jax.asking import worth
from idc_jax.asking.known import Known, stand_ins

# Groups that are offered, and samples that are shown of each besides the one that stands for it.
_OFFERED, _MEMBERS = 5, 6


def ask_clusters(known: Known, samples: np.ndarray) -> Questions:
    """Offer each of ``samples`` ``[m]`` its likeliest groups.

    What is answered is read by what was shown: "belongs with it" links a sample with the one that
    stands for the group.
    """
    probs = known.probabilities
    exemplars = stand_ins(known, samples)
    open_ = np.where(exemplars >= 0, probs[samples], -1.0)
    # A sample that stands for a group is no question about it.
    rows = np.arange(len(samples))
    open_[exemplars[None, :] == samples[:, None]] = -1.0
    order = np.argsort(-open_, axis=1, kind="stable")[:, :_OFFERED]
    offered = np.where(open_[rows[:, None], order] >= 0, order, -1).astype(np.int32)
    return Questions(
        kind="cluster",
        round=0,
        indices=samples.astype(np.int32),
        candidates=offered,
        exemplars=exemplars,
        members=_members(known, exemplars, samples),
        values=worth.of_offering(probs[samples], offered).astype(np.float32),
        roles=plain_roles(len(samples)),
    )


def _members(known: Known, exemplars: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The surest samples of each output ``[c, r]``, those that were named first; -1 for fewer."""
    probs, settled, output = known.probabilities, known.settled, known.output
    found = np.full((probs.shape[1], _MEMBERS), -1, np.int32)
    free = np.ones(len(probs), bool)
    free[asked] = False
    free[exemplars[exemplars >= 0]] = False
    for number in range(probs.shape[1]):
        there = np.flatnonzero(free & (output == number))
        sure = probs[there, number] + (settled[there] == number)
        best = there[np.argsort(-sure, kind="stable")[:_MEMBERS]]
        found[number, : len(best)] = best
    return found
