"""Courses as the outlook sees them: what was predicted, asked and said, round by round.

A course is a file in the cache (``outlook/`` below it), and one that is there is not played again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.answers.course import LEARNERS, SPACES, Stage
from benchmarks.answers.reporting import REPORTING
from benchmarks.harness.points import Point, Row
from benchmarks.outlook.tasks import CHOOSING, FAMILIES, drawn
from idc_jax.annotate.evidence import Ledger
from idc_jax.data.registry import default_cache_dir
from idc_jax.methods.contract import Round
from idc_jax.metrics import match_clusters
from idc_jax.outlook import candidates

# Answers after each round: so many for each class, or so many at a time.
PER_CLASS = (1, 2, 3, 5, 7, 10, 15, 20, 25)
STEPS = (20, 40, 60, 80, 100, 150, 200, 250, 300, 400, 500)
# Ours, with as many clusters as the samples suggest.
FOUND = "found"
FOLDER = default_cache_dir() / "outlook"


class Trace(NamedTuple):
    """A course of r rounds about n samples; predictions are those before it and after each.

    Attributes:
      confidence, second: float16 ``[r + 1, n]``, of the likeliest output and the next.
      predicted: int16 ``[r + 1, n]``, the likeliest output.
      right: bool ``[r + 1, n]``, whether it is of the sample's class, outputs matched to classes.
      named: int ``[r + 1]``, outputs that stand for a class.
      asked: int ``[m]``, the samples asked about, in order.
      said: int ``[m]``, the class that was said of each.
      tried, passed: float32 and bool ``[m]``, how sure the prediction before it was, 0 where none
        was tested, and whether the answer confirmed it.
      answers: int ``[r + 1]``, how many of them there were.
      density: float32 ``[n]``.
      clusters, classes: how many were asked for, and how many there are.
    """

    confidence: np.ndarray
    second: np.ndarray
    predicted: np.ndarray
    right: np.ndarray
    named: np.ndarray
    asked: np.ndarray
    said: np.ndarray
    tried: np.ndarray
    passed: np.ndarray
    answers: np.ndarray
    density: np.ndarray
    clusters: int
    classes: int

    @property
    def accuracy(self) -> np.ndarray:
        """``[r + 1]``."""
        return self.right.mean(axis=1)


def file_of(task: str, learner: str, seed: int) -> Path:
    """Where a course is kept; the learner is ``FOUND`` for ours that was told no number."""
    return FOLDER / f"{task}-{learner}-{seed}.npz"


def load(file: Path) -> Trace:
    """A course that was played."""
    with np.load(file) as found:
        fields = {name: found[name] for name in Trace._fields}
    return Trace(**{k: v.item() if v.ndim == 0 else v for k, v in fields.items()})


def schedule(classes: int, seed: int, samples: int) -> list[int]:
    """Answers after each round: by class on even seeds, in steps on odd ones."""
    wanted = STEPS if seed % 2 else [classes * each for each in PER_CLASS]
    return [answers for answers in wanted if answers <= samples // 2]


def play(task: str, learner: str, seed: int) -> Trace:
    """Play a course, questions being those of the committee."""
    found = drawn(task, seed)
    if learner == FOUND:
        learner, guess = "graph_committee", candidates(jax.random.key(seed), found.inputs).guess
        found = found._replace(clusters=guess)
    stage, n = Stage(found, seed), len(found.labels)
    options = LEARNERS[learner]
    context, state = stage.start(**{name: options[name] for name in SPACES if name in options})
    method, ledger, ask_key = stage.method(options, "value"), Ledger(n), jax.random.key(seed)
    after = schedule(found.classes, seed, n)
    rows, asked, said, counts = [_seen(state, found.labels)], [], [], [0]
    for number, (before, then) in enumerate(itertools.pairwise([0, *after]), start=1):
        round_ = Round(number, then - before, before, after[-1], then == after[-1], number)
        ask, learn = jax.random.split(jax.random.fold_in(ask_key, number))
        questions = method.ask(ask, context, state, ledger.evidence(), round_)
        answers = stage.answer(questions)
        ledger.add(questions, answers)
        state, _ = method.learn(learn, context, state, ledger.evidence(), round_)
        rows.append(_seen(state, found.labels))
        asked.append(questions.indices)
        said.append(answers.choice)
        counts.append(counts[-1] + questions.count)
    parts = [np.stack(part) for part in zip(*rows, strict=True)]
    order = np.concatenate(asked)
    return Trace(
        *parts,
        asked=order,
        said=np.concatenate(said),
        tried=np.asarray(state.trials.confidence)[order],
        passed=np.asarray(state.trials.right)[order],
        answers=np.array(counts),
        density=np.asarray(context.space.density),
        clusters=found.clusters,
        classes=found.classes,
    )


def _seen(state: object, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    probs = np.asarray(state.probabilities)
    predicted = probs.argmax(axis=1)
    matching = match_clusters(predicted, labels, probs.shape[1])
    top = -np.partition(-probs, 1, axis=1)[:, :2].astype(np.float16)
    right = matching.class_of_cluster[predicted] == labels
    named = (np.asarray(state.slots) >= 0).sum()
    return top[:, 0], top[:, 1], predicted.astype(np.int16), right, named


# Seeds -> the data sets and learners whose courses the tables tell of.
_UNTOLD = ("digits", "fashion", "cifar20_part", "cifar20_tailed", *FAMILIES["cifar100_4"])
RECORDED: tuple[tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    ((100, 101), tuple(CHOOSING), ("graph_committee",)),
    ((102,), tuple(CHOOSING), ("spreading", "regression")),
    ((1, 3), _UNTOLD, ("graph_committee", FOUND)),
    ((0, 1), tuple(REPORTING), ("graph_committee",)),
)


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """The courses of some seeds."""
    for some, tasks, learners in RECORDED:
        for seed, task, learner in itertools.product(some, tasks, learners):
            if seed in seeds:
                yield {"task": task, "learner": learner, "seed": seed}


def measure(point: Point) -> Row:
    """Play a course and keep its file, unless that is there."""
    file, begun = file_of(**point), time.perf_counter()
    if not file.exists():
        jax.clear_caches()  # shapes differ between data sets; a process has only so many maps
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **play(**point)._asdict())
    return {"acc": load(file).accuracy.tolist(), "seconds": time.perf_counter() - begun}
