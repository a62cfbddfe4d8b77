"""How many samples are in the right group, told without any labels but the answers.

The chance that a prediction is right is a line in the log-odds of its confidence (Platt,
"Probabilistic outputs for support vector machines", 1999), and their mean is the expected accuracy
(Guillory et al., "Predicting with confidence on unseen distributions", 2021). How high the line
lies differs from data set to data set. Before it has been tried, it is taken for the height that
recorded courses had, and its spread over them is the doubt; every answer tests the prediction made
before it, and trials draw the height to what they say. Both are Gaussian, so the doubt shrinks as
answers come, and the interval with it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from scipy.special import expit

from idc_jax.outlook.estimate import Estimate
from idc_jax.outlook.trials import Trials

# Newton's steps, none longer than one, so that they end wherever they start.
_STEPS, _LONGEST, _CLOSE = 40, 1.0, 1e-6
# Holds a height that trials leave open: all of them right, or all wrong.
_PULL = 0.1


class Heights(NamedTuple):
    """What recorded courses have taught of the line, fitted by ``benchmarks/outlook``.

    Attributes:
      slope: log-odds of being right for one of the confidence.
      density: likewise for one deviation of the density: among equally confident predictions those
        in the midst of many are right more often, and samples there are asked about more.
      start: the height with one answer for each group named.
      growth: what an e-fold of answers for each group adds.
      level: what the mean of the line adds: where a model is surer on the whole, it is right even
        more often than that says.
      spread: deviation of the height over data sets.
      bias: how much higher it is than trials say, since what is asked about differs from most.
      harder: what the mean of the line adds to that: where most is easy, questions are about the
        rest.
      doubt: deviation of that.
      recency: how much less trials count when the answers have grown e-fold since.
      widening: deviations in a 90 % interval.
    """

    slope: float
    density: float
    start: float
    growth: float
    level: float
    spread: float
    bias: float
    harder: float
    doubt: float
    recency: float
    widening: float


HEIGHTS = Heights(1.4, 0.2, 0.0, 0.2, 0.3, 1.0, 0.0, 0.3, 0.4, 1.0, 1.645)


class _Height(NamedTuple):
    """Of the line: what it is taken for, and how far it may be off."""

    middle: float
    deviation: float


def expected_accuracy(
    probabilities: jax.Array | np.ndarray,
    choice: np.ndarray,
    trials: Trials,
    *,
    density: jax.Array | np.ndarray | None = None,
    order: np.ndarray | None = None,
    unnamed: float = 0.0,
    heights: Heights = HEIGHTS,
) -> Estimate:
    """The share of samples whose likeliest group is right.

    With one that errs now and then answering, it is the share that they would agree with.

    Args:
      probabilities: ``[n, c]``, any model's present prediction.
      choice: int ``[n]``, the group that each sample was said to be of, negative for none.
      trials: what answers said of earlier predictions; :func:`~idc_jax.outlook.no_trials` where
        that is not known.
      density: ``[n]``, how closely each sample is surrounded; None where that is not known.
      order: ``[n]``, when each answer came: by a round or a time; what comes later counts for more.
        None for all at once.
      unnamed: the share of samples that are thought to be of groups without a name, which no
        confidence knows of; see :func:`~idc_jax.outlook.number_of_groups`.
      heights: see :class:`Heights`.
    """
    probs, choice = np.asarray(probabilities), np.asarray(choice)
    confirmed = probs.argmax(axis=1) == choice
    sure = probs.max(axis=1)
    return accuracy_of(sure, confirmed, choice, trials, density, order, unnamed, heights)


def accuracy_of(
    confidence: np.ndarray,
    confirmed: np.ndarray,
    choice: np.ndarray,
    trials: Trials,
    density: jax.Array | np.ndarray | None,
    order: np.ndarray | None,
    unnamed: float,
    heights: Heights,
) -> Estimate:
    """:func:`expected_accuracy`, of predictions by their ``confidence`` ``[n]``.

    ``confirmed`` ``[n]`` says which of them agree with the answer about the same sample.
    """
    n, said = max(len(confidence), 1), choice >= 0
    crowd = _standard(density, len(confidence))
    line = _line(confidence, crowd, heights)[~said]
    level = float(line.mean()) if len(line) else 0.0
    height = _height(level, choice, trials, crowd, order, heights)
    known, reach = confirmed[said].sum(), heights.widening * height.deviation
    steps = (0.0, -reach, reach)
    chances = [(1.0 - unnamed) * expit(line + height.middle + step) for step in steps]
    value, low, high = (float(known + each.sum()) / n for each in chances)
    # Where samples are few, some happen to be right.
    luck = heights.widening * np.sqrt((chances[0] * (1.0 - chances[0])).sum()) / n
    below, above = np.hypot(value - low, luck), np.hypot(high - value, luck)
    return Estimate(value, float(max(value - below, 0.0)), float(min(value + above, 1.0)))


def _height(
    level: float,
    choice: np.ndarray,
    trials: Trials,
    crowd: np.ndarray,
    order: np.ndarray | None,
    heights: Heights,
) -> _Height:
    counts = np.bincount(choice[choice >= 0])
    each = np.log(counts[counts > 0].mean()) if len(counts) else 0.0
    before = heights.start + heights.growth * each + heights.level * level
    tested = np.flatnonzero(trials.confidence > 0)
    found, variance = _tested_height(
        _line(trials.confidence[tested], crowd[tested], heights),
        trials.right[tested],
        _weights(choice, tested, order, heights.recency),
    )
    weights = np.array([heights.spread**-2, 1.0 / (variance + heights.doubt**2)])
    middle = weights @ [before, found + heights.bias + heights.harder * level] / weights.sum()
    return _Height(float(middle), float(weights.sum() ** -0.5))


def _tested_height(line: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The height ``[]`` by which trials ``[m]`` are likeliest, and its variance."""
    height, bend = 0.0, _PULL
    for _ in range(_STEPS):
        chances = expit(line + height)
        slope = weights @ (right - chances) - _PULL * height
        bend = weights @ (chances * (1.0 - chances)) + _PULL
        step = float(np.clip(slope / bend, -_LONGEST, _LONGEST))
        height += step
        if abs(step) < _CLOSE:
            break
    return height, 1.0 / bend


def _weights(
    choice: np.ndarray, tested: np.ndarray, order: np.ndarray | None, recency: float
) -> np.ndarray:
    """How much each trial ``[m]`` counts: the share of the answers that was there, to a power."""
    if order is None:
        return np.ones(len(tested))
    times = np.sort(np.asarray(order)[choice >= 0])
    there = np.searchsorted(times, np.asarray(order)[tested], side="left")
    return (np.maximum(there, 1) / max(len(times), 1)) ** recency


def _line(confidence: np.ndarray, crowd: np.ndarray, heights: Heights) -> np.ndarray:
    inside = np.clip(np.asarray(confidence, np.float64), 1e-3, 1 - 1e-3)
    return heights.slope * (np.log(inside) - np.log1p(-inside)) + heights.density * crowd


def _standard(density: jax.Array | np.ndarray | None, size: int) -> np.ndarray:
    if density is None:
        return np.zeros(size)
    crowd = np.asarray(density, np.float64)
    return (crowd - crowd.mean()) / max(crowd.std(), 1e-6)
