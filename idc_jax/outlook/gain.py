"""What further answers are likely to bring."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from idc_jax.outlook.estimate import Estimate


class Gains(NamedTuple):
    """What recorded courses have taught of their errors, fitted by ``benchmarks/outlook``.

    Errors fall as a power of the answers, ``e (1 + k / a)^−β`` after k more than a, as they do with
    the size of training sets (Hestness et al., "Deep learning scaling is predictable, empirically",
    2017).

    Attributes:
      start: the logarithm of the power β with one answer for each group, of even accuracy.
      accurate: what each log-odds of the accuracy adds to it.
      growth: likewise an e-fold of answers for each group.
      least, share: deviation of a gain, ``√(least² + (share · gain)²)``.
      reach: deviations in a 90 % interval.
    """

    start: float
    accurate: float
    growth: float
    least: float
    share: float
    reach: float


GAINS = Gains(
    start=-1.614, accurate=0.4953, growth=0.04938, least=0.002224, share=0.6269, reach=1.579
)
"""The constants of :func:`expected_gain`, fitted to recorded courses."""


def expected_gain(
    accuracy: float, answered: int, named: int, further: float, *, gains: Gains = GAINS
) -> Estimate:
    """Accuracy that ``further`` answers are likely to bring; the low end may be a loss.

    Args:
      accuracy: expected now.
      answered: answers that named a group; with none there is nothing to go by, and the gain is
        that after the first.
      named: groups that they named.
      further: answers more, 0 or more.
      gains: see :class:`Gains`.
    """
    answered, named = max(answered, 1), max(named, 1)
    inside = float(np.clip(accuracy, 1e-3, 1 - 1e-3))
    odds, each = np.log(inside / (1 - inside)), np.log(max(answered / named, 1.0))
    power = np.exp(gains.start + gains.accurate * odds + gains.growth * each)
    left = 1.0 - accuracy
    gain = left * (1.0 - (1.0 + further / answered) ** -power)
    # Without further answers nothing changes.
    around = gains.reach * np.hypot(gains.least, gains.share * gain) if further else 0.0
    return Estimate(float(gain), float(gain - around), float(min(gain + around, left)))
