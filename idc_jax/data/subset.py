"""A smaller data set for short runs."""

from typing import Literal

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.errors import UserError

SubsetKind = Literal["stratified", "random"]


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
    """Keep ``count`` samples, in their original order.

    Args:
      dataset: what to choose from.
      count: how many to keep; all where there are no more.
      kind: ``"stratified"`` takes the first of every class in turn, so that class sizes differ by
        one at most while classes last (the first ``count`` where there are no labels);
        ``"random"`` draws without replacement.
      seed: of the random draw.

    Raises:
      UserError: ``count`` below 1 or an unknown ``kind``.
    """
    if count < 1:
        raise UserError(f"a limit of {count} samples leaves nothing: use at least 1")
    if kind not in ("stratified", "random"):
        raise UserError(f"unknown subset {kind!r}: use 'stratified' or 'random'")
    if count >= dataset.size:
        return dataset
    if kind == "random":
        chosen = np.random.default_rng(seed).choice(dataset.size, count, replace=False)
    else:
        chosen = _round_robin(dataset)[:count]
    return take(dataset, np.sort(chosen))


def _round_robin(dataset: Dataset) -> np.ndarray:
    """All indices, ordered by how many of their own class come before them."""
    if dataset.labels is None:
        return np.arange(dataset.size)
    by_class = np.argsort(dataset.labels, kind="stable")
    counts = np.bincount(dataset.labels)
    starts = np.cumsum(counts) - counts
    rank = np.empty(dataset.size, np.int64)
    rank[by_class] = np.arange(dataset.size) - starts[dataset.labels[by_class]]
    return np.argsort(rank, kind="stable")
