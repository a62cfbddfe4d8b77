"""Which samples the questions in a run's folder are about, as the data change.

Questions name samples by their numbers. A folder keeps what the numbers stand for: what each sample
holds, as a digest, and what it is called. Where samples came, went or moved, it keeps what they
stood for before, and the questions of that time are read in today's numbers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from idc_jax.annotate.store import Numbers, Store
from idc_jax.errors import UserError, representable

# The samples of today, and those of the rounds up to one.
NOW, _UNTIL = "samples.npz", "samples_until_round_{}.npz"
# Of the samples whose names are known, so many must hold what they held for the others, which
# hold something else, to be taken for other samples.
_KEPT = 0.5


class Samples(NamedTuple):
    """What numbers stand for.

    Attributes:
      names: what each is called, or empty.
      digests: uint64 ``[n]``, of what each holds, or empty where nobody kept them.
    """

    names: tuple[str, ...]
    digests: np.ndarray


class Matcher:
    """Finds samples by what they are called or what they hold."""

    def __init__(self, samples: Samples) -> None:
        """Look among ``samples``."""
        self._samples = samples
        self._names = _by_tails(samples.names)
        # What was followed, by identity: many rounds are about the same samples.
        self._followed: dict[int, tuple[Samples, np.ndarray]] = {}

    def find(self, where: str | int) -> int | None:
        """The number of the sample that is called ``where``; None where there is none.

        A path may begin with other folders than the samples' names, as long as its end tells.
        """
        if isinstance(where, str) and self._names:
            tails = (tail for text in (where, representable(where)) for tail in _tails(text))
            return next((self._names[tail] for tail in tails if tail in self._names), None)
        number = int(where) if str(where).strip().isdecimal() else -1
        return number if 0 <= number < len(self._samples.digests) else None

    def digest(self, sample: int) -> int:
        """The digest of a sample."""
        return int(self._samples.digests[sample])

    def told(self) -> str:
        """What samples are called here."""
        if not self._samples.names:
            return f"numbers from 0 to {len(self._samples.digests) - 1}"
        return f"names such as {representable(self._samples.names[0])!r}"

    def follow(self, before: Samples) -> np.ndarray:
        """Where the samples of ``before`` are here, int32 ``[m]``, -1 for those that are not.

        What holds the same is the same, and among those that hold the same what is called the
        same. Else names tell, unless most of what kept its name holds what it held: then the others
        were replaced. Where nobody kept what samples held or were called, their numbers do.
        """
        if id(before) not in self._followed:
            self._followed[id(before)] = before, self._follow(before)
        return self._followed[id(before)][1]

    def _follow(self, before: Samples) -> np.ndarray:
        size = len(self._samples.digests)
        if not len(before.digests) and not before.names:
            return np.arange(size, dtype=np.int32)
        named = np.full(max(len(before.digests), len(before.names)), -1, np.int32)
        if self._names:
            found = (self.find(name) for name in before.names)
            named[: len(before.names)] = [-1 if n is None else n for n in found]
            # Two whose names end alike may both seem to be one.
            twice = np.bincount(named[named >= 0], minlength=size) > 1
            named[(named >= 0) & twice[named]] = -1
        if not len(before.digests):
            return named
        same = (named >= 0) & (self._samples.digests[named] == before.digests)
        where = _paired(np.where(same, named, -1), before.digests, self._samples.digests)
        free = np.ones(size, bool)
        free[where[where >= 0]] = False
        other = (where < 0) & (named >= 0) & free[named]
        if same.sum() < _KEPT * (same.sum() + other.sum()):
            where[other] = named[other]
        return where


def _paired(where: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """``where`` ``[m]``, and for those without a place the next that holds the same."""
    left = np.flatnonzero(where < 0)
    free = np.setdiff1d(np.arange(len(now)), where)
    _, ids = np.unique(np.concatenate([before[left], now[free]]), return_inverse=True)
    keys = _counted(ids[: len(left)]), _counted(ids[len(left) :])
    _, one, other = np.intersect1d(*keys, return_indices=True)
    where = where.astype(np.int32)
    where[left[one]] = free[other]
    return where


def _counted(ids: np.ndarray) -> np.ndarray:
    """Each of ``ids`` ``[m]`` and how many of its kind stand before it, in one number."""
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    first = np.searchsorted(ranked, ranked)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids)) - first
    return (ids.astype(np.int64) << 32) | rank


def _tails(path: str) -> list[str]:
    """A path, and what is left of it without its first folders, longest first."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _by_tails(names: Sequence[str]) -> dict[str, int | None]:
    """Which sample a name or its end means; None where it may mean several."""
    found: dict[str, int | None] = {}
    for index, name in enumerate(names):
        for tail in _tails(name)[1:]:
            found[tail] = None if tail in found else index
    # As it is shown, where that is not as it is.
    found |= {representable(name): index for index, name in enumerate(names)}
    return found | {name: index for index, name in enumerate(names)}


def read_samples(path: Path) -> Samples:
    """What a folder keeps in a file; nothing where there is none.

    Raises:
      UserError: it cannot be read.
    """
    if not path.exists():
        return Samples((), np.zeros(0, np.uint64))
    try:
        # Opened here: NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file, np.load(file) as saved:
            names, digests = tuple(saved["names"].tolist()), saved["digests"]
    except Exception as error:  # Whatever a damaged file can lead to.
        # It may quote all of the file.
        raise UserError(f"cannot read {path}: {str(error) or 'it is damaged':.100}") from error
    if digests.dtype != np.uint64 or digests.ndim != 1 or len(names) not in (0, len(digests)):
        raise UserError(f"cannot read {path}: its names and digests do not fit together")
    return Samples(names, digests)


def samples_by_round(folder: Path) -> Callable[[int], Samples]:
    """Tells of a round in ``folder`` what the numbers in its questions stand for."""
    eras, read = _eras(folder), functools.cache(read_samples)
    return lambda number: read(next((p for last, p in eras if number <= last), folder / NOW))


def numbers_of(folder: Path) -> Numbers:
    """Tells of a round in ``folder`` where its samples are today; see :class:`Store`."""
    eras = _eras(folder)
    found: dict[Path, np.ndarray] = {}

    def numbers(round_: int) -> np.ndarray | None:
        path = next((path for until, path in eras if round_ <= until), None)
        if path is None:
            return None
        if path not in found:
            found[path] = Matcher(read_samples(folder / NOW)).follow(read_samples(path))
        return found[path]

    return numbers


def open_store(folder: Path) -> Store:
    """The store of answers in ``folder``, its questions in today's numbers."""
    return Store(folder / "answers.db", numbers=numbers_of(folder))


def former(folder: Path, last_round: int) -> Path:
    """Where what numbers stood for up to ``last_round`` is kept once that is over."""
    return folder / _UNTIL.format(last_round)


def _eras(folder: Path) -> list[tuple[int, Path]]:
    """The last round of each time that is over, and what its numbers stood for."""
    pattern = re.compile(re.escape(_UNTIL).replace(r"\{\}", r"([0-9]+)"))
    names = ((pattern.fullmatch(path.name), path) for path in folder.glob(_UNTIL.format("*")))
    return sorted((int(match[1]), path) for match, path in names if match)
