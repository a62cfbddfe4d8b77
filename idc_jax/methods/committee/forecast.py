"""How good the clustering is, and what further answers would bring, told without any labels.

Every answer tests the prediction made before it. From these trials the confidences are
calibrated (Platt, "Probabilistic outputs for support vector machines", 1999, on the confidence
alone), and the expected accuracy is their mean over all samples (Guillory et al., "Predicting
with confidence on unseen distributions", 2021). Which sample is asked depends on its confidence
and its density, never on its class, so a calibration by both is not misled by who was asked.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from scipy.special import expit

# What the line from log-odds of the confidence, one and density to those of being right is taken
# for before it has been tried, and how much each of its numbers is held to that. The committee
# claims too little. Fitted to seven of the answers benchmark's data sets, on development seeds.
_LINE = (2.5, 1.0, 1.5)
_PRECISION = (40.0, 12.0, 800.0)
# How sure it is that the number of clusters asked for is that of the classes, before any answer.
_WANTED_IS_TRUE = 0.7
# Accuracy gained when the answers grow e-fold, before a run has shown its own, and the weight of
# that beside the rounds.
_GAIN, _GAIN_WEIGHT = 0.05, 0.5
_ROUNDS = 4
# Newton's steps of the calibration.
_STEPS = 60


class Trials(NamedTuple):
    """Predictions that answers have tested.

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
    """Enter what ``choice`` ``[m]``, classes or less, says of predictions ``[n, c]``."""
    named = choice >= 0
    rows = indices[named]
    asked = np.asarray(probabilities)[rows]
    confidence, right = np.array(trials.confidence), np.array(trials.right)
    confidence[rows], right[rows] = asked.max(1), asked.argmax(1) == choice[named]
    return Trials(confidence, right)


def expected_accuracy(
    trials: Trials, probabilities: jax.Array | np.ndarray, density: jax.Array | np.ndarray
) -> float:
    """The share of samples whose likeliest class is expected to be right.

    With one that errs now and then answering, it is the share that they would agree with.

    Args:
      trials: what the answers said of earlier predictions.
      probabilities: ``[n, c]``, of the present one.
      density: ``[n]``, how closely each sample is surrounded. Among equally confident predictions
        those in the midst of many are right more often, and samples there are asked about more.
    """
    crowd = np.asarray(density, np.float64)
    crowd = (crowd - crowd.mean()) / max(crowd.std(), 1e-6)
    line = _calibrate(trials, crowd)
    return float(expit(_traits(np.asarray(probabilities).max(1), crowd) @ line).mean())


def unnamed_share(wanted: int, named: int, answered: int) -> float:
    """The share of samples that are expected to be of classes nobody has named yet.

    The confidences cannot know of these. A class that holds its even share stays unnamed through
    so many answers with a chance of about ``exp(−answered / wanted)``; by Bayes' rule that is
    weighed against the chance that there never were as many classes as were asked for.

    Args:
      wanted: clusters asked for.
      named: classes that have been named.
      answered: answers that named one.
    """
    missed = _WANTED_IS_TRUE * np.exp(-answered / wanted)
    share = max(wanted - named, 0) / wanted
    return float(share * missed / (missed + 1.0 - _WANTED_IS_TRUE))


def _calibrate(trials: Trials, density: np.ndarray) -> np.ndarray:
    """The line ``[3]`` from traits to log-odds, most likely under a Gaussian prior.

    Steps are those of Newton's method with the largest curvature that a logistic loss can have
    (Böhning and Lindsay, "Monotonicity of quadratic-approximation algorithms", 1988): each
    improves, wherever it starts.
    """
    known = np.flatnonzero(trials.confidence > 0)
    traits, right = _traits(trials.confidence[known], density[known]), trials.right[known]
    prior, precision = np.array(_LINE), np.array(_PRECISION)
    curve = 0.25 * traits.T @ traits + np.diag(precision)
    line = prior
    for _ in range(_STEPS):
        slope = traits.T @ (expit(traits @ line) - right) + precision * (line - prior)
        line = line - np.linalg.solve(curve, slope)
    return line


def _traits(confidence: np.ndarray, density: np.ndarray) -> np.ndarray:
    return np.stack([_log_odds(confidence), np.ones_like(density), density], axis=1)


def _log_odds(confidence: np.ndarray) -> np.ndarray:
    inside = np.clip(np.asarray(confidence, np.float64), 1e-3, 1 - 1e-3)
    return np.log(inside) - np.log1p(-inside)


def expected_gain(history: np.ndarray, further: int) -> float:
    """Accuracy that ``further`` answers are likely to bring.

    Accuracy grows about in proportion to the logarithm of the answers, so a line through the
    last rounds' expectations is followed on.

    Args:
      history: ``[r, 2]``, answers and expected accuracy after each round, r at least 1.
      further: answers.
    """
    recent = history[-_ROUNDS:]
    grown = np.log(recent[:, 0]) - np.log(recent[:, 0]).mean()
    expected = recent[:, 1] - recent[:, 1].mean()
    slope = (grown @ expected + _GAIN_WEIGHT * _GAIN) / (grown @ grown + _GAIN_WEIGHT)
    answered, accuracy = recent[-1]
    gain = max(slope, 0.0) * np.log1p(further / answered)
    return float(min(gain, 1.0 - accuracy))
