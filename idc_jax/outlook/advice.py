"""Whether it is worth while to go on answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from idc_jax.outlook.estimate import Estimate

QuestionKind = Literal["cluster", "pair", "label", "grid"]
"""What is this? Which of these? Do these two belong together? Which of these do not?"""
# Samples of a grid, and how many strangers are usual among them.
GRID_SIZE = 16
"""Samples of a grid."""
# Strangers that are usual among them.
_STRANGERS = 3
# Seconds that a grid takes: to see which group it is, for each sample, for each click.
_GRID_SECONDS = (2.0, 0.4, 1.0)


def grid_seconds(samples: int, strangers: float) -> float:
    """Seconds that people take for a grid of ``samples`` with so many ``strangers``."""
    begin, look, click = _GRID_SECONDS
    return begin + look * samples + click * strangers


SECONDS: Mapping[QuestionKind, float] = {
    "label": 4.0,
    "cluster": 4.0,
    "pair": 2.5,
    "grid": grid_seconds(GRID_SIZE, _STRANGERS) / GRID_SIZE,
}
"""Seconds that an answer of each kind takes, before people have shown their own pace.

Of a grid: one sample of it.
"""
# From so many answers on, their own pace counts.
_ENOUGH = 20
# What ten minutes must bring to be worth while: a point and a half of accuracy.
MINUTES, WORTH = 10.0, 0.015


class Advice(NamedTuple):
    """What to do.

    Attributes:
      go_on: whether further answers are worth while.
      reason: why, a part of a sentence.
    """

    go_on: bool
    reason: str


def seconds_per_answer(seconds: Sequence[float] | np.ndarray, kind: QuestionKind) -> float:
    """The median of what answers took, or where there are few of them what is usual.

    Args:
      seconds: of the answers so far; 0 where nobody took the time.
      kind: of the questions: ``"label"``, ``"cluster"``, ``"pair"`` or ``"grid"``.
    """
    taken = np.asarray(seconds, np.float64)
    taken = taken[np.isfinite(taken) & (taken > 0)]
    return float(np.median(taken)) if len(taken) >= _ENOUGH else SECONDS[kind]


def advise(
    gain: Estimate, further: int, minutes: float, unnamed: float, *, worth: float = WORTH
) -> Advice:
    """Weigh what the next answers bring.

    Args:
      gain: accuracy expected of ``further`` answers.
      further: how many.
      minutes: how long they take.
      unnamed: groups that are thought to have no name yet.
      worth: the least gain that makes them worth while.
    """
    about = (
        f"{further} more answers, about {minutes:.0f} minutes, would bring {100 * gain.value:.1f} "
        f"points ({100 * gain.low:.1f} to {100 * gain.high:.1f})"
    )
    missing = round(unnamed)
    if missing >= 1:
        names = "1 group seems" if missing == 1 else f"about {missing} groups seem"
        return Advice(True, f"{names} to have no name yet, and {about}")
    return Advice(gain.value >= worth, about)
