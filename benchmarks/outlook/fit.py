"""Fit what the outlook takes for granted to recorded courses.

python -m benchmarks.outlook.fit        # prints the constants of idc_jax.outlook, and how far
                                        # they hold on families of sets left out of the fit
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from benchmarks.outlook.record import FOUND, Trace, file_of, load
from benchmarks.outlook.tasks import CHOOSING, family
from idc_jax.data.registry import default_cache_dir
from idc_jax.outlook.accuracy import HEIGHTS, Heights, accuracy_of
from idc_jax.outlook.estimate import Estimate
from idc_jax.outlook.groups import WANTED, number_of_groups
from idc_jax.outlook.trials import Trials

# Deviations in a 90 % interval of a normal distribution.
NORMAL = 1.645
# No deviation below it is asked for: what is nearly perfect would outweigh all else.
_LEAST = 0.01
# Holds what few courses leave open to where it began.
_HOLD = 0.05
# Iterations of the fit of the line, and samples of each round in it.
_STEPS, _DRAWN = 60, 500
# Holds the line to a slope of 1.
_PULL = 100.0
_FITTED = (
    "slope",
    "density",
    "start",
    "growth",
    "level",
    "spread",
    "bias",
    "harder",
    "doubt",
    "recency",
)
# Deviations are fitted by their logarithms.
_POSITIVE = ("spread", "doubt")


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
    """A course after one of its rounds."""

    course: Course
    round: int

    @property
    def answers(self) -> int:
        return int(self.course.trace.answers[self.round])

    @property
    def accuracy(self) -> float:
        return float(self.course.trace.accuracy[self.round])


# Seeds from here on choose, those below report.
DEVELOPMENT = 100


def recorded(tasks: Sequence[str] = tuple(CHOOSING)) -> list[Course]:
    """The courses on ``tasks`` that are there."""
    found = []
    for file in sorted((default_cache_dir() / "outlook").glob("*.npz")):
        task, learner, seed = file.stem.rsplit("-", 2)
        if task in tasks and learner != FOUND and int(seed) >= DEVELOPMENT:
            found.append(Course(task, learner, int(seed), load(file_of(task, learner, int(seed)))))
    return found


def standings(courses: Sequence[Course]) -> list[Standing]:
    """Every round of every course."""
    return [Standing(c, r) for c in courses for r in range(1, len(c.trace.answers))]


def expected(at: Standing, heights: Heights = HEIGHTS) -> Estimate:
    """What is expected of the accuracy after a round."""
    trace, r = at.course.trace, at.round
    n, asked = trace.right.shape[1], trace.asked[: at.answers]
    choice, order = np.full(n, -1), np.zeros(n, int)
    choice[asked] = trace.said[: at.answers]
    order[asked] = np.searchsorted(trace.answers, np.arange(at.answers), side="right")
    trials = Trials(np.zeros(n, np.float32), np.zeros(n, bool))
    trials.confidence[asked], trials.right[asked] = (
        part[: at.answers] for part in (trace.tried, trace.passed)
    )
    confirmed = trace.right[r]
    about = (trace.confidence[r], confirmed, choice, trials, trace.density, order)
    return accuracy_of(*about, _unnamed(at), heights)


def _unnamed(at: Standing) -> float:
    trace = at.course.trace
    counts = np.bincount(trace.said[: at.answers])
    return number_of_groups(counts, trace.clusters, spread=WANTED).unnamed


def fit_line(courses: Sequence[Course]) -> tuple[float, float]:
    """Slope and density's share: logistic regression, every round with a height of its own."""
    rng = np.random.default_rng(0)
    rounds = []
    for at in standings(courses):
        trace = at.course.trace
        rest = np.setdiff1d(np.arange(trace.right.shape[1]), trace.asked[: at.answers])
        rows = rng.choice(rest, min(_DRAWN, len(rest)), replace=False)
        sure = np.clip(trace.confidence[at.round, rows].astype(float), 1e-3, 1 - 1e-3)
        crowd = (trace.density - trace.density.mean()) / max(trace.density.std(), 1e-6)
        traits = np.stack([np.log(sure) - np.log1p(-sure), crowd[rows]], axis=1)
        rounds.append((traits, trace.right[at.round, rows].astype(float)))
    first = np.array([1.0, 0.0])
    slopes, heights = first, np.zeros(len(rounds))
    for _ in range(_STEPS):
        grad, bend = -_PULL * (slopes - first), _PULL * np.eye(2)
        for number, (traits, right) in enumerate(rounds):
            chance = expit(traits @ slopes + heights[number])
            weight = chance * (1 - chance)
            heights[number] += np.clip((right - chance).sum() / (weight.sum() + 1), -1, 1)
            mean = weight @ traits / (weight.sum() + 1e-9)
            grad += traits.T @ (right - chance)
            bend += (traits - mean).T @ (weight[:, None] * (traits - mean))
        slopes = slopes + np.clip(0.7 * np.linalg.solve(bend, grad), -0.1, 0.1)
    return float(slopes[0]), float(slopes[1])


def fit(courses: Sequence[Course], start: Heights = HEIGHTS) -> Heights:
    """The constants under which the courses' accuracies are likeliest; families weigh alike."""
    start = start._replace(widening=NORMAL)
    # Every third round: those beside it say the same.
    points = standings(courses)[::3]
    names = [at.course.family for at in points]
    weights = np.array([1.0 / names.count(name) for name in names])

    real = np.array([at.accuracy for at in points])

    def loss(vector: np.ndarray) -> float:
        heights = _from_vector(vector, start)
        found = np.array([expected(at, heights) for at in points])
        deviation = np.hypot((found[:, 2] - found[:, 1]) / (2 * NORMAL), _LEAST)
        unlikely = 0.5 * np.square((found[:, 0] - real) / deviation) + np.log(deviation)
        return float(weights @ unlikely) + _HOLD * float(np.square(vector - held).sum())

    held = _to_vector(HEIGHTS)
    how = {"maxiter": 20, "eps": 3e-3}
    best = minimize(loss, _to_vector(start), method="L-BFGS-B", options=how)
    return _from_vector(best.x, start)


def _to_vector(heights: Heights) -> np.ndarray:
    values = [(name, getattr(heights, name)) for name in _FITTED]
    return np.array([np.log(v) if name in _POSITIVE else v for name, v in values])


def _from_vector(vector: np.ndarray, start: Heights) -> Heights:
    values = zip(_FITTED, vector.tolist(), strict=True)
    return start._replace(**{n: float(np.exp(v)) if n in _POSITIVE else v for n, v in values})


def without(left_out: str, courses: Sequence[Course]) -> list[Course]:
    """The courses of all other families."""
    return [course for course in courses if course.family != left_out]


def told(points: Sequence[Standing], found: Sequence[Estimate]) -> str:
    """How far expectations hold: error, bias, coverage, width."""
    real = np.array([at.accuracy for at in points])
    value, low, high = np.array(found).T
    held = (low <= real) & (real <= high)
    return (
        f"off {np.abs(value - real).mean():.3f}, too high by {(value - real).mean():+.3f}, "
        f"holds {held.mean():.0%}, below {(real < low).mean():.0%}, width {(high - low).mean():.3f}"
    )


def main() -> None:
    """Fit to all, and to all but one family."""
    courses = recorded()
    whole = fit(courses)
    print(whole)
    print(fit_line(courses))
    points, found = [], []
    for name in sorted({course.family for course in courses}):
        heights = fit(without(name, courses), whole)
        here = standings([course for course in courses if course.family == name])
        estimates = [expected(at, heights) for at in here]
        print(f"{name:14s}", told(here, estimates), flush=True)
        points, found = points + here, found + estimates
    print(f"{'all':14s}", told(points, found))


if __name__ == "__main__":
    main()
