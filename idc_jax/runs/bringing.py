"""Answers from elsewhere: another run's, a table, a file of arrays, another tool's export.

What is brought in becomes rounds of the store like those that were asked, so that everything else
treats it alike. A sample is found by its content, where that is known, or by its name. Bringing
the same again adds only what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from idc_jax.annotate.questions import SKIP, Questions, label_questions
from idc_jax.annotate.store import Row, Store
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError
from idc_jax.runs.sources import Labels, Matcher, Source, read_source

# The key under which a store remembers that a round was brought, and from where.
_BROUGHT = "brought:{}"
# Clusters of other runs are told from those of this one's stages by numbers from here on.
_ELSEWHERE = 512


class Brought(NamedTuple):
    """What came of a source.

    Attributes:
      taken: answers that were new.
      known: answers that had been brought before.
      missing: what the samples are called that are not in the data, each once.
    """

    taken: int
    known: int
    missing: tuple[str, ...]

    def told(self, source: str) -> str:
        """In words, on one line."""
        words = f"answers: {self.taken} taken from {source}"
        words += f", {self.known} there already" if self.known else ""
        if not self.missing:
            return words
        shown = ", ".join(self.missing[:3]) + (", ..." if len(self.missing) > 3 else "")
        return f"{words}; {len(self.missing)} samples are not in the data: {shown}"


def bring(
    store: Store, dataset: Dataset, identity: np.ndarray, path: str, *, max_groups: int
) -> Brought:
    """Put the answers of ``path`` into ``store`` as rounds of their own.

    Args:
      store: of the run.
      dataset: what it is about.
      identity: :func:`~idc_jax.data.identity.digests` of its samples, ``[n]``.
      path: see :func:`~idc_jax.runs.sources.read_source`.
      max_groups: how many groups there may be.

    Raises:
      UserError: a file that cannot be read or holds no answers, or no sample of it is here.
    """
    matcher = Matcher(dataset.names, identity)
    source = read_source(path)
    missing: dict[str, None] = {}
    rounds = [
        *_labelled(store, source.labels, dataset, matcher, max_groups, missing),
        *_asked(store, source, matcher, max_groups, missing),
    ]
    total = sum(len(rows) for _, rows in rounds)
    if not total:
        raise UserError(f"no answer in {path} is about these samples; {matcher.told()} would do")
    first, taken = max(store.rounds(), default=0) + 1, 0
    for questions, rows in rounds:
        new = [n for n, row in enumerate(rows) if store.find(row.client_id) is None]
        taken += len(new)
        if new:
            _put(store, _some(questions, new), [rows[n] for n in new], path, first)
    return Brought(taken, total - taken, tuple(missing))


def brought_rounds(store: Store) -> dict[int, int]:
    """The rounds that were brought, each with the number that tells its clusters from others."""
    found = {r: store.recall(_BROUGHT.format(r)) for r in store.rounds()}
    return {r: int(told.split(" ", 1)[0]) for r, told in found.items() if told is not None}


def _put(store: Store, questions: Questions, rows: list[Row], path: str, first: int) -> None:
    round_ = max(store.rounds(), default=0) + 1
    family = _ELSEWHERE + first % (1024 - _ELSEWHERE)
    # The note first: a round without its rows is brought again, a round without the note is asked.
    store.remember(_BROUGHT.format(round_), f"{family} {path}")
    store.freeze(questions._replace(round=round_))
    store.add(row._replace(round=round_, position=n) for n, row in enumerate(rows))


def _some(questions: Questions, kept: Sequence[int]) -> Questions:
    """The ``kept`` of the questions."""
    by_row = ("indices", "candidates", "values", "roles")
    return questions._replace(**{name: getattr(questions, name)[list(kept)] for name in by_row})


def _labelled(
    store: Store,
    labels: Labels,
    dataset: Dataset,
    matcher: Matcher,
    max_groups: int,
    missing: dict[str, None],
) -> list[tuple[Questions, list[Row]]]:
    """Labels by name or by number, one round of "what is this?"."""
    found: dict[int, int] = {}
    names = _Names(store, dataset.class_names, max_groups)
    for where, group in labels.rows:
        sample = matcher.find(where)
        if sample is None:
            missing[str(where)] = None
        else:
            found[sample] = names.number(group, sample)
    if not found:
        return []
    indices = np.fromiter(found, np.int32, len(found))
    rows = [
        Row(_client(matcher.digest(sample), choice), 0, 0, labels.annotator, choice)
        for sample, choice in found.items()
    ]
    return [(label_questions(0, indices, np.zeros(len(indices))), rows)]


def _asked(
    store: Store, source: Source, matcher: Matcher, max_groups: int, missing: dict[str, None]
) -> list[tuple[Questions, list[Row]]]:
    """The rounds of another run, its samples found here."""
    found = []
    names = _Names(store, (), max_groups)
    for questions, rows in source.rounds:
        here = source.here(questions, matcher, missing)
        asked = here.indices.reshape(len(here.indices), -1)
        kept = [row for row in rows if (asked[row.position] >= 0).all() and row.choice != SKIP]
        kept = [row._replace(client_id=f"brought {row.client_id}") for row in kept]
        if here.kind == "label":
            meant = [names.number(source.named(row.choice), asked[row.position, 0]) for row in kept]
            kept = [row._replace(choice=m) for row, m in zip(kept, meant, strict=True)]
        if kept:
            found.append((_some(here, [row.position for row in kept]), kept))
    return found


class _Names:
    """Class ids by name: the data's own classes, or groups as people name them."""

    def __init__(self, store: Store, class_names: Sequence[str], limit: int) -> None:
        self._store, self._limit = store, limit
        self._known = {name: number for number, name in enumerate(class_names)}
        self._known |= {group.name: group.id for group in store.groups()}

    def number(self, group: str | int, exemplar: int) -> int:
        """The id of ``group``, which may be named for ``exemplar``; a number is its own."""
        if isinstance(group, int):
            return group
        if group not in self._known:
            key = f"brought {group}"
            named = self._store.name_group(key, group, int(exemplar), limit=self._limit)
            self._known[group] = named.id
        return self._known[group]


def _client(digest: int, choice: int) -> str:
    return "brought " + hashlib.blake2b(f"{digest} {choice}".encode(), digest_size=12).hexdigest()
