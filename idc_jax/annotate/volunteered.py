"""What people say without having been asked: many samples at once, or one answer set right.

A gesture is what somebody does in one go. It becomes answers like all others, written together:
those to questions that were asked are corrected where they stand, and what nobody had asked makes
a round of its own. Every row of a gesture bears its id, so that it can be undone at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from idc_jax.annotate.questions import (
    NONE_OF_THESE,
    Questions,
    Role,
    grid_questions,
    label_questions,
)
from idc_jax.annotate.store import Row, Store

_MARK = "volunteered:"
_ROW = "gesture:{}:{}"
_SINGLE = ("label", "grid", "cluster")


class Gesture(NamedTuple):
    """Something that was done in one go.

    Attributes:
      id: made by the client.
      annotator: who did it.
      time: seconds since the epoch (UTC).
      choices: of its answers, how many name each group (by class id), or rule one out
        (``NONE_OF_THESE``).
      withdrawn: how many answers it took back.
    """

    id: str
    annotator: str
    time: float
    choices: Mapping[int, int]
    withdrawn: int


def volunteered_rounds(store: Store) -> dict[int, int]:
    """The rounds that nobody asked, each with its number of answers."""
    return {int(number): int(count) for number, count in store.recall_all(_MARK).items()}


def by_question(rows: Iterable[Row]) -> list[Row]:
    """The rows that answer one question each, by whose seconds one knows people's pace."""
    return [row for row in rows if not row.client_id.startswith("gesture:")]


def gestures(store: Store) -> list[Gesture]:
    """All that was ever done, in its order."""
    rows: dict[str, list[Row]] = {}
    for row in store.rows():
        if row.client_id.startswith("gesture:"):
            rows.setdefault(row.client_id.split(":")[1], []).append(row)
    return [_gesture(id_, found) for id_, found in rows.items()]


def _gesture(id_: str, rows: Sequence[Row]) -> Gesture:
    choices = Counter(row.choice for row in rows if not row.undoes)
    withdrawn = len(rows) - choices.total()
    return Gesture(id_, rows[0].annotator, rows[0].time, choices, withdrawn)


def written_by(store: Store, gesture: str) -> str | None:
    """Who wrote the answers of ``gesture``; None where there are none."""
    first = store.find(_ROW.format(gesture, 0))
    return None if first is None else first.annotator


class Hand:
    """One gesture of one person, as it is written; use it within :meth:`Store.whole`."""

    def __init__(self, store: Store, gesture: str, annotator: str, seconds: float) -> None:
        """Begin ``gesture``, which took ``seconds`` in all."""
        self._store, self._gesture, self._annotator = store, gesture, annotator
        self._seconds = seconds
        self._rows: list[Row] = []
        self._written = 0

    def say(self, samples: Sequence[int], group: int) -> None:
        """``samples`` are of ``group``, a class id."""
        asked = _last_asked(self._store, samples)
        mine = self._own(samples)
        new = []
        for sample in samples:
            at = asked.get(sample)
            stands = at if at and at.kind == "label" else None
            for row, found in mine.get(sample, ()):
                same = stands and (found.round, found.position) == (stands.round, stands.position)
                if not same and _contradicts(row, found, group):
                    self._reverse(row)
            if stands is None:
                new.append(sample)
            elif not any(row.choice == group and f == stands for row, f in mine.get(sample, ())):
                self._answer(stands.round, stands.position, group)
        if new:
            indices, values = np.asarray(new, np.int32), np.zeros(len(new))
            self._volunteer(label_questions(0, indices, values, _roles(len(new))), group)

    def rule_out(self, samples: Sequence[int], group: int) -> None:
        """``samples`` are not of ``group``, a class id."""
        for found in self._own(samples).values():
            for row, place in found:
                if row.choice == group and place.kind != "cluster":
                    self._reverse(row)
        count = len(samples)
        indices, groups = np.asarray(samples, np.int32), np.full(count, group)
        asked = grid_questions(0, indices, groups, np.zeros(count), _roles(count))
        self._volunteer(asked, NONE_OF_THESE)

    def rule_out_cluster(self, samples: Sequence[int], cluster: int, shown: Questions) -> None:
        """``samples`` are not of ``cluster``, which nobody has named.

        Args:
          samples: which.
          cluster: its number.
          shown: with the ``exemplars`` ``[c]`` and ``members`` ``[c, r]`` of all clusters.
        """
        count = len(samples)
        questions = label_questions(
            0, np.asarray(samples, np.int32), np.zeros(count), _roles(count)
        )._replace(
            kind="cluster",
            candidates=np.full((count, 1), cluster, np.int32),
            exemplars=shown.exemplars,
            members=shown.members,
        )
        self._volunteer(questions, NONE_OF_THESE)

    def withdraw(self, client_ids: Iterable[str]) -> None:
        """Take answers back, whoever gave them; those that do not count stay as they are."""
        for client_id in client_ids:
            row = self._store.counted(client_id)
            if row is not None:
                self._reverse(row)

    def undo(self, gesture: str) -> None:
        """Take back all that ``gesture`` wrote, and give again what it took back."""
        every = self._store.rows()
        own = [n for n, r in enumerate(every) if r.client_id.startswith(f"gesture:{gesture}:")]
        rows = [every[n] for n in own]
        self.withdraw(row.client_id for row in rows if not row.undoes)
        # Questions that were answered again since then, and by whom.
        since = {(r.round, r.position, r.annotator) for r in every[max(own, default=0) + 1 :]}
        for row in rows:
            before = self._store.find(row.undoes) if row.undoes else None
            if before and (before.round, before.position, before.annotator) not in since:
                self._append(before._replace(seconds=0.0, time=0.0))

    def end(self) -> tuple[Row, ...]:
        """Write what was said so far; returns the rows."""
        each = self._seconds / max(sum(row.undoes is None for row in self._rows), 1)
        rows = tuple(
            row if row.undoes else row._replace(seconds=round(each, 4)) for row in self._rows
        )
        self._store.add(rows)
        self._written += len(rows)
        self._rows = []
        return rows

    def _own(self, samples: Sequence[int]) -> dict[int, list[tuple[Row, _Place]]]:
        """What the person has said of each single sample and counts."""
        wanted = set(samples)
        found: dict[int, list[tuple[Row, _Place]]] = {}
        for questions in _single_rounds(self._store):
            indices = questions.indices.tolist()
            for row in self._store.live(questions.round):
                sample = indices[row.position]
                if row.annotator == self._annotator and sample in wanted:
                    place = _place(questions, row.position)
                    found.setdefault(sample, []).append((row, place))
        return found

    def _volunteer(self, questions: Questions, choice: int) -> None:
        questions = self._store.append(questions)
        self._store.remember(f"{_MARK}{questions.round}", str(questions.count))
        for position in range(questions.count):
            self._answer(questions.round, position, choice)

    def _answer(self, round_: int, position: int, choice: int) -> None:
        self._append(Row("", round_, position, self._annotator, choice))

    def _reverse(self, row: Row) -> None:
        self._append(
            row._replace(
                annotator=self._annotator, choice=0, seconds=0.0, undoes=row.client_id, time=0.0
            )
        )

    def _append(self, row: Row) -> None:
        id_ = _ROW.format(self._gesture, self._written + len(self._rows))
        self._rows.append(row._replace(client_id=id_))


class _Place(NamedTuple):
    """A question about one sample; ``offered`` is the group of a grid, else -1."""

    round: int
    position: int
    kind: str
    offered: int


def _place(questions: Questions, position: int) -> _Place:
    offered = int(questions.candidates[position, 0]) if questions.kind == "grid" else -1
    return _Place(questions.round, position, questions.kind, offered)


def _contradicts(row: Row, place: _Place, group: int) -> bool:
    """Whether an answer cannot stand beside that its sample is of ``group``."""
    if row.choice == NONE_OF_THESE:
        return place.offered == group
    return row.choice >= 0 and (place.kind == "cluster" or row.choice != group)


def _single_rounds(store: Store) -> list[Questions]:
    """The questions about single samples, by round."""
    rounds = (store.questions(number) for number in store.rounds())
    return [asked for asked in rounds if asked is not None and asked.kind in _SINGLE]


def _last_asked(store: Store, samples: Sequence[int]) -> dict[int, _Place]:
    """The last question about each of ``samples``, if there is one."""
    found: dict[int, _Place] = {}
    wanted = np.asarray(samples)
    for questions in _single_rounds(store):
        for position in np.flatnonzero(np.isin(questions.indices, wanted)).tolist():
            sample = int(questions.indices[position])
            found[sample] = _place(questions, position)
    return found


def _roles(count: int) -> np.ndarray:
    return np.full(count, Role.VOLUNTEERED, np.int8)
