"""What a run is made of: what stays the same, and what moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.questions import Answers, QuestionKind, Questions
from idc_jax.annotate.store import Store
from idc_jax.data.base import Dataset
from idc_jax.runs.interaction import Interaction
from idc_jax.runs.workdir import Course, MetricsLog

# Told what happens, for a page that shows it.
Notify = Callable[[str, Mapping[str, Any]], None]


class Plan(NamedTuple):
    """How much is asked.

    Attributes:
      budget: questions in all, beside answers that were brought from elsewhere.
      rounds: in how many rounds; the earlier ones take what does not divide. Where all of them
        have been asked and the budget was raised, what is left makes one round more.
      seed: fixes everything.
      minutes: that a person has; more than 0 takes the place of the budget, which is then as many
        answers as they hold.
      kinds: of the questions; () for the method's usual one.
    """

    budget: int
    rounds: int
    seed: int
    minutes: float = 0.0
    kinds: tuple[QuestionKind, ...] = ()


class Outcome(NamedTuple):
    """What a run found.

    Attributes:
      rounds: the questions and answers of every round.
      history: one entry per round from 0, with its questions, metrics, health and outlook.
      seconds: by phase.
      initial: probabilities ``[n, c]`` before any answer, c as in ``final``.
      final: the last probabilities.
      embeddings: the last embeddings ``[n, d]``.
    """

    rounds: list[tuple[Questions, Answers]]
    history: list[dict[str, Any]]
    seconds: dict[str, float]
    initial: np.ndarray
    final: np.ndarray
    embeddings: np.ndarray


class Run(NamedTuple):
    """What stays the same through a run."""

    interaction: Interaction
    dataset: Dataset
    store: Store
    plan: Plan
    workdir: Path
    course: Course
    log: MetricsLog
    notify: Notify
    # Whether people may say things that nobody asked.
    listens: bool = False


class Progress(NamedTuple):
    """What moves.

    Attributes:
      initial: probabilities before any answer.
      history: an entry for each round that was scored.
      seconds: by phase.
      learned: :func:`gist` of each round that was learned.
    """

    initial: np.ndarray
    history: list[dict[str, Any]]
    seconds: dict[str, float]
    learned: list[str]
