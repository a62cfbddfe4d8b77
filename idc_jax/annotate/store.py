"""The durable store of questions and answers: SQLite in WAL mode, append-only.

Nothing that was acknowledged is ever lost or counted twice: a row is on disk before
:meth:`Store.add` returns, a client id is written at most once, and nothing is ever changed or
deleted (triggers refuse it). Undoing an answer appends a row that reverses it.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.database import StoreError
from idc_jax.annotate.groups import Group, NamedGroups
from idc_jax.annotate.questions import SKIP, QuestionKind, Questions, plain_roles
from idc_jax.errors import UserError

_BUSY_SECONDS = 5.0
# What the store remembers of a run that people ended early: who, each time that it had gone on.
_STOPPED, _WENT_ON = "stopped", "went on:"
# And of one that people went on with.
_FURTHER = "further:"

# (round) -> where its samples are now, int32 ``[n]`` by the numbers that they had when they were
# asked about, -1 for those that are gone; None where they have their numbers still.
Numbers = Callable[[int], np.ndarray | None]


class Row(NamedTuple):
    """One line of the store: an answer, or the reversal of one.

    Attributes:
      client_id: made by whoever answers; the same id again is the same answer.
      round: the round of the question.
      position: which of the round's questions.
      annotator: who answered.
      choice: as in :class:`~idc_jax.annotate.questions.Answers`; 0 and unused in a reversal.
      seconds: how long the answer took.
      undoes: the client id of the answer that this row reverses, or None.
      time: seconds since the epoch (UTC); 0 lets the store fill it in.
    """

    client_id: str
    round: int
    position: int
    annotator: str
    choice: int
    seconds: float = 0.0
    undoes: str | None = None
    time: float = 0.0


class Store(NamedGroups):
    """Questions and answers of one working directory; safe to share between threads."""

    def __init__(
        self,
        path: str | Path,
        *,
        busy_seconds: float = _BUSY_SECONDS,
        numbers: Numbers | None = None,
    ) -> None:
        """Open ``path``, creating it where it is missing.

        Args:
          path: the SQLite file, usually ``answers.db`` in the working directory.
          busy_seconds: how long to wait for another process that holds the lock.
          numbers: where samples have other numbers than when they were asked about. Answers about
            those that are gone are kept and do not count.

        Raises:
          StoreError: the file cannot be written, or is something else.
        """
        super().__init__(Path(path), busy_seconds=busy_seconds)
        self._numbers = numbers

    def go_on(self, changes: int) -> None:
        """Note that the run goes on after so many ``changes`` of it: nobody has stopped it now."""
        if changes:
            self.remember(f"{_WENT_ON}{changes}", "")

    def stop(self, name: str) -> None:
        """Note that ``name`` ended the run."""
        self.remember(self._stopped(), name)

    def stopped_by(self) -> str | None:
        """Who ended the run, if somebody did."""
        return self.recall(self._stopped())

    def ask_further(self, count: int, round_: int) -> None:
        """Note that ``count`` more questions are wanted after ``round_``, the last; only once."""
        with self.whole():
            self.remember(f"{_FURTHER}{round_}", str(count))
            # Whoever stopped it before.
            self.remember(f"{_WENT_ON}{_FURTHER}{round_}", "")

    def further(self) -> int:
        """How many questions are wanted beside those that the run was begun with."""
        return sum(map(int, self.recall_all(_FURTHER).values()))

    def _stopped(self) -> str:
        query = "SELECT count(*) FROM meta WHERE key LIKE ?"
        times = self._one(query, (f"{_WENT_ON}%",))[0]
        return f"{_STOPPED}:{times}" if times else _STOPPED

    def freeze(self, questions: Questions) -> Questions:
        """Save the questions of a round, once, and return those that are saved."""
        with self._write() as db:
            db.execute(
                "INSERT OR IGNORE INTO rounds (round, kind, time, count, questions)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    questions.round,
                    questions.kind,
                    time.time(),
                    questions.count,
                    questions_to_json(questions),
                ),
            )
        frozen = self.questions(questions.round)
        assert frozen is not None
        return frozen

    def append(self, questions: Questions) -> Questions:
        """Save ``questions`` as the next round, whatever number they have; returns them as saved.

        Somebody else may have begun a round since they were made.
        """
        with self._write():
            return self.freeze(questions._replace(round=max(self.rounds(), default=0) + 1))

    def questions(self, round_: int) -> Questions | None:
        """The frozen questions of a round, or None where it was never asked.

        Samples have the numbers that they have now, -1 for those that are gone.
        """
        row = self._one("SELECT questions FROM rounds WHERE round = ?", (round_,))
        if row is None:
            return None
        try:
            questions = questions_from_json(row[0])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise StoreError(
                f"the store of answers {self.path}: the questions of round {round_} are damaged"
            ) from error
        if questions.kind == "grid" and (merged := self.merged()):
            offered = [[merged.get(id_, id_) for id_ in ids] for ids in questions.candidates]
            candidates = np.asarray(offered, np.int32).reshape(questions.candidates.shape)
            questions = questions._replace(candidates=candidates)
        numbers = self._numbers(round_) if self._numbers else None
        return questions if numbers is None else renumbered(questions, numbers)

    def rounds(self) -> tuple[int, ...]:
        """The rounds that have frozen questions, ascending."""
        return tuple(row[0] for row in self._all("SELECT round FROM rounds ORDER BY round"))

    def kinds(self) -> dict[int, QuestionKind]:
        """The kind of the questions of each round."""
        return dict(self._all("SELECT round, kind FROM rounds"))

    def add(self, rows: Iterable[Row]) -> int:
        """Append answers and reversals in one transaction; on disk when this returns.

        Args:
          rows: one whose client id is already there is left out.

        Returns:
          How many were new.

        Raises:
          StoreError: the file is locked by another process, or the disk is full; then nothing
            was written.
          UserError: a row's round was never asked, or has fewer questions.
        """
        with self._write() as db:
            return sum(self._insert(db, row) for row in rows)

    def rows(self) -> tuple[Row, ...]:
        """Everything ever answered or reversed, in the order of writing."""
        return self._rows("SELECT * FROM answers ORDER BY sequence")

    def live(self, round_: int) -> tuple[Row, ...]:
        """The answers that count: not reversed, and each person's latest to each question.

        Those about samples that are gone do not. What was said to be of a group that was merged
        into another is of that one.
        """
        rows = self._rows("SELECT * FROM live WHERE round = ? ORDER BY sequence", (round_,))
        rows = self._as_merged(round_, rows)
        if self._numbers is None or self._numbers(round_) is None:
            return rows
        questions = self.questions(round_)
        return tuple(row for row in rows if questions and questions.here[row.position])

    def _as_merged(self, round_: int, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        merged = self.merged() if rows else {}
        if not merged:
            return rows
        kind = self._one("SELECT kind FROM rounds WHERE round = ?", (round_,))[0]
        if kind not in ("label", "grid"):
            return rows
        return tuple(row._replace(choice=merged.get(row.choice, row.choice)) for row in rows)

    def version(self) -> tuple[int, int]:
        """Numbers that grow with every row: of answers, and of names."""
        count = 'SELECT (SELECT max(sequence) FROM answers), (SELECT max(sequence) FROM "groups")'
        answers, names = self._one(count)
        return answers or 0, names or 0

    def find(self, client_id: str) -> Row | None:
        """The row with this client id, or None."""
        found = self._rows("SELECT * FROM answers WHERE client_id = ?", (client_id,))
        return found[0] if found else None

    def num_answered(self, round_: int | None = None) -> int:
        """Questions that somebody has answered, about samples that are gone, too.

        Args:
          round_: of this round; None for all.
        """
        query = "SELECT count(DISTINCT round || ':' || position) FROM live"
        if round_ is None:
            return self._one(query)[0]
        return self._one(f"{query} WHERE round = ?", (round_,))[0]

    def num_said(self) -> int:
        """Answers that count and say something: no skips."""
        return self._one("SELECT count(*) FROM live WHERE choice != ?", (SKIP,))[0]

    def counted(self, client_id: str) -> Row | None:
        """The answer with this client id, if it counts."""
        found = self._rows("SELECT * FROM live WHERE client_id = ?", (client_id,))
        return found[0] if found else None

    def unused_id(self, wanted: str) -> str:
        """``wanted``, or with a number behind it, as a client id that no row has."""
        id_, number = wanted, 1
        while self.find(id_) is not None:
            number += 1
            id_ = f"{wanted}#{number}"
        return id_

    def missing(self, round_: int, votes: int = 1) -> np.ndarray:
        """Positions ``[k]`` of the round's questions with fewer than ``votes`` live answers."""
        row = self._one("SELECT count FROM rounds WHERE round = ?", (round_,))
        have = np.zeros(row[0] if row else 0, np.int64)
        query = "SELECT position, count(*) FROM live WHERE round = ? GROUP BY position"
        for position, count in self._all(query, (round_,)):
            have[position] = count
        return np.flatnonzero(have < votes)

    def groups(self) -> tuple[Group, ...]:
        """The named groups by id, each with its latest name and first exemplar."""
        groups = super().groups()
        if self._numbers is None or self._numbers(1) is None:
            return groups
        # Nobody noted when each was named: a sample that was said to be of it stands for it.
        samples = self._samples_of_groups() if groups else {}
        return tuple(group._replace(exemplar=samples.get(group.id, -1)) for group in groups)

    def _samples_of_groups(self) -> dict[int, int]:
        """The first sample that was said to be of each group, where it is now."""
        found: dict[int, int] = {}
        for round_ in self.rounds():
            questions = self.questions(round_)
            assert questions is not None
            for row in self.live(round_) if questions.kind == "label" else ():
                found.setdefault(row.choice, int(questions.indices[row.position]))
        return found

    def _insert(self, db: sqlite3.Connection, row: Row) -> int:
        asked = db.execute("SELECT count FROM rounds WHERE round = ?", (row.round,)).fetchone()
        if asked is None or not 0 <= row.position < asked[0]:
            raise UserError(f"round {row.round} has no question {row.position}")
        filled = row._replace(time=row.time or time.time())
        return db.execute(
            "INSERT OR IGNORE INTO answers"
            " (client_id, round, position, annotator, choice, seconds, undoes, time)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            filled,
        ).rowcount

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> tuple[Row, ...]:
        return tuple(Row(*row[1:]) for row in self._all(query, values))


def renumbered(questions: Questions, numbers: np.ndarray) -> Questions:
    """``questions`` with the ``numbers`` ``[n]`` that their samples have now, -1 for gone ones."""

    def now(samples: np.ndarray) -> np.ndarray:
        known = (samples >= 0) & (samples < len(numbers))
        return np.append(numbers, -1)[np.where(known, samples, -1)].astype(np.int32)

    return questions._replace(
        indices=now(questions.indices),
        exemplars=now(questions.exemplars),
        members=now(questions.members),
    )


def questions_to_json(questions: Questions) -> str:
    """One line of JSON that :func:`questions_from_json` reads back exactly."""
    fields = questions._asdict()
    return json.dumps(
        {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in fields.items()
        }
    )


def questions_from_json(text: str) -> Questions:
    """Read what :func:`questions_to_json` wrote."""
    fields = json.loads(text)
    count, clusters = len(fields["indices"]), len(fields["exemplars"])
    integers = {
        name: np.asarray(fields[name], np.int32)
        for name in ("indices", "candidates", "exemplars", "members")
    }
    pairs = fields["kind"] == "pair"
    return Questions(
        kind=fields["kind"],
        round=fields["round"],
        indices=integers["indices"].reshape((count, 2) if pairs else (count,)),
        candidates=integers["candidates"].reshape(count, -1 if count else 0),
        exemplars=integers["exemplars"],
        members=integers["members"].reshape(clusters, -1 if clusters else 0),
        values=np.asarray(fields["values"], np.float32),
        # Stores of before roles were kept have none.
        roles=np.asarray(fields.get("roles", plain_roles(count)), np.int8),
    )
