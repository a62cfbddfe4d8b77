"""A smaller data set for short runs."""

from typing import Literal, NamedTuple

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.errors import UserError

SubsetKind = Literal["stratified", "random"]


class Limit(NamedTuple):
    """How many samples to keep, and which.

    Attributes:
      most: so many; all where there are no more.
      kind: ``"stratified"`` takes the first of every class in turn, so that class sizes differ by
        one at most while classes last (the first ``count`` where there are no labels);
        ``"random"`` draws without replacement.
      seed: of the random draw.
    """

    most: int
    kind: SubsetKind = "stratified"
    seed: int = 0


def take(dataset: Dataset, indices: np.ndarray) -> Dataset:
    """Return the samples at ``indices`` ``[m]``, in that order; the class ids stay as they are."""
    labels = dataset.labels
    return dataset._replace(
        inputs=dataset.inputs[indices],
        labels=None if labels is None else labels[indices],
        names=tuple(dataset.names[i] for i in indices) if dataset.names else (),
        train=dataset.train[indices],
    )


def limit(dataset: Dataset, count: int, kind: SubsetKind, seed: int) -> Dataset:
    """Keep ``count`` samples, in their original order; see :class:`Limit`.

    Raises:
      UserError: ``count`` below 1 or an unknown ``kind``.
    """
    chosen = choose(Limit(count, kind, seed), dataset.size, dataset.labels)
    return dataset if len(chosen) == dataset.size else take(dataset, chosen)


def check_limit(wanted: Limit) -> None:
    """Refuse what keeps nothing.

    Raises:
      UserError: ``count`` below 1 or an unknown ``kind``.
    """
    if wanted.most < 1:
        raise UserError(f"a limit of {wanted.most} samples leaves nothing: use at least 1")
    if wanted.kind not in ("stratified", "random"):
        raise UserError(f"unknown subset {wanted.kind!r}: use 'stratified' or 'random'")


def choose(wanted: Limit | None, size: int, labels: np.ndarray | None) -> np.ndarray:
    """Which of ``size`` samples to keep, before anything but their labels is read.

    Args:
      wanted: how many; None for all.
      size: n.
      labels: int ``[n]``, -1 where unknown, which counts as a class here; or None.

    Returns:
      int64 ``[m]``, ascending.

    Raises:
      UserError: as for :func:`limit`.
    """
    if wanted is None:
        return np.arange(size)
    check_limit(wanted)
    if wanted.most >= size:
        return np.arange(size)
    if wanted.kind == "random":
        drawn = np.random.default_rng(wanted.seed).choice(size, wanted.most, replace=False)
        return np.sort(drawn)
    return np.sort(_round_robin(size, labels)[: wanted.most])


def keep(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The rows ``chosen`` of ``array``; itself, and no copy, where that is all of them."""
    return array if len(chosen) == len(array) else array[chosen]


def _round_robin(size: int, labels: np.ndarray | None) -> np.ndarray:
    """All indices, ordered by how many of their own class come before them."""
    if labels is None:
        return np.arange(size)
    labels = labels + 1
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    rank = np.empty(size, np.int64)
    rank[by_class] = np.arange(size) - starts[labels[by_class]]
    return np.argsort(rank, kind="stable")
