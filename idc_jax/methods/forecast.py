"""How good the clustering is, and what further answers would bring, told without any labels.

Every answer tests the prediction made before it. From these trials the confidences are
calibrated (Platt, "Probabilistic outputs for support vector machines", 1999, on the confidence
alone), and the expected accuracy is their mean over all samples (Guillory et al., "Predicting
with confidence on unseen distributions", 2021). Which sample is asked depends on its features
and its confidence, never on its class, so asking about uncertain ones does not mislead this.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# What a calibration is taken for before it has been tried, and with how many answers' weight.
_SLOPE, _OFFSET = 1.0, 0.0
_PRECISION = 4.0
# Accuracy gained when the answers grow e-fold, before a run has shown its own, and the weight of
# that beside the rounds.
_GAIN, _GAIN_WEIGHT = 0.05, 0.5
_ROUNDS = 4


class Trials(NamedTuple):
    """Predictions that answers have tested.

    Attributes:
      confidence: float32 ``[n]``, of the prediction before the answer; 0 where none was tested.
      right: bool ``[n]``, whether the answer confirmed it.
    """

    confidence: jax.Array
    right: jax.Array


def no_trials(num_samples: int) -> Trials:
    """Before any answer."""
    return Trials(jnp.zeros(num_samples, jnp.float32), jnp.zeros(num_samples, bool))


def tried(
    trials: Trials, probabilities: jax.Array, indices: np.ndarray, choice: np.ndarray
) -> Trials:
    """Enter what ``choice`` ``[m]``, classes or less, says of predictions ``[n, c]``."""
    named = choice >= 0
    rows = indices[named]
    asked = np.asarray(probabilities)[rows]
    confidence, right = np.array(trials.confidence), np.array(trials.right)
    confidence[rows], right[rows] = asked.max(1), asked.argmax(1) == choice[named]
    return Trials(jnp.asarray(confidence), jnp.asarray(right))


@jax.jit
def expected_accuracy(trials: Trials, probabilities: jax.Array) -> jax.Array:
    """The share of samples whose likeliest class ``[n, c]`` is expected to be right.

    With one that errs now and then answering, it is the share that they would agree with.
    """
    slope, offset = _calibrate(trials)
    return jnp.mean(jax.nn.sigmoid(slope * _log_odds(probabilities.max(1)) + offset))


def _calibrate(trials: Trials) -> tuple[jax.Array, jax.Array]:
    """Slope and offset of the log-odds, by Newton's method with a Gaussian prior."""
    known = (trials.confidence > 0).astype(jnp.float32)
    odds = jnp.stack([_log_odds(trials.confidence), jnp.ones_like(known)], axis=1)
    prior = jnp.array([_SLOPE, _OFFSET])

    def step(_: jax.Array, line: jax.Array) -> jax.Array:
        chance = jax.nn.sigmoid(odds @ line)
        slope = odds.T @ (known * (chance - trials.right)) + _PRECISION * (line - prior)
        curve = (odds * (known * chance * (1 - chance))[:, None]).T @ odds
        return line - jnp.linalg.solve(curve + _PRECISION * jnp.eye(2), slope)

    line = jax.lax.fori_loop(0, 8, step, prior)
    return line[0], line[1]


def _log_odds(confidence: jax.Array) -> jax.Array:
    inside = jnp.clip(confidence, 1e-3, 1 - 1e-3)
    return jnp.log(inside) - jnp.log1p(-inside)


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
