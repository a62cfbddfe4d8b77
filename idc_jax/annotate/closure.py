"""What answers imply: must-link and cannot-link closure with conflict detection.

Must-link is an equivalence, and a cannot-link between two samples holds between everything
linked to either ("Personalized Clustering via Targeted Representation Learning", its
propagation step). Samples said to be of one group are linked, those of different groups are not.
Plain Python over what was said: each answer is entered once, whatever the number of samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from idc_jax.annotate.questions import DIFFERENT, SAME
from idc_jax.errors import UserError

# Groups from here on are clusters that a person was shown; those below are classes that somebody
# named. Groups of one family exclude each other; a class and a cluster may be the same.
CLUSTERS = 1 << 30


class Closure(NamedTuple):
    """Everything that follows from what was said.

    Attributes:
      component: int32 ``[n]``, for each sample the lowest index that it must be linked with.
      cannot: int32 ``[k, 2]``, the pairs of components (by lowest index) that were said to
        differ, each once; components of different groups differ besides.
      label: int32 ``[n]``, the class that the component was said to be of, -1 for none.
      cluster: int32 ``[n]``, likewise the cluster, a number from ``CLUSTERS`` on.
      accepted: bool ``[m]``, for each pair whether it was entered: False for one that says neither
        same nor different, and for one that contradicts what was said before; it changes nothing.
      conflicts: int32 ``[r]``, the positions of the contradictory pairs.
      refused: int32 ``[s]``, the samples whose group contradicts what was said before.
    """

    component: np.ndarray
    cannot: np.ndarray
    label: np.ndarray
    cluster: np.ndarray
    accepted: np.ndarray
    conflicts: np.ndarray
    refused: np.ndarray


def close_links(num_samples: int, pairs: np.ndarray, choice: np.ndarray) -> Closure:
    """Close pair answers, taken in order, under transitivity.

    Args:
      num_samples: n.
      pairs: int ``[m, 2]``, sample indices.
      choice: int ``[m]``, ``SAME`` or ``DIFFERENT``; anything else is not an answer.

    Returns:
      The closure. A later answer that contradicts what earlier ones imply is rejected and
      reported in ``conflicts``.

    Raises:
      UserError: shapes that do not fit, or an index outside ``0..n-1``.
    """
    links = Links(num_samples)
    links.add_pairs(pairs, choice)
    return links.closure()


class Links:
    """A closure that grows answer by answer.

    Union-find over the samples that anything was said of, with the components that each must stay
    apart from, and the groups that it is of.
    """

    def __init__(self, num_samples: int) -> None:
        """Begin with nothing said of ``num_samples`` samples."""
        self._num_samples = num_samples
        self._parent: dict[int, int] = {}
        self._size: dict[int, int] = {}
        self._apart: dict[int, set[int]] = {}
        # The groups of each root, at most one of either family, and a sample of each group.
        self._groups: dict[int, dict[bool, int]] = {}
        self._anchor: dict[int, int] = {}
        self._accepted: list[bool] = []
        self._conflicts: list[int] = []
        self._refused: list[int] = []

    def add_pairs(self, pairs: np.ndarray, choice: np.ndarray) -> None:
        """Enter what was said of ``pairs`` ``[m, 2]``, in order; see :func:`close_links`."""
        pairs, choice = np.asarray(pairs), np.asarray(choice)
        _check(self._num_samples, pairs, choice)
        add = {SAME: self._link, DIFFERENT: self._separate}
        for (first, second), said in zip(pairs.tolist(), choice.tolist(), strict=True):
            told = said in add
            accepted = told and add[said](first, second)
            if told and not accepted:
                self._conflicts.append(len(self._accepted))
            self._accepted.append(accepted)

    def add_groups(self, samples: np.ndarray, groups: np.ndarray) -> None:
        """Enter that ``samples`` ``[m]`` are of ``groups`` ``[m]``, numbers from 0 on."""
        for sample, group in zip(samples.tolist(), groups.tolist(), strict=True):
            if not self._name(sample, group):
                self._refused.append(sample)

    def closure(self) -> Closure:
        """All that follows from what was entered so far."""
        touched = np.fromiter(self._parent, np.int64, len(self._parent))
        roots = np.asarray([self._find(sample) for sample in self._parent], np.int64)
        lowest = dict.fromkeys(roots.tolist(), self._num_samples)
        for sample, root in zip(touched.tolist(), roots.tolist(), strict=True):
            lowest[root] = min(lowest[root], sample)
        component = np.arange(self._num_samples, dtype=np.int32)
        component[touched] = [lowest[root] for root in roots.tolist()]
        named = np.full((2, self._num_samples), -1, np.int32)
        for family in (False, True):
            named[int(family), touched] = [
                self._groups.get(root, {}).get(family, -1) for root in roots.tolist()
            ]
        cannot = {
            (min(lowest[a], lowest[b]), max(lowest[a], lowest[b]))
            for a, others in self._apart.items()
            for b in others
        }
        return Closure(
            component=component,
            cannot=np.asarray(sorted(cannot), np.int32).reshape(-1, 2),
            label=named[0],
            cluster=named[1],
            accepted=np.asarray(self._accepted, bool),
            conflicts=np.asarray(self._conflicts, np.int32),
            refused=np.asarray(self._refused, np.int32),
        )

    def _find(self, sample: int) -> int:
        parent = self._parent
        if sample not in parent:
            parent[sample], self._size[sample] = sample, 1
        while parent[sample] != sample:
            parent[sample] = parent[parent[sample]]
            sample = parent[sample]
        return sample

    def _link(self, first: int, second: int) -> bool:
        """Join two components; False where they are known to differ."""
        large, small = self._find(first), self._find(second)
        if large == small:
            return True
        if self._differ(large, small):
            return False
        if self._size[large] < self._size[small]:
            large, small = small, large
        self._parent[small] = large
        self._size[large] += self._size[small]
        for other in self._apart.pop(small, set()):
            self._apart[other].discard(small)
            self._set_apart(large, other)
        if small in self._groups:
            self._groups.setdefault(large, {}).update(self._groups.pop(small))
        return True

    def _separate(self, first: int, second: int) -> bool:
        """Keep two components apart; False where they are known to be one."""
        first, second = self._find(first), self._find(second)
        if first == second:
            return False
        self._set_apart(first, second)
        return True

    def _name(self, sample: int, group: int) -> bool:
        """Make ``sample``'s component one of ``group``; False where it is of another."""
        root, family = self._find(sample), group >= CLUSTERS
        if self._groups.get(root, {}).get(family, group) != group:
            return False
        if group in self._anchor:
            return self._link(sample, self._anchor[group])
        self._anchor[group] = sample
        self._groups.setdefault(root, {})[family] = group
        return True

    def _differ(self, first: int, second: int) -> bool:
        ours, theirs = self._groups.get(first, {}), self._groups.get(second, {})
        return second in self._apart.get(first, ()) or any(
            ours[family] != theirs[family] for family in ours.keys() & theirs.keys()
        )

    def _set_apart(self, first: int, second: int) -> None:
        self._apart.setdefault(first, set()).add(second)
        self._apart.setdefault(second, set()).add(first)


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
    for named in (closure.label, closure.cluster):
        group = np.where(valid, named[np.maximum(blocks, 0)], -1)
        both = (group[:, :, None] >= 0) & (group[:, None, :] >= 0)
        links[both & (group[:, :, None] != group[:, None, :])] = -1
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
            "they must be [m, 2] and [m]"
        )
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < num_samples:
        raise UserError(
            f"pairs name samples {pairs.min()}..{pairs.max()}, but there are only "
            f"0..{num_samples - 1}"
        )
