"""What pair answers imply: must-link and cannot-link closure with conflict detection.

Must-link is an equivalence, and a cannot-link between two samples holds between everything
linked to either ("Personalized Clustering via Targeted Representation Learning", its
propagation step). Plain NumPy and Python: it runs once a round over a few thousand answers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from idc_jax.annotate.questions import DIFFERENT, SAME
from idc_jax.errors import UserError


class Closure(NamedTuple):
    """Everything that follows from a list of pair answers.

    Attributes:
      component: int32 ``[n]``, for each sample the lowest index that it must be linked with.
      cannot: int32 ``[k, 2]``, the pairs of components (by lowest index) that differ, each once.
      accepted: bool ``[m]``, False for an answer that says neither same nor different, and for
        one that contradicts the answers before it; such an answer changes nothing.
      conflicts: int32 ``[r]``, the positions of the contradictory answers.
    """

    component: np.ndarray
    cannot: np.ndarray
    accepted: np.ndarray
    conflicts: np.ndarray


def close_links(num_samples: int, pairs: np.ndarray, choice: np.ndarray) -> Closure:
    """Close pair answers, taken in order, under transitivity.

    Args:
      num_samples: n.
      pairs: int ``[m, 2]``, sample indices.
      choice: int ``[m]``, ``SAME`` or ``DIFFERENT``; anything else is no answer.

    Returns:
      The closure. A later answer that contradicts what earlier ones imply is rejected and
      reported in ``conflicts``.

    Raises:
      UserError: shapes that do not fit, or an index outside ``0..n-1``.
    """
    pairs, choice = np.asarray(pairs), np.asarray(choice)
    _check(num_samples, pairs, choice)
    forest = _Forest(num_samples)
    add = {SAME: forest.link, DIFFERENT: forest.separate}
    accepted = np.zeros(len(choice), bool)
    conflicts = []
    for position, (first, second, said) in enumerate(
        zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), choice.tolist(), strict=True)
    ):
        if said in add:
            accepted[position] = add[said](first, second)
            if not accepted[position]:
                conflicts.append(position)
    component, cannot = forest.export()
    return Closure(component, cannot, accepted, np.asarray(conflicts, np.int32))


def block_links(closure: Closure, blocks: np.ndarray) -> np.ndarray:
    """The closure within blocks: one matrix q in {-1, 0, 1} for each.

    Args:
      closure: of all answers.
      blocks: int ``[g, b]``, the sample at each place of each block, -1 for padding.

    Returns:
      int8 ``[g, b, b]``, symmetric: 1 must-link, -1 cannot-link, 0 unknown; the diagonal and
      padding are 0.
    """
    valid = blocks >= 0
    component = np.where(valid, closure.component[np.maximum(blocks, 0)], -1)
    places = np.arange(blocks.shape[1])
    distinct = (places[:, None] != places[None, :]) & valid[:, :, None] & valid[:, None, :]
    links = ((component[:, :, None] == component[:, None, :]) & distinct).astype(np.int8)
    cannot = _cannot_matrix(closure)
    for block in np.flatnonzero(valid.any(axis=1)) if len(closure.cannot) else ():
        places = np.flatnonzero(valid[block])
        rows = component[block, places]
        links[block][np.ix_(places, places)] -= cannot[rows][:, rows].toarray()
    return links


def asked_pairs(pairs: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Which pairs within blocks were ever asked, whatever the answer.

    Args:
      pairs: int ``[m, 2]``; those of two blocks are left out.
      blocks: int ``[g, b]``, each sample at most once, -1 for padding.

    Returns:
      bool ``[g, b, b]``, symmetric.
    """
    size = max(int(blocks.max(initial=-1)), int(pairs.max(initial=-1))) + 1
    block_of, place_of = np.full(size, -1), np.full(size, -1)
    where = np.nonzero(blocks >= 0)
    block_of[blocks[where]], place_of[blocks[where]] = where
    asked = np.zeros((*blocks.shape, blocks.shape[1]), bool)
    first, second = pairs[:, 0], pairs[:, 1]
    inside = (block_of[first] == block_of[second]) & (block_of[first] >= 0)
    group, i, j = block_of[first], place_of[first], place_of[second]
    asked[group[inside], i[inside], j[inside]] = True
    asked[group[inside], j[inside], i[inside]] = True
    return asked


class _Forest:
    """Union-find by size, with the set of components that each root must stay apart from."""

    def __init__(self, size: int):
        self.parent = list(range(size))
        self.size = [1] * size
        self.apart: dict[int, set[int]] = {}

    def find(self, sample: int) -> int:
        parent = self.parent
        while parent[sample] != sample:
            parent[sample] = parent[parent[sample]]
            sample = parent[sample]
        return sample

    def link(self, first: int, second: int) -> bool:
        """Join two components; False where they are known to differ."""
        large, small = self.find(first), self.find(second)
        if large == small:
            return True
        if small in self.apart.get(large, ()):
            return False
        if self.size[large] < self.size[small]:
            large, small = small, large
        self.parent[small] = large
        self.size[large] += self.size[small]
        for other in self.apart.pop(small, set()):
            self.apart[other].discard(small)
            self._set_apart(large, other)
        return True

    def separate(self, first: int, second: int) -> bool:
        """Keep two components apart; False where they are known to be one."""
        first, second = self.find(first), self.find(second)
        if first == second:
            return False
        self._set_apart(first, second)
        return True

    def export(self) -> tuple[np.ndarray, np.ndarray]:
        roots = np.asarray([self.find(sample) for sample in range(len(self.parent))], np.int32)
        names, lowest = np.unique(roots, return_index=True)
        name_of = dict(zip(names.tolist(), lowest.tolist(), strict=True))
        component = lowest[np.searchsorted(names, roots)].astype(np.int32)
        found = {
            (min(name_of[a], name_of[b]), max(name_of[a], name_of[b]))
            for a, others in self.apart.items()
            for b in others
        }
        return component, np.asarray(sorted(found), np.int32).reshape(-1, 2)

    def _set_apart(self, first: int, second: int) -> None:
        self.apart.setdefault(first, set()).add(second)
        self.apart.setdefault(second, set()).add(first)


def _cannot_matrix(closure: Closure) -> sparse.csr_array:
    first, second = closure.cannot[:, 0], closure.cannot[:, 1]
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    size = len(closure.component)
    ones = np.ones(len(rows), np.int8)
    return sparse.csr_array((ones, (rows, columns)), shape=(size, size))


def _check(num_samples: int, pairs: np.ndarray, choice: np.ndarray) -> None:
    if pairs.ndim != 2 or pairs.shape[1] != 2 or choice.shape != pairs.shape[:1]:
        raise UserError(
            f"pairs {list(pairs.shape)} and answers {list(choice.shape)} do not fit: "
            "[m, 2] and [m] are needed"
        )
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < num_samples:
        raise UserError(
            f"pairs name samples {pairs.min()}..{pairs.max()}, but there are only "
            f"0..{num_samples - 1}"
        )
