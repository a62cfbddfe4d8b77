"""Fit what is expected of further answers to recorded courses; used by ``fit``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from benchmarks.outlook.fit import NORMAL, Standing
from idc_jax.outlook.estimate import Estimate
from idc_jax.outlook.gain import GAINS, Gains, expected_gain

# Of so many answers more.
FURTHER = 50
_FITTED = ("start", "accurate", "growth")


def real_gain(at: Standing, further: int = FURTHER) -> float:
    """What so many answers brought; NaN where the course ended before."""
    trace = at.course.trace
    then = at.answers + further
    if then > trace.answers[-1]:
        return float("nan")
    between = np.interp(np.log(then), np.log(trace.answers[1:]), trace.accuracy[1:])
    return float(between) - at.accuracy


def gain_of(
    at: Standing, accuracy: float, gains: Gains = GAINS, further: int = FURTHER
) -> Estimate:
    """What was expected of them."""
    named = len(np.unique(at.course.trace.said[: at.answers]))
    return expected_gain(accuracy, at.answers, named, further, gains=gains)


def fit_gains(points: Sequence[Standing], found: Sequence[Estimate]) -> Gains:
    """The constants of the least squared error, then the deviations that are likeliest."""
    real = np.array([real_gain(at) for at in points])
    kept = np.flatnonzero(np.isfinite(real))
    names = [points[i].course.family for i in kept]
    weights = np.array([1.0 / names.count(name) for name in names])

    def predicted(gains: Gains) -> np.ndarray:
        return np.array([gain_of(points[i], found[i].value, gains).value for i in kept])

    def loss(vector: np.ndarray) -> float:
        gains = GAINS._replace(**dict(zip(_FITTED, vector.tolist(), strict=True)))
        return float(weights @ np.square(predicted(gains) - real[kept]))

    best = minimize(loss, [getattr(GAINS, name) for name in _FITTED], method="Nelder-Mead")
    gains = GAINS._replace(**dict(zip(_FITTED, best.x.tolist(), strict=True)))
    value = predicted(gains)

    def unlikely(vector: np.ndarray) -> float:
        least, share = np.exp(vector)
        deviation = np.hypot(least, share * value)
        miss = (value - real[kept]) / deviation
        return float(weights @ (0.5 * np.square(miss) + np.log(deviation)))

    least, share = np.exp(minimize(unlikely, np.log([0.01, 0.6]), method="Nelder-Mead").x)
    return gains._replace(least=float(least), share=float(share), widening=NORMAL)
