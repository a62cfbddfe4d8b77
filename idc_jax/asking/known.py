"""What is known when questions are made: a method's prediction, and what people said."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from idc_jax.annotate.closure import CLUSTERS
from idc_jax.annotate.evidence import Evidence


class Known(NamedTuple):
    """A prediction of n samples in c outputs, and what people said of them.

    Attributes:
      probabilities: ``[n, c]``, rows summing to one.
      slots: int ``[c]``, the group that each output stands for, -1 for none.
      embeddings: ``[n, d]``.
      evidence: everything said.
    """

    probabilities: np.ndarray
    slots: np.ndarray
    embeddings: np.ndarray
    evidence: Evidence

    @property
    def output(self) -> np.ndarray:
        """Int ``[n]``, the likeliest output of each sample."""
        return self.probabilities.argmax(axis=1)

    @property
    def named(self) -> np.ndarray:
        """Bool ``[c]``, the outputs that stand for a group with a name."""
        return (self.slots >= 0) & (self.slots < CLUSTERS)

    @property
    def settled(self) -> np.ndarray:
        """Int ``[n]``, the output that people said each sample to be of, -1 where they did not."""
        closure = self.evidence.closure
        found = np.full(len(self.probabilities), -1)
        for output, group in enumerate(self.slots.tolist()):
            if group >= 0:
                found[(closure.label if group < CLUSTERS else closure.cluster) == group] = output
        return found

    @property
    def asked(self) -> np.ndarray:
        """Bool ``[n]``, samples that were asked about one at a time or are known in full."""
        return self.evidence.asked | (self.evidence.closure.label >= 0)


def stand_ins(known: Known, avoid: np.ndarray) -> np.ndarray:
    """The sample that stands for each output: int ``[c]``, -1 for an empty one.

    Of those that people said to be of it the one nearest to their mean, else the surest.

    Args:
      known: what there is.
      avoid: samples that nobody said to be of a group are not taken from these.
    """
    probs, settled, output = known.probabilities, known.settled, known.output
    found = np.full(probs.shape[1], -1, np.int32)
    free = np.ones(len(probs), bool)
    free[avoid] = False
    for number in range(probs.shape[1]):
        sure = np.flatnonzero(settled == number)
        likely = np.flatnonzero((output == number) & free)
        if len(sure):
            z = known.embeddings[sure]
            found[number] = sure[np.argmax(z @ z.mean(axis=0))]
        elif len(likely):
            found[number] = likely[np.argmax(probs[likely, number])]
    return found
