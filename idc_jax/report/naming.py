"""What the groups of a run are called, by what people said of their samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from idc_jax.annotate.closure import CLUSTERS
from idc_jax.annotate.evidence import gather
from idc_jax.annotate.questions import UNASKED
from idc_jax.report.answers import Round


def cluster_names(count: int) -> tuple[str, ...]:
    """What ``count`` groups are called that nobody has named."""
    return tuple(f"cluster {group}" for group in range(count))


def name_groups(
    group: np.ndarray, said: np.ndarray, class_names: Sequence[str], count: int
) -> tuple[str, ...]:
    """Call each group what people called its samples.

    Args:
      group: int ``[n]``, the group of each sample.
      said: int ``[n]``, the class that each was said to be of, negative for none.
      class_names: one name per class id; a class beyond them is called by its id.
      count: c, the number of groups.

    Returns:
      ``[c]`` names; "cluster 3" and so on for a group that no class fits.
    """
    return _names_of(_match(group, said, count), class_names)


def group_names(
    rounds: Sequence[Round], probabilities: np.ndarray, class_names: Sequence[str]
) -> tuple[str, ...]:
    """What people called each cluster; see :func:`name_groups`.

    Args:
      rounds: the questions and answers of every round.
      probabilities: ``[n, c]``.
      class_names: one name per class id.

    Returns:
      ``[c]`` names.
    """
    said, _ = _said(rounds, len(probabilities))
    return name_groups(probabilities.argmax(1), said, class_names, probabilities.shape[1])


class Standing(NamedTuple):
    """Where each sample stands: where people said, else where it is predicted to be.

    Attributes:
      group: int ``[n]``, the number of its cluster; groups that people named and no cluster
        stands for have the numbers behind.
      confidence: ``[n]``, the probability of its cluster, 1 where people said it.
      names: what the groups are called.
    """

    group: np.ndarray
    confidence: np.ndarray
    names: tuple[str, ...]


def stand(
    rounds: Sequence[Round], probabilities: np.ndarray, class_names: Sequence[str]
) -> Standing:
    """Put every sample into its group; the arguments are those of :func:`group_names`."""
    group = probabilities.argmax(1)
    said, known = _said(rounds, len(group))
    ids = _match(group, said, probabilities.shape[1])
    told = known >= 0
    ids = np.concatenate([ids, np.setdiff1d(known[told], ids)])
    number = {id_: at for at, id_ in enumerate(ids.tolist())}
    group[told] = [number[id_] for id_ in known[told].tolist()]
    confidence = np.where(told, 1.0, probabilities.max(1))
    return Standing(group, confidence, _names_of(ids, class_names))


def _said(rounds: Sequence[Round], size: int) -> tuple[np.ndarray, np.ndarray]:
    """The class that people said of each sample, and that or what follows: ``[n]`` both.

    Negative for none.
    """
    evidence = gather(size, rounds)
    said = evidence.group
    known = np.where(said >= 0, said, evidence.closure.label)
    return np.where(said < CLUSTERS, said, UNASKED), np.where(known < CLUSTERS, known, UNASKED)


def _match(group: np.ndarray, said: np.ndarray, count: int) -> np.ndarray:
    """The class of each group, -1 for none: int ``[c]``.

    A class is of one group: all are matched so that as many answers as possible fit.
    """
    known = np.flatnonzero(said >= 0)
    # Ids may be any numbers.
    labels, column = np.unique(said[known], return_inverse=True)
    votes = np.zeros((count, len(labels)))
    np.add.at(votes, (group[known], column), 1)
    ids = np.full(count, -1, np.int64)
    for one, at in zip(*linear_sum_assignment(-votes), strict=True):
        if votes[one, at]:
            ids[one] = labels[at]
    return ids


def _names_of(ids: np.ndarray, class_names: Sequence[str]) -> tuple[str, ...]:
    unnamed = cluster_names(len(ids))
    pairs = zip(ids.tolist(), unnamed, strict=True)
    return tuple(_name_of_class(id_, class_names) if id_ >= 0 else name for id_, name in pairs)


def _name_of_class(label: int, class_names: Sequence[str]) -> str:
    """What a class is called; by its id where it has no name."""
    return class_names[label] if label < len(class_names) else f"class {label}"
