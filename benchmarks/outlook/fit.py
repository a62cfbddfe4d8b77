"""Fit what the outlook takes for granted to recorded courses.

Families of data sets weigh alike. How far the line is off, and so the interval, is taken from
families that were left out when it was fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import logit

from benchmarks.outlook.record import FOLDER, FOUND, Trace, file_of, load
from benchmarks.outlook.tasks import CHOOSING, family
from idc_jax import outlook
from idc_jax.outlook.accuracy import HIGHEST, LINE, Line, Traits, accuracy_of, traits_of
from idc_jax.outlook.estimate import Estimate
from idc_jax.outlook.gain import GAINS, Gains, expected_gain
from idc_jax.outlook.groups import number_of_groups
from idc_jax.outlook.trials import Trials

# Seeds from here on choose, those below report.
DEVELOPMENT = 100
# The share of cases that an interval is to hold in.
RATE = 0.9
# Answers of which the gain is fitted.
FURTHER = 50
# Holds weights to 0, in standardised traits; no accuracy is taken for more or less than this.
_RIDGE, _MOST, _LEAST = 10.0, 0.985, 0.02
_GAIN = ("start", "accurate", "growth")


class Course(NamedTuple):
    """A recorded course and where it comes from."""

    task: str
    learner: str
    seed: int
    trace: Trace

    @property
    def family(self) -> str:
        """What is left out of a fit together with it."""
        return family(self.task)


class Standing(NamedTuple):
    """A course after one of its rounds.

    Attributes:
      course: with what happened.
      answers, named: answers so far, and groups that they named.
      accuracy: the real one.
      rest: likewise of the samples that nobody was asked about.
      traits: by which the accuracy is told.
      known: answered samples that are predicted rightly.
      gain: what ``FURTHER`` answers more brought; NaN where the course ended before.
    """

    course: Course
    answers: int
    named: int
    accuracy: float
    rest: float
    traits: Traits
    known: int
    gain: float

    @property
    def samples(self) -> int:
        """How many there are."""
        return self.course.trace.right.shape[1]


def recorded(
    tasks: Sequence[str] = tuple(CHOOSING), *, found: bool = False, least: int = DEVELOPMENT
) -> list[Course]:
    """The courses on ``tasks`` that are there, of seeds from ``least`` on, told no number or told.

    With ``least`` below ``DEVELOPMENT``, those of seeds that report and no others.
    """
    courses = []
    for file in sorted(FOLDER.glob("*.npz")):
        task, learner, number = file.stem.rsplit("-", 2)
        seed = int(number)
        wanted = (seed >= DEVELOPMENT) == (least >= DEVELOPMENT) and seed >= least
        if task in tasks and wanted and (learner == FOUND) == found:
            courses.append(Course(task, learner, seed, load(file_of(task, learner, seed))))
    return courses


def standings(courses: Sequence[Course], *, bare: bool = False) -> list[Standing]:
    """Every round of every course; ``bare``: as if nobody knew the density."""
    return [_standing(c, r, bare) for c in courses for r in range(1, len(c.trace.answers))]


def _standing(course: Course, round_: int, bare: bool) -> Standing:
    trace = course.trace
    density = None if bare else trace.density
    n, answers = trace.right.shape[1], int(trace.answers[round_])
    asked = trace.asked[:answers]
    choice, order = np.full(n, -1), np.zeros(n, int)
    choice[asked] = trace.said[:answers]
    order[asked] = np.searchsorted(trace.answers, np.arange(answers), side="right")
    trials = Trials(np.zeros(n, np.float32), np.zeros(n, bool))
    trials.confidence[asked], trials.right[asked] = trace.tried[:answers], trace.passed[:answers]
    counts = np.bincount(trace.said[:answers])
    unnamed = number_of_groups(counts, trace.clusters, spread=spread_of(course)).unnamed
    right = trace.right[round_]
    return Standing(
        course=course,
        answers=answers,
        named=int((counts > 0).sum()),
        accuracy=float(right.mean()),
        rest=float(right[choice < 0].mean()),
        traits=traits_of(trace.confidence[round_], choice, trials, density, order, unnamed),
        known=int(right[asked].sum()),
        gain=_accuracy_at(trace, answers + FURTHER) - float(right.mean()),
    )


def spread_of(course: Course) -> float:
    """How far the number of groups that it began with may be off."""
    return outlook.FOUND if course.learner == FOUND else outlook.WANTED


def _accuracy_at(trace: Trace, answers: float) -> float:
    """Between two rounds, it grows with the logarithm of the answers."""
    if answers > trace.answers[-1]:
        return float("nan")
    return float(np.interp(np.log(answers), np.log(trace.answers[1:]), trace.accuracy[1:]))


def expected(at: Standing, line: Line = LINE) -> Estimate:
    """What is expected of the accuracy."""
    return accuracy_of(at.traits, at.known, at.answers, at.samples, line)


def fit_line(points: Sequence[Standing]) -> Line:
    """Weights by ridge regression, and how far they are off on families left out of it."""
    families = np.array([at.course.family for at in points])
    weights = _weights(points)
    miss, told = np.zeros(len(points)), np.zeros(len(points))
    for name in np.unique(families):
        here = families == name
        slopes = _slopes([at for at in points if at.course.family != name])
        told[here] = _design([at for at in points if at.course.family == name]) @ slopes
    miss = told - _target(points)
    tried = np.array([at.traits.trials for at in points])
    traits = np.stack([np.ones(len(points)), np.minimum(told, HIGHEST), tried], axis=1)

    def unlikely(spread: np.ndarray) -> float:
        log = traits @ spread
        return float(weights @ (0.5 * np.square(miss / np.exp(log)) + log))

    spread = minimize(unlikely, np.array([-0.5, 0.0, 0.0]), method="Nelder-Mead").x
    line = Line(*_slopes(points).tolist(), *spread.tolist(), reach=1.0)
    return line._replace(reach=_quantile(np.abs(miss) / np.exp(traits @ spread), weights, RATE))


def _slopes(points: Sequence[Standing]) -> np.ndarray:
    weights = len(points) * _weights(points)
    x, y = _design(points), _target(points)
    middle = np.average(x[:, 1:], axis=0, weights=weights)
    scale = np.sqrt(np.average(np.square(x[:, 1:] - middle), axis=0, weights=weights)) + 1e-9
    z = np.concatenate([x[:, :1], (x[:, 1:] - middle) / scale], axis=1)
    bend = (z * weights[:, None]).T @ z + _RIDGE * np.diag([0.0, *np.ones(len(scale))])
    found = np.linalg.solve(bend, (z * weights[:, None]).T @ y)
    slopes = found[1:] / scale
    return np.array([found[0] - slopes @ middle, *slopes])


def _design(points: Sequence[Standing]) -> np.ndarray:
    return np.array([[1.0, *at.traits[:4]] for at in points])


def _target(points: Sequence[Standing]) -> np.ndarray:
    return logit(np.clip([at.rest for at in points], _LEAST, _MOST))


def _weights(points: Sequence[Standing]) -> np.ndarray:
    """Together 1; families weigh alike."""
    names = [at.course.family for at in points]
    weights = np.array([1.0 / names.count(name) for name in names])
    return weights / weights.sum()


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), share)])


def gain_of(at: Standing, accuracy: float, gains: Gains = GAINS) -> Estimate:
    """What is expected of ``FURTHER`` answers more."""
    return expected_gain(accuracy, at.answers, at.named, FURTHER, gains=gains)


def fit_gains(points: Sequence[Standing], line: Line) -> Gains:
    """The constants of the least squared error; how far they are off makes the interval."""
    points = [at for at in points if np.isfinite(at.gain)]
    weights, real = _weights(points), np.array([at.gain for at in points])
    told = [expected(at, line).value for at in points]

    def predicted(vector: np.ndarray) -> np.ndarray:
        gains = GAINS._replace(**dict(zip(_GAIN, vector.tolist(), strict=True)))
        pairs = zip(points, told, strict=True)
        return np.array([gain_of(at, accuracy, gains).value for at, accuracy in pairs])

    def loss(vector: np.ndarray) -> float:
        return 1e4 * float(weights @ np.square(predicted(vector) - real))

    best = minimize(loss, [getattr(GAINS, name) for name in _GAIN], method="Nelder-Mead").x
    value = predicted(best)

    def unlikely(vector: np.ndarray) -> float:
        deviation = np.hypot(*(np.exp(vector) * np.stack([np.ones_like(value), value], axis=1)).T)
        miss = (value - real) / deviation
        return float(weights @ (0.5 * np.square(miss) + np.log(deviation)))

    least, share = np.exp(minimize(unlikely, np.log([0.01, 0.6]), method="Nelder-Mead").x)
    deviation = np.hypot(least, share * value)
    reach = _quantile(np.abs(value - real) / deviation, weights, RATE)
    return Gains(*best.tolist(), float(least), float(share), reach)


def constants() -> str:
    """Those of idc_jax.outlook, as they would be fitted now."""
    courses = recorded()
    points = standings(courses)
    line, bare = fit_line(points), fit_line(standings(courses, bare=True))
    found = {"LINE": line, "BARE": bare, "GAINS": fit_gains(points, line)}
    return "".join(f"{name} = {_told(fitted)}\n" for name, fitted in found.items())


def _told(constants: NamedTuple) -> str:
    fields = ", ".join(f"{k}={v:.4g}" for k, v in constants._asdict().items())
    return f"{type(constants).__name__}({fields})"
