"""How many groups there are, how good a clustering is, and when to stop asking.

Pure functions of arrays: any model's probabilities, any answers. Constants come from recorded
courses on other data (``benchmarks/outlook``).
"""

from idc_jax.outlook.accuracy import BARE, LINE, Line, expected_accuracy
from idc_jax.outlook.advice import (
    GRID_SIZE,
    SECONDS,
    Advice,
    QuestionKind,
    advise,
    grid_seconds,
    seconds_per_answer,
)
from idc_jax.outlook.candidates import Candidates, candidates
from idc_jax.outlook.estimate import Estimate
from idc_jax.outlook.gain import GAINS, Gains, expected_gain
from idc_jax.outlook.groups import FOUND, WANTED, Belief, number_of_groups
from idc_jax.outlook.trials import Trials, no_trials, tried

__all__ = [
    "BARE",
    "FOUND",
    "GAINS",
    "GRID_SIZE",
    "LINE",
    "SECONDS",
    "WANTED",
    "Advice",
    "Belief",
    "Candidates",
    "Estimate",
    "Gains",
    "Line",
    "QuestionKind",
    "Trials",
    "advise",
    "candidates",
    "expected_accuracy",
    "expected_gain",
    "grid_seconds",
    "no_trials",
    "number_of_groups",
    "seconds_per_answer",
    "tried",
]
