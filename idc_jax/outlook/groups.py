"""How many groups there are: what answers say of it, beside a guess from before them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from idc_jax.outlook.estimate import Estimate

WANTED = 0.3
"""How far a number of groups that somebody wants may be off: the deviation of its logarithm."""
FOUND = 0.9
"""Likewise of a number found in the samples, in which people may see four groups or twenty."""
# How even groups are: concentrations of a symmetric Dirichlet distribution.
_EVENNESS = np.array([0.3, 0.6, 1.0, 2.0, 4.0, 8.0])
# Answers drawn by chance that one to a question of a method is worth: it asks all over the data,
# so a group with a name comes up again more seldom.
_SPREAD_OUT = 1.6
# Numbers beyond so many times the guess and the groups named are not thought of.
_MOST = 8


class Belief(NamedTuple):
    """What is thought of the number of groups.

    Attributes:
      numbers: int ``[k]``, those that may be, ascending.
      chances: ``[k]`` of each, together 1.
      unnamed: the chance that a sample drawn next is of a group that nobody has named.
    """

    numbers: np.ndarray
    chances: np.ndarray
    unnamed: float

    @property
    def estimate(self) -> Estimate:
        """The median and the central 90 %; never below the groups named."""
        below = np.cumsum(self.chances)
        at = np.searchsorted(below, [0.5, 0.05, 0.95])
        value, low, high = self.numbers[np.minimum(at, len(below) - 1)]
        return Estimate(float(value), float(low), float(high))


def number_of_groups(
    answered: np.ndarray, guess: float, *, spread: float = FOUND, limit: int | None = None
) -> Belief:
    """How many groups there are, named ones and those that nobody has come upon.

    Bayes' rule on every number from that of the named groups on. The prior is log-normal about
    the ``guess``. The likelihood is that of the counts under a multinomial distribution whose
    shares a symmetric Dirichlet distribution drew, averaged over how even these are: samples of
    species, as in Boender and Rinnooy Kan, "A multinomial Bayesian approach to the estimation of
    population and vocabulary size", 1987.

    Args:
      answered: int ``[m]``, the answers that each group has; those without any do not count.
      guess: a number from before the answers, as somebody wants or as
        :func:`~idc_jax.outlook.candidates` finds; above 0.
      spread: how far that may be off, as the deviation of its logarithm.
      limit: groups that there can be, as there are samples.
    """
    counts = _SPREAD_OUT * np.asarray(answered, np.float64)
    counts = counts[counts > 0]
    first = max(len(counts), 1)
    last = max(first, int(_MOST * max(guess, first, 2)))
    if limit is not None:
        last = max(first, min(last, limit))
    numbers = np.arange(first, last + 1)
    prior = -0.5 * np.square(np.log(numbers / guess) / spread) - np.log(numbers)
    joint = prior[:, None] + _log_likelihood(counts, numbers)
    chances = np.exp(joint - joint.max())
    chances /= chances.sum()
    k, even = numbers[:, None], _EVENNESS[None]
    new = even * (k - len(counts)) / (even * k + counts.sum())
    return Belief(numbers, chances.sum(axis=1), float((chances * new).sum()))


def _log_likelihood(counts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Of the ``counts`` ``[m]`` under each of ``numbers`` ``[k]`` and each evenness, ``[k, e]``."""
    total, named = counts.sum(), len(counts)
    k, even = numbers[:, None], _EVENNESS[None]
    ways = gammaln(k + 1) - gammaln(k - named + 1)
    shares = gammaln(k * even) - gammaln(k * even + total)
    each = np.sum(gammaln(counts[:, None] + _EVENNESS) - gammaln(_EVENNESS), axis=0)
    return ways + shares + each
