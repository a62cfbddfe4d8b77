"""Answers from elsewhere: another run's, a table, a file of arrays, another tool's export.

What is brought in becomes rounds of the store like those that were asked, so that everything else
treats it alike. A sample is found by its content, where that is known, or by its name. Bringing
the same again adds only what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from idc_jax.annotate.naming import whole
from idc_jax.annotate.questions import SKIP, Questions, label_questions, some
from idc_jax.annotate.samples import Matcher, Samples
from idc_jax.annotate.store import Row, Store
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError, representable
from idc_jax.runs.sources import Asked, Labels, Source, read_source

# The key under which a store remembers that a round was brought, and from where.
_BROUGHT = "brought:{}"
# Clusters of other runs are told from those of this one's stages by numbers from here on.
_ELSEWHERE = 512


class Brought(NamedTuple):
    """What came of a source.

    Attributes:
      taken: answers that were new, or other than before.
      known: answers that had been brought before.
      reversed: answers that had been brought before and are no longer given.
      missing: what the samples are called that are not in the data, each once.
    """

    taken: int
    known: int
    reversed: int
    missing: tuple[str, ...]

    def told(self, source: str) -> str:
        """In words, on one line."""
        words = f"answers: {self.taken} taken from {source}"
        words += f", {self.known} there already" if self.known else ""
        words += f", {self.reversed} taken back" if self.reversed else ""
        if not self.missing:
            return words
        more = ", ..." if len(self.missing) > 3 else ""
        named = ", ".join(map(representable, self.missing[:3])) + more
        return f"{words}; {len(self.missing)} samples are not in the data: {named}"


class _Found(NamedTuple):
    """What of a round, or of labels, is about samples that are here.

    Attributes:
      questions: those whose answers are new here, or None.
      rows: the answers.
      known: how many answers are here already.
      dead: rows here that the source no longer gives.
      reversed: how many of them nothing new stands for.
    """

    questions: Questions | None
    rows: list[Row]
    known: int
    dead: list[Row]
    reversed: int


def bring(
    store: Store, dataset: Dataset, identity: np.ndarray, path: str, *, max_groups: int
) -> Brought:
    """Put the answers of ``path`` into ``store`` as rounds of their own, all of them or none.

    Args:
      store: of the run.
      dataset: what it is about.
      identity: :func:`~idc_jax.data.identity.digests` of its samples, ``[n]``.
      path: see :func:`~idc_jax.runs.sources.read_source`.
      max_groups: how many groups there may be.

    Raises:
      UserError: a file that cannot be read or holds no answers, or no sample of it is here.
    """
    matcher = Matcher(Samples(dataset.names, identity))
    source = read_source(path)
    missing: dict[str, None] = {}
    with store.whole():
        names = _Names(store, dataset.class_names, max_groups)
        found = [
            _labelled(store, source.labels, matcher, names, missing),
            *(_asked(store, source, one, matcher, names, missing) for one in source.rounds),
        ]
        taken, known = sum(len(one.rows) for one in found), sum(one.known for one in found)
        dead = [row for one in found for row in one.dead]
        if not (taken or known or dead):
            raise UserError(f"no answer in {path} is about these samples; use {matcher.told()}")
        # First what no longer holds, so that nothing of it stands in the way.
        store.add(_reversal(store, row) for row in dead)
        first = max(store.rounds(), default=0) + 1
        for one in found:
            if one.questions is not None:
                _put(store, one.questions, one.rows, path, first)
    return Brought(taken, known, sum(one.reversed for one in found), tuple(missing))


def brought_rounds(store: Store) -> dict[int, int]:
    """The rounds that were brought, each with the number that tells its clusters from others."""
    found = {r: store.recall(_BROUGHT.format(r)) for r in store.rounds()}
    return {r: int(told.split(" ", 1)[0]) for r, told in found.items() if told is not None}


def brought_before(store: Store, path: str) -> int:
    """How many answers were brought from ``path`` and count."""
    told = {r: store.recall(_BROUGHT.format(r)) or "" for r in store.rounds()}
    return sum(len(store.live(r)) for r, note in told.items() if note.partition(" ")[2] == path)


def _put(store: Store, questions: Questions, rows: list[Row], path: str, first: int) -> None:
    number = max(store.rounds(), default=0) + 1
    family = _ELSEWHERE + first % (1024 - _ELSEWHERE)
    store.remember(_BROUGHT.format(number), f"{family} {path}")
    store.freeze(questions._replace(round=number))
    store.add(row._replace(round=number, position=n) for n, row in enumerate(rows))


def _reversal(store: Store, row: Row) -> Row:
    id_ = store.unused_id(f"undo {row.client_id}")
    return row._replace(client_id=id_, choice=0, seconds=0.0, undoes=row.client_id, time=0.0)


def _labelled(
    store: Store, labels: Labels, matcher: Matcher, names: _Names, missing: dict[str, None]
) -> _Found:
    """Labels by name or by number, one round of "what is this?"."""
    before = _said_before(store, labels.annotator)
    # Nothing where the source would tell, if there were something.
    wanted: dict[int, int | None] = dict.fromkeys(before) if labels.complete else {}
    of_class = names.numbers(labels)
    for where, group in labels.rows:
        sample = matcher.find(where)
        if sample is not None:
            wanted[sample] = None if group is None else names.number(of_class(group), sample)
        elif group is not None:
            missing[str(where)] = None
    given = {sample: choice for sample, choice in wanted.items() if choice is not None}
    new = {s: c for s, c in given.items() if s not in before or before[s].choice != c}
    dead = [row for s, row in before.items() if s in new or (s in wanted and s not in given)]
    reversed_ = sum(sample not in given for sample in before if sample in wanted)
    rows = [
        Row(store.unused_id(_client(matcher.digest(s), c)), 0, 0, labels.annotator, c)
        for s, c in new.items()
    ]
    indices = np.fromiter(new, np.int32, len(new))
    questions = label_questions(0, indices, np.zeros(len(new))) if new else None
    return _Found(questions, rows, len(given) - len(new), dead, reversed_)


def _said_before(store: Store, annotator: str) -> dict[int, Row]:
    """What was brought of each sample in the name of ``annotator`` and counts."""
    found = {}
    for number in brought_rounds(store):
        questions = store.questions(number)
        assert questions is not None
        for row in store.live(number):
            if row.annotator == annotator and questions.kind == "label":
                found[int(questions.indices[row.position])] = row
    return found


def _asked(
    store: Store,
    source: Source,
    asked: Asked,
    matcher: Matcher,
    names: _Names,
    missing: dict[str, None],
) -> _Found:
    """A round of another run, its samples found here."""
    here = asked.here(matcher, missing)
    rows = [row for row in asked.rows if here.here[row.position] and row.choice != SKIP]
    stands = {(row.annotator, row.position) for row in rows}
    there = {row.client_id: row for row in asked.dead}
    dead = [(row, store.counted(f"brought {id_}")) for id_, row in there.items()]
    reversed_ = [row for row, ours in dead if ours and (row.annotator, row.position) not in stands]
    kept = [row._replace(client_id=f"brought {row.client_id}") for row in rows]
    new = [row for row in kept if store.find(row.client_id) is None]
    if here.kind == "label":
        meant = [names.number(source.named(r.choice), int(here.indices[r.position])) for r in new]
        new = [row._replace(choice=choice) for row, choice in zip(new, meant, strict=True)]
    return _Found(
        some(here, [row.position for row in new]) if new else None,
        new,
        len(kept) - len(new),
        [ours for _, ours in dead if ours],
        len(reversed_),
    )


class _Names:
    """Class ids by name: the data's own classes, or groups as people name them."""

    def __init__(self, store: Store, class_names: Sequence[str], limit: int) -> None:
        self._store, self._limit, self._class_names = store, limit, class_names
        self._known: dict[str, int] = {}
        self._taken: frozenset[int] = frozenset()

    def numbers(self, labels: Labels) -> Callable[[str | int], str | int]:
        """How the numbers in ``labels`` are meant: where all are names of classes, as those."""
        ids = {group for _, group in labels.rows if isinstance(group, int)}
        self._taken = frozenset(ids)
        if ids and ids <= {whole(name) for name in self._class_names}:
            return str
        return lambda group: group

    def number(self, group: str | int, exemplar: int) -> int:
        """The id of ``group``, which may be named for ``exemplar``; a number is its own."""
        if isinstance(group, int):
            return group
        if group not in self._known:
            named = self._store.name_group(
                f"brought {group}",
                group,
                exemplar,
                limit=self._limit,
                class_names=self._class_names,
                taken=self._taken,
                rename=False,
            )
            self._known[group] = named.id
        return self._known[group]


def _client(digest: int, choice: int) -> str:
    return "brought " + hashlib.blake2b(f"{digest} {choice}".encode(), digest_size=12).hexdigest()
