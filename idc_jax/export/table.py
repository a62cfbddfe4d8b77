"""What a run found, as one table: a row for each sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from idc_jax.errors import UserError, representable

COLUMNS = ("path", "group", "name", "confidence", "answered_by", "answer")


class Row(NamedTuple):
    """One sample, in the order of ``COLUMNS``."""

    path: str
    group: int
    name: str
    confidence: float
    answered_by: str
    answer: str


class Table(NamedTuple):
    """All samples, in the data set's order.

    Attributes:
      paths: ``[n]``, each sample's file, or its index where it has none.
      group: int32 ``[n]``, the group of each.
      names: ``[c]``, what each group is called.
      confidence: float ``[n]``, the probability of the group.
      answered_by: ``[n]``, who was asked about each, several joined by "; ", or empty.
      answer: ``[n]``, what was said of each, likewise.
    """

    paths: tuple[str, ...]
    group: np.ndarray
    names: tuple[str, ...]
    confidence: np.ndarray
    answered_by: tuple[str, ...]
    answer: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.paths)

    def rows(self) -> Iterator[Row]:
        """The samples, one after the other, as they are written; confidences to six digits."""
        for path, group, confidence, by, answer in zip(
            self.paths,
            self.group.tolist(),
            self.confidence.tolist(),
            self.answered_by,
            self.answer,
            strict=True,
        ):
            written = representable(path)
            yield Row(written, group, self.names[group], round(confidence, 6), by, answer)


def make_table(
    probabilities: np.ndarray,
    *,
    paths: Sequence[str] = (),
    names: Sequence[str] = (),
    answered_by: Sequence[str] = (),
    answer: Sequence[str] = (),
) -> Table:
    """Build the table from a prediction.

    Args:
      probabilities: ``[n, c]``.
      paths: each sample's file ``[n]``; empty for the indices.
      names: what the groups are called ``[c]``; empty for "cluster 0" and so on.
      answered_by: who was asked about each sample ``[n]``; empty for nobody.
      answer: what was said of each ``[n]``; empty for nothing.

    Raises:
      UserError: lengths that do not fit.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise UserError(f"probabilities are {list(probabilities.shape)}; [n, c] would do")
    n, c = probabilities.shape
    blank = ("",) * n
    table = Table(
        paths=tuple(paths) or tuple(map(str, range(n))),
        group=probabilities.argmax(1).astype(np.int32),
        names=tuple(names) or cluster_names(c),
        confidence=probabilities.max(1),
        answered_by=tuple(answered_by) or blank,
        answer=tuple(answer) or blank,
    )
    for field, wanted in (("paths", n), ("names", c), ("answered_by", n), ("answer", n)):
        if len(getattr(table, field)) != wanted:
            came = len(getattr(table, field))
            raise UserError(f"{came} {field} came for probabilities {[n, c]}; {wanted} would do")
    return table


def cluster_names(count: int) -> tuple[str, ...]:
    """What ``count`` groups are called that nobody has named."""
    return tuple(f"cluster {group}" for group in range(count))


def name_groups(
    group: np.ndarray, said: np.ndarray, class_names: Sequence[str], count: int
) -> tuple[str, ...]:
    """Call each group what people called its samples.

    A class names one group: all are matched so that as many answers as possible fit.

    Args:
      group: int ``[n]``, the group of each sample.
      said: int ``[n]``, the class that each was said to be of, negative for none.
      class_names: one name per class id; a class beyond them is called by its id.
      count: c, the number of groups.

    Returns:
      ``[c]`` names; "cluster 3" and so on for a group that no class fits.
    """
    known = np.flatnonzero(said >= 0)
    # Ids may be any numbers.
    labels, column = np.unique(said[known], return_inverse=True)
    votes = np.zeros((count, len(labels)))
    np.add.at(votes, (group[known], column), 1)
    names = list(cluster_names(count))
    for one, at in zip(*linear_sum_assignment(-votes), strict=True):
        if votes[one, at]:
            names[one] = _name_of_class(int(labels[at]), class_names)
    return tuple(names)


def _name_of_class(label: int, class_names: Sequence[str]) -> str:
    """What a class is called; by its id where it has no name."""
    return class_names[label] if label < len(class_names) else f"class {label}"
