"""What a run found, as one table: a row for each sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from idc_jax.errors import UserError, representable
from idc_jax.report.naming import cluster_names

COLUMNS = ("path", "group", "name", "confidence", "answered_by", "answer")
"""The columns of an exported table."""


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
        raise UserError(f"probabilities are {list(probabilities.shape)}; they must be [n, c]")
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
            raise UserError(f"{came} {field} for probabilities {[n, c]}; there must be {wanted}")
    return table
