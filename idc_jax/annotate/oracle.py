"""Simulated annotators: they know the labels, and err and skip as often as they are told to.

What is drawn for a question depends on the seed and on the samples asked about alone, so a run
that goes on after a kill gets the answers that it would have got.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from idc_jax.annotate.annotator import Annotator
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    QuestionKind,
    Questions,
    screens,
)
from idc_jax.annotate.store import Row, Store
from idc_jax.errors import UserError, check_within
from idc_jax.metrics import contingency
from idc_jax.outlook import SECONDS, grid_seconds

_BATCH = 500

# (question, position) -> the true answer and all possible ones; None where it cannot know.
_Truth = Callable[[Questions, int], tuple[int, np.ndarray] | None]


def aligned(
    labels: np.ndarray,
    assignments: np.ndarray,
    num_clusters: int,
    *,
    seed: int,
    error_rate: float = 0.0,
    skip_rate: float = 0.0,
    seconds: Mapping[QuestionKind, float] = SECONDS,
) -> Annotator:
    """The papers' annotator: clusters matched to classes by the Hungarian method.

    For a cluster question it names the cluster id matched to the image's class if that is among
    the candidates, else none of these (IDC, "Interactive Deep Clustering via Value Mining").
    For a pair it compares the labels, for a label question it says the label, and of a grid that a
    sample is of the group whose class id is its label. What an answer takes is what is usual.

    Args:
      labels: int ``[n]``, the true classes; -1 where unknown, which is answered by a skip.
      assignments: int ``[n]``, the current cluster of every sample, over the whole data set.
      num_clusters: how many cluster ids there are.
      seed: of the errors and skips.
      error_rate: the share of answers that are wrong, uniform over the other ones.
      skip_rate: the share of questions that it skips.
      seconds: that an answer takes, by kind; in a grid they depend on the strangers, too.

    Raises:
      UserError: labels and assignments of different lengths, or a rate outside [0, 1].
    """
    labels = _checked(labels, error_rate, skip_rate)
    cluster_of_class = match_classes(labels, assignments, num_clusters)

    def truth(questions: Questions, position: int) -> tuple[int, np.ndarray] | None:
        label = labels[questions.indices[position]]
        if label < 0:
            return None
        offered = _offered(questions, position)
        cluster = int(cluster_of_class[label])
        return (cluster if cluster in offered else NONE_OF_THESE), offered

    return _simulated("aligned", labels, truth, seed, (error_rate, skip_rate), seconds)


def exemplar(
    labels: np.ndarray,
    *,
    seed: int,
    error_rate: float = 0.0,
    skip_rate: float = 0.0,
    seconds: Mapping[QuestionKind, float] = SECONDS,
) -> Annotator:
    """What a person can really see: the image's class against each exemplar's class.

    It names the first candidate whose exemplar is of the image's class, else none of these;
    pairs and labels as :func:`aligned`.

    Args:
      labels: int ``[n]``, the true classes; -1 where unknown.
      seed: of the errors and skips.
      error_rate: the share of answers that are wrong.
      skip_rate: the share of questions that it skips.
      seconds: that an answer takes, by kind; in a grid they depend on the strangers, too.

    Raises:
      UserError: a rate outside [0, 1].
    """
    labels = _checked(labels, error_rate, skip_rate)

    def truth(questions: Questions, position: int) -> tuple[int, np.ndarray] | None:
        label = labels[questions.indices[position]]
        if label < 0:
            return None
        offered = _offered(questions, position)
        shown = questions.exemplars[offered]
        matches = offered[(shown >= 0) & (labels[shown] == label)]
        return (int(matches[0]) if matches.size else NONE_OF_THESE), offered

    return _simulated("exemplar", labels, truth, seed, (error_rate, skip_rate), seconds)


def match_classes(labels: np.ndarray, assignments: np.ndarray, num_clusters: int) -> np.ndarray:
    """The cluster id that best stands for each class, int ``[classes]``.

    Hungarian matching on the contingency of classes and clusters, padded with zeros to a square
    of ``max(classes, num_clusters)``: ids are never shifted, and a class beyond the clusters
    gets an id that no cluster has.

    Args:
      labels: int ``[n]``, negative ones left out.
      assignments: int ``[n]``.
      num_clusters: how many cluster ids there are.

    Raises:
      UserError: different lengths, or an assignment outside ``[0, num_clusters)``.
    """
    labels, assignments = np.asarray(labels), np.asarray(assignments)
    if labels.shape != assignments.shape:
        raise UserError(f"{labels.shape[0]} labels but {assignments.shape[0]} assignments")
    if assignments.size and not 0 <= assignments.min() <= assignments.max() < num_clusters:
        raise UserError(f"assignments must lie in 0..{num_clusters - 1}")
    known = labels >= 0
    if not known.any():
        return np.zeros(0, np.int64)
    table = contingency(assignments[known], labels[known], num_clusters).T
    square = np.pad(table, [(0, max(table.shape) - size) for size in table.shape])
    _, columns = linear_sum_assignment(square, maximize=True)
    return columns[: len(table)]


def _simulated(
    name: str,
    labels: np.ndarray,
    cluster_truth: _Truth,
    seed: int,
    rates: tuple[float, float],
    seconds: Mapping[QuestionKind, float],
) -> Annotator:
    error_rate, skip_rate = rates
    truths = {
        "cluster": cluster_truth,
        "pair": _pair_truth(labels),
        "label": _label_truth(labels),
        "grid": _grid_truth(labels),
    }

    def choose(questions: Questions, position: int) -> int:
        known = truths[questions.kind](questions, position)
        if known is None:
            return SKIP
        right, offered = known
        samples = np.sort(np.atleast_1d(questions.indices[position])).tolist()
        rng = np.random.default_rng([seed, *samples])
        skips, errs = rng.random(2) < (skip_rate, error_rate)
        wrong = offered[offered != right]
        if questions.kind == "cluster" and right != NONE_OF_THESE:
            wrong = np.append(wrong, NONE_OF_THESE)
        if skips:
            return SKIP
        return int(rng.choice(wrong)) if errs and wrong.size else right

    def answer(store: Store, questions: Questions) -> None:
        missing = store.missing(questions.round)
        choices = {position: choose(questions, position) for position in missing.tolist()}
        taken = _seconds(questions, choices, seconds)
        for start in range(0, missing.size, _BATCH):
            store.add(
                [
                    Row(
                        client_id=f"{name}:{questions.round}:{position}",
                        round=questions.round,
                        position=position,
                        annotator=name,
                        choice=choices[position],
                        seconds=taken[position],
                    )
                    for position in missing[start : start + _BATCH].tolist()
                ]
            )

    return Annotator(name, answer)


def _pair_truth(labels: np.ndarray) -> _Truth:
    def truth(questions: Questions, position: int) -> tuple[int, np.ndarray] | None:
        first, second = labels[questions.indices[position]]
        if min(first, second) < 0:
            return None
        return (SAME if first == second else DIFFERENT), np.asarray([DIFFERENT, SAME])

    return truth


def _label_truth(labels: np.ndarray) -> _Truth:
    classes = np.arange(labels.max(initial=-1) + 1)

    def truth(questions: Questions, position: int) -> tuple[int, np.ndarray] | None:
        label = int(labels[questions.indices[position]])
        return (label, classes) if label >= 0 else None

    return truth


def _grid_truth(labels: np.ndarray) -> _Truth:
    def truth(questions: Questions, position: int) -> tuple[int, np.ndarray] | None:
        label, group = labels[questions.indices[position]], int(questions.candidates[position, 0])
        if label < 0:
            return None
        return (group if label == group else NONE_OF_THESE), np.asarray([group, NONE_OF_THESE])

    return truth


def _seconds(
    questions: Questions, choices: Mapping[int, int], seconds: Mapping[QuestionKind, float]
) -> dict[int, float]:
    """What each answer takes, by position: what is usual, in grids by the strangers among them."""
    if questions.kind != "grid":
        return dict.fromkeys(choices, seconds[questions.kind])
    slower = seconds["grid"] / SECONDS["grid"]
    found: dict[int, float] = {}
    for screen in screens(questions):
        there = [position for position in screen.tolist() if position in choices]
        strangers = sum(choices[position] == NONE_OF_THESE for position in there)
        found |= dict.fromkeys(
            there, slower * grid_seconds(len(there), strangers) / max(len(there), 1)
        )
    return found


def _offered(questions: Questions, position: int) -> np.ndarray:
    candidates = questions.candidates[position]
    return candidates[candidates >= 0]


def _checked(labels: np.ndarray, error_rate: float, skip_rate: float) -> np.ndarray:
    for name, rate in (("error_rate", error_rate), ("skip_rate", skip_rate)):
        check_within(name, rate, 0, 1)
    return np.asarray(labels, np.int64)
