"""Predictions that answers have tested."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np


class Trials(NamedTuple):
    """Predictions that answers have tested, each made before its answer.

    Attributes:
      confidence: float32 ``[n]``, of the prediction before the answer; 0 where none was tested.
      right: bool ``[n]``, whether the answer confirmed it.
    """

    confidence: np.ndarray
    right: np.ndarray


def no_trials(num_samples: int) -> Trials:
    """Before any answer."""
    return Trials(np.zeros(num_samples, np.float32), np.zeros(num_samples, bool))


def tried(
    trials: Trials, probabilities: jax.Array | np.ndarray, indices: np.ndarray, choice: np.ndarray
) -> Trials:
    """Enter what ``choice`` ``[m]``, classes or less, says of predictions ``[n, c]``.

    Args:
      trials: those of before.
      probabilities: the predictions before these answers.
      indices: int ``[m]``, the samples that were answered.
      choice: int ``[m]``, the class of each; negative where the answer names none, which tests
        nothing.
    """
    named = choice >= 0
    rows = indices[named]
    asked = np.asarray(probabilities)[rows]
    confidence, right = np.array(trials.confidence), np.array(trials.right)
    confidence[rows], right[rows] = asked.max(1), asked.argmax(1) == choice[named]
    return Trials(confidence, right)
