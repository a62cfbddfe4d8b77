"""How many samples are in the right group, told without any labels but the answers.

Four things are looked at: how sure the model is on the whole, how many answers each group has, how
many samples seem to be of groups without a name, and how predictions fared that answers have
tested. What these say of the log-odds of being right is a line that was fitted to recorded courses
on other data, and how far it was off there makes the interval. (Guillory et al., "Predicting with
confidence on unseen distributions", 2021, do so with the confidences alone.)
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from scipy.special import expit, logit

from idc_jax.outlook.estimate import Estimate
from idc_jax.outlook.trials import Trials

# The chance that a tested prediction was right, but for a height that is the trials' own: log-odds
# for one of the confidence's, and for a deviation of the density. Among equally confident
# predictions those in the midst of many are right more often, and samples there are asked about
# more.
_SLOPE, _CROWD = 0.3, 1.0
# Draws that height to 0 as one trial at even odds or so would.
_PULL = 1.0
# Newton's steps, none longer than one, so that they end wherever they start.
_STEPS, _LONGEST, _CLOSE = 40, 1.0, 1e-6
# No mean is surer.
_SUREST = 0.99
# Log-odds from which on the deviation grows no more.
HIGHEST = 3.0


class Traits(NamedTuple):
    """What the line goes by.

    Attributes:
      sure: log-odds of the mean confidence.
      each: the logarithm of the answers for each group named.
      unnamed: the share of samples thought to be of groups without a name.
      tested: how much better tested predictions fared than even, beside their confidence, in
        log-odds.
      trials: the logarithm of how many were tested, older ones counting less, plus one.
    """

    sure: float
    each: float
    unnamed: float
    tested: float
    trials: float


class Line(NamedTuple):
    """What recorded courses have taught, fitted by ``benchmarks/outlook``.

    Attributes:
      start, sure, each, unnamed, tested: log-odds of being right, for nothing and for one of each
        of :class:`Traits`.
      doubt, higher, tried: the logarithm of how far that is off, its deviation: for nothing, for
        one of the log-odds told, and for one of the logarithm of the trials.
      reach: deviations on each side that hold in 90 % of all cases.
    """

    start: float
    sure: float
    each: float
    unnamed: float
    tested: float
    doubt: float
    higher: float
    tried: float
    reach: float


LINE = Line(
    start=0.7822,
    sure=0.606,
    each=-0.05418,
    unnamed=-3.721,
    tested=0.8385,
    doubt=-0.3054,
    higher=0.4253,
    tried=-0.246,
    reach=1.61,
)
"""The constants of :func:`expected_accuracy`, fitted to recorded courses."""
BARE = Line(
    start=0.3907,
    sure=0.5914,
    each=0.1425,
    unnamed=-2.159,
    tested=0.8605,
    doubt=-0.2853,
    higher=0.437,
    tried=-0.2099,
    reach=1.626,
)
"""The same where nobody knows how closely samples are surrounded."""


def expected_accuracy(
    probabilities: jax.Array | np.ndarray,
    choice: np.ndarray,
    trials: Trials,
    *,
    density: jax.Array | np.ndarray | None = None,
    order: np.ndarray | None = None,
    unnamed: float = 0.0,
    line: Line | None = None,
) -> Estimate:
    """The share of samples whose likeliest group is right.

    With one that errs now and then answering, it is the share that they would agree with. Answers
    are taken to be to what a method asked, which is harder than the rest: of samples that were
    drawn by chance, the share of trials that were right is a better guess than this.

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
      line: ``LINE`` if not given, or ``BARE`` where the density is not.

    Returns:
      The estimate; the whole range from 0 to 1 where there are no samples.
    """
    probs, choice = np.asarray(probabilities), np.asarray(choice)
    if not len(probs):
        return Estimate(0.5, 0.0, 1.0)
    said = choice >= 0
    if line is None:
        line = BARE if density is None else LINE
    traits = traits_of(probs.max(axis=1), choice, trials, density, order, unnamed)
    known = int((probs.argmax(axis=1) == choice)[said].sum())
    return accuracy_of(traits, known, int(said.sum()), len(probs), line)


def accuracy_of(
    traits: Traits, known: int, answered: int, num_samples: int, line: Line = LINE
) -> Estimate:
    """:func:`expected_accuracy` by its ``traits``.

    Args:
      traits: of the samples and the answers.
      known: answered samples whose prediction agrees with the answer.
      answered: samples that were answered.
      num_samples: n, at least 1.
      line: see :class:`Line`.
    """
    height = line.start + float(np.dot(line[1:5], traits[:4]))
    above = min(height, HIGHEST)
    deviation = np.exp(line.doubt + line.higher * above + line.tried * traits.trials)
    rest = num_samples - answered
    ends = expit(height + line.reach * deviation * np.array([0.0, -1.0, 1.0]))
    value, low, high = (known + rest * ends) / num_samples
    # Where samples are few, some happen to be right.
    luck = line.reach * np.sqrt(rest * ends[0] * (1.0 - ends[0])) / num_samples
    below, above = np.hypot(value - low, luck), np.hypot(high - value, luck)
    return Estimate(float(value), float(max(value - below, 0.0)), float(min(value + above, 1.0)))


def traits_of(
    confidence: np.ndarray,
    choice: np.ndarray,
    trials: Trials,
    density: jax.Array | np.ndarray | None,
    order: np.ndarray | None,
    unnamed: float,
) -> Traits:
    """The traits of predictions by their ``confidence`` ``[n]``; see :func:`expected_accuracy`."""
    counts = np.bincount(choice[choice >= 0])
    rest = confidence[choice < 0]
    mean = np.clip(rest.mean(dtype=np.float64) if len(rest) else 1.0, 1 - _SUREST, _SUREST)
    # A state that was read from a checkpoint has them on a device.
    trials = Trials(*map(np.asarray, trials))
    tested = np.flatnonzero(trials.confidence > 0)
    weights = _weights(choice, tested, order)
    sure = np.clip(trials.confidence[tested].astype(np.float64), 1e-3, 1 - 1e-3)
    expected = _SLOPE * logit(sure) + _CROWD * _standard(density, len(confidence))[tested]
    return Traits(
        sure=float(logit(mean)),
        each=float(np.log(counts[counts > 0].mean())) if len(counts) else 0.0,
        unnamed=unnamed,
        tested=_tested_height(expected, trials.right[tested], weights),
        trials=float(np.log1p(weights.sum())),
    )


def _tested_height(expected: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """What is added to the ``expected`` log-odds of trials ``[m]`` where they are likeliest."""
    height = 0.0
    for _ in range(_STEPS):
        chances = expit(expected + height)
        slope = weights @ (right - chances) - _PULL * height
        bend = weights @ (chances * (1.0 - chances)) + _PULL
        step = float(np.clip(slope / bend, -_LONGEST, _LONGEST))
        height += step
        if abs(step) < _CLOSE:
            break
    return height


def _weights(choice: np.ndarray, tested: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """How much each trial ``[m]`` counts: the share of today's answers that was there before it."""
    if order is None:
        return np.ones(len(tested))
    times = np.sort(np.asarray(order)[choice >= 0])
    there = np.searchsorted(times, np.asarray(order)[tested], side="left")
    return np.maximum(there, 1) / max(len(times), 1)


def _standard(density: jax.Array | np.ndarray | None, size: int) -> np.ndarray:
    if density is None:
        return np.zeros(size)
    crowd = np.asarray(density, np.float64)
    return (crowd - crowd.mean()) / max(crowd.std(), 1e-6)
