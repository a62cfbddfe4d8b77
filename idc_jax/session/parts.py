"""What a session returns, and what it was begun with."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.questions import QuestionKind
from idc_jax.methods.contract import OWN


class Settings(NamedTuple):
    """What a session was begun with; see :class:`~idc_jax.session.Session`.

    Attributes:
      num_clusters: groups that it began with.
      method, seed, options: as they were given.
      candidates: the numbers of clusters that were weighed and the stability of each, where none
        was given.
      questions: the kinds that may be asked.
    """

    num_clusters: int
    method: str
    seed: int
    options: dict[str, Any]
    candidates: dict[str, list[float]] | None = None
    questions: str = OWN


class Batch(NamedTuple):
    """Questions.

    Attributes:
      kind: ``"label"`` (what is this?), ``"cluster"`` (which of these?), ``"pair"`` (same?) or
        ``"grid"`` (is it of this group?).
      indices: int32 ``[m]``, the samples; ``[m, 2]`` for pairs.
      ids: what they are called, the keys of :meth:`Session.answer`; pairs of them for pairs.
      values: float32 ``[m]``, what the method thought each question worth.
      candidates: int32 ``[m, t]``, the clusters that may be answered, -1 where there are fewer;
        ``[m, 1]`` for grids, the id of the group; ``[m, 0]`` for other kinds.
    """

    kind: QuestionKind
    indices: np.ndarray
    ids: tuple[Hashable, ...]
    values: np.ndarray
    candidates: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


class Group(NamedTuple):
    """A group of the clustering.

    Attributes:
      name: as people called it; ``"cluster 3"`` where nobody has.
      size: samples that are predicted to be of it.
      answered: samples that people said to be of it.
    """

    name: str
    size: int
    answered: int
