"""Pairs of a sample and one that stands for the group that it is taken for."""

from __future__ import annotations

import numpy as np

from idc_jax.annotate.questions import Questions, pair_questions
from idc_jax.asking import worth
from idc_jax.asking.known import Known, stand_ins

# Groups that a sample may be compared with, one after the other, the likeliest first.
_MOST = 5


def ask_pairs(known: Known, samples: np.ndarray) -> Questions:
    """Ask of each of ``samples`` ``[m]`` whether it belongs with its likeliest group.

    The other sample is the most alike of those that people said to be of the group, or stands for
    it as long as there are none. A pair that was asked before gives way to the next likeliest.
    """
    asked = {tuple(sorted(pair)) for pair in known.evidence.pairs[:, :2].tolist()}
    settled, first = known.settled, stand_ins(known, samples)
    found: list[tuple[int, int, int]] = []
    for sample in samples.tolist():
        likeliest = np.argsort(-known.probabilities[sample], kind="stable")[:_MOST]
        for output in likeliest.tolist():
            other = _partner(known, settled, first, sample, output)
            pair = tuple(sorted((sample, other)))
            if other >= 0 and pair not in asked:
                asked.add(pair)
                found.append((sample, other, output))
                break
    rows = np.asarray(found, np.int32).reshape(-1, 3)
    values = worth.of_checking(known.probabilities[rows[:, 0]], rows[:, 2])
    return pair_questions(0, rows[:, :2], values)


def _partner(known: Known, settled: np.ndarray, first: np.ndarray, sample: int, output: int) -> int:
    there = np.flatnonzero(settled == output)
    there = there[there != sample]
    if len(there):
        return int(there[np.argmax(known.embeddings[there] @ known.embeddings[sample])])
    return int(first[output]) if first[output] != sample else -1
