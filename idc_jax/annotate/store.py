"""The durable store of questions and answers: SQLite in WAL mode, append-only.

Nothing that was acknowledged is ever lost or counted twice: a row is on disk before
:meth:`Store.add` returns, a client id is written at most once, and nothing is ever changed or
deleted (triggers refuse it). Undoing an answer appends a row that reverses it.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.questions import Questions, plain_roles
from idc_jax.errors import UserError

_SCHEMA = Path(__file__).with_name("schema.sql")
_BUSY_SECONDS = 5.0


class StoreError(UserError):
    """The store could not be read or written: locked, full, or not a store at all."""


# What the store remembers of a run that people ended early: who, each time that it had gone on.
_STOPPED, _WENT_ON = "stopped", "went on:"


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


class Group(NamedTuple):
    """A group that a person named while answering label questions.

    Attributes:
      key: made by the client that named it first.
      id: the class id, as in ``Answers.choice``.
      name: the latest name.
      exemplar: the sample that it was named for, -1 for none.
    """

    key: str
    id: int
    name: str
    exemplar: int


class Store:
    """Questions and answers of one working directory; safe to share between threads."""

    def __init__(self, path: str | Path, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        """Open ``path``, creating it where it is missing.

        Args:
          path: the SQLite file, usually ``answers.db`` in the working directory.
          busy_seconds: how long to wait for another process that holds the lock.

        Raises:
          StoreError: the file cannot be written, or is something else.
        """
        self._lock, self._busy_seconds = threading.RLock(), busy_seconds
        self._open(Path(path))

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the rows stay."""
        with self._lock:
            self._db.close()

    def move(self, path: str | Path) -> None:
        """Go on in ``path``, with a copy of everything; the file that was left stays.

        Raises:
          StoreError: ``path`` cannot be written; then the store goes on where it was.
        """
        with self._lock:
            left = self._db
            try:
                with closing(sqlite3.connect(path)) as there:
                    left.backup(there)
            except sqlite3.Error as error:
                raise StoreError(f"cannot copy the store of answers to {path}: {error}") from error
            self._open(Path(path))
            left.close()

    def remember(self, key: str, value: str) -> str:
        """Save ``value`` under ``key`` unless there is one already, and return what is saved."""
        with self._write() as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        return self._one("SELECT value FROM meta WHERE key = ?", (key,))[0]

    def recall(self, key: str) -> str | None:
        """What is saved under ``key``, or None."""
        found = self._all("SELECT value FROM meta WHERE key = ?", (key,))
        return found[0][0] if found else None

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

    def questions(self, round_: int) -> Questions | None:
        """The frozen questions of a round, or None where it was never asked."""
        row = self._one("SELECT questions FROM rounds WHERE round = ?", (round_,))
        return questions_from_json(row[0]) if row else None

    def rounds(self) -> tuple[int, ...]:
        """The rounds that have frozen questions, ascending."""
        return tuple(row[0] for row in self._all("SELECT round FROM rounds ORDER BY round"))

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
        """The answers that count: not reversed, and each person's latest to each question."""
        return self._rows("SELECT * FROM live WHERE round = ? ORDER BY sequence", (round_,))

    def find(self, client_id: str) -> Row | None:
        """The row with this client id, or None."""
        found = self._rows("SELECT * FROM answers WHERE client_id = ?", (client_id,))
        return found[0] if found else None

    def missing(self, round_: int, votes: int = 1) -> np.ndarray:
        """Positions ``[k]`` of the round's questions with fewer than ``votes`` live answers."""
        row = self._one("SELECT count FROM rounds WHERE round = ?", (round_,))
        have = np.zeros(row[0] if row else 0, np.int64)
        query = "SELECT position, count(*) FROM live WHERE round = ? GROUP BY position"
        for position, count in self._all(query, (round_,)):
            have[position] = count
        return np.flatnonzero(have < votes)

    def name_group(self, key: str, name: str, exemplar: int, *, limit: int) -> Group:
        """Name a group, or rename the one that ``key`` named first.

        Args:
          key: made by the client; the same key is the same group.
          name: what to call it from now on.
          exemplar: the sample it was named for.
          limit: how many groups there may be.

        Raises:
          UserError: there are ``limit`` groups already and this would be one more.
        """
        with self._write() as db:
            known = db.execute('SELECT id FROM "groups" WHERE key = ?', (key,)).fetchone()
            if known:
                group = known[0]
            else:
                group = db.execute(
                    'SELECT coalesce(max(id), -1) + 1 FROM (SELECT id FROM "groups" UNION ALL'
                    " SELECT choice FROM live JOIN rounds USING (round) WHERE kind = 'label')"
                ).fetchone()[0]
                if group >= limit:
                    raise UserError(f"there are {group} groups already; the most is {limit}")
            db.execute(
                'INSERT INTO "groups" (key, id, name, exemplar, time) VALUES (?, ?, ?, ?, ?)',
                (key, group, name, exemplar, time.time()),
            )
        return next(found for found in self.groups() if found.key == key)

    def groups(self) -> tuple[Group, ...]:
        """The named groups by id, each with its latest name and first exemplar."""
        found: dict[str, Group] = {}
        for key, id_, name, exemplar in self._all(
            'SELECT key, id, name, exemplar FROM "groups" ORDER BY sequence'
        ):
            first = found.get(key)
            found[key] = Group(key, id_, name, first.exemplar if first else exemplar)
        return tuple(sorted(found.values(), key=lambda group: group.id))

    def _open(self, path: Path) -> None:
        try:
            db = sqlite3.connect(
                path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
            )
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(_SCHEMA.read_text())
        except sqlite3.Error as error:
            raise StoreError(f"cannot open the store of answers {path}: {error}") from error
        self.path, self._db = path, db

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

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"the store of answers {self.path}: {error}") from error

    def _read(self, get: Callable[[sqlite3.Cursor], Any], query: str, values: tuple) -> Any:
        with self._lock, self._translated():
            return get(self._db.execute(query, values))

    def _one(self, query: str, values: tuple = ()) -> Any:
        return self._read(sqlite3.Cursor.fetchone, query, values)

    def _all(self, query: str, values: tuple = ()) -> list[tuple]:
        return self._read(sqlite3.Cursor.fetchall, query, values)

    def _rows(self, query: str, values: tuple = ()) -> tuple[Row, ...]:
        return tuple(Row(*row[1:]) for row in self._all(query, values))


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
