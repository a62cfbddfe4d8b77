"""The durable store of questions and answers: SQLite in WAL mode, append-only.

Nothing that was acknowledged is ever lost or counted twice: a row is on disk before
:meth:`Store.add` returns, a client id is written at most once, and nothing is ever changed or
deleted (triggers refuse it). Undoing an answer appends a row that reverses it.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.naming import folded
from idc_jax.annotate.questions import SKIP, QuestionKind, Questions, plain_roles
from idc_jax.errors import UserError

_SCHEMA = Path(__file__).with_name("schema.sql")
_BUSY_SECONDS = 5.0


class StoreError(UserError):
    """The store could not be read or written: locked, full, or not a store at all."""


# Class ids that answers to label questions give, and those that some have ever given.
_GROUPS = "SELECT DISTINCT choice FROM {} JOIN rounds USING (round) WHERE kind = 'label'"
_LIVE_GROUPS = _GROUPS.format("live") + " AND choice >= 0"
_EVER_GROUPS = _GROUPS.format("answers") + " AND undoes IS NULL AND choice >= 0"
# What the store remembers of a run that people ended early: who, each time that it had gone on.
_STOPPED, _WENT_ON = "stopped", "went on:"
# And of one that people went on with.
_FURTHER = "further:"


# In place of its id, what stands for a group that is no more.
_GONE = -1

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


class GroupRow(NamedTuple):
    """One line of what was written of groups.

    Attributes:
      sequence: grows with every line.
      key: made by the client that named it first.
      id: its class id from then on; that of another group where it was merged, -1 once deleted.
      name: its name from then on.
      exemplar: the sample that it was named for, -1 for none.
      time: seconds since the epoch (UTC).
    """

    sequence: int
    key: str
    id: int
    name: str
    exemplar: int
    time: float


class Store:
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
        self._lock, self._busy_seconds = threading.RLock(), busy_seconds
        self._numbers = numbers
        self._open(Path(path))

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the rows stay."""
        with self._lock:
            self._db.close()

    def check(self) -> None:
        """Read all of the file.

        Raises:
          StoreError: it is damaged.
        """
        told = self._one("PRAGMA integrity_check(1)")[0]
        if told != "ok":
            raise StoreError(f"the store of answers {self.path} is damaged: {told:.200}")

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

    def recall_all(self, prefix: str) -> dict[str, str]:
        """What is saved under keys that begin with ``prefix``, by the rest of the key."""
        query = "SELECT substr(key, ?), value FROM meta WHERE substr(key, 1, ?) = ?"
        return dict(self._all(query, (len(prefix) + 1, len(prefix), prefix)))

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

    def name_group(
        self,
        key: str,
        name: str,
        exemplar: int,
        *,
        limit: int | None = None,
        class_names: Sequence[str] = (),
        taken: Iterable[int] = (),
        rename: bool = True,
    ) -> Group:
        """Name a group, or rename the one that ``key`` named first.

        A name that a group or a class has already, :func:`~idc_jax.annotate.naming.folded`, means
        that one.

        Args:
          key: made by the client; the same key is the same group.
          name: what to call it from now on.
          exemplar: the sample it was named for.
          limit: how many groups there may be; None for any number.
          class_names: what the first ids are called.
          taken: further ids that stand for something else.
          rename: otherwise, a group that ``key`` has named keeps the name that it has by now: for
            sources that may be read again.

        Raises:
          UserError: there are ``limit`` groups already and this would be one more, or a group is
            renamed to what another one that counts is called.
        """
        name = name.strip()
        with self._write() as db:
            groups, counted = self.groups(), self.used_groups()
            named = next((group.id for group in groups if group.key == key), None)
            called = [group for group in groups if folded(group.name) == folded(name)]
            called.sort(key=lambda group: group.id not in counted)
            bearer = called[0] if called and called[0].id in counted else None
            if named is not None and not rename:
                return bearer or next(group for group in groups if group.key == key)
            if named is None and (was := self._was(key)) is not None:
                named = self.merged()[was]
                if named != _GONE:  # it was merged: the name is the other's
                    return next(group for group in groups if group.id == named)
                if bearer:
                    return bearer
                named = was
            if named is not None and bearer and bearer.id != named:
                raise UserError(f"another group is called {called[0].name!r} already")
            if named is None:
                if called:
                    return called[0]
                if limit is not None and len(counted) >= limit:
                    raise UserError(f"there are {len(counted)} groups already; the most is {limit}")
                named = self._id_of(name, class_names, taken)
            db.execute(
                'INSERT INTO "groups" (key, id, name, exemplar, time) VALUES (?, ?, ?, ?, ?)',
                (key, named, name, exemplar, time.time()),
            )
        return next(found for found in self.groups() if found.key == key)

    def used_groups(self) -> frozenset[int]:
        """Ids of groups that count: with an answer, or named and never used so far."""
        merged = self.merged()
        live = {merged.get(row[0], row[0]) for row in self._all(_LIVE_GROUPS)} - {_GONE}
        ever = {row[0] for row in self._all(_EVER_GROUPS)}
        # One whose answers were all corrected, as those of a typing error, is no more.
        return frozenset(live | ({group.id for group in self.groups()} - ever))

    def _id_of(
        self,
        name: str,
        class_names: Sequence[str],
        taken: Iterable[int],
    ) -> int:
        """The id of a new group: its class's, else one that nothing else has."""
        classes = {folded(one): number for number, one in reversed(list(enumerate(class_names)))}
        if folded(name) in classes:
            return classes[folded(name)]
        live = (row[0] for row in self._all(_LIVE_GROUPS))
        # Also by groups that are no more: their numbers may be given back.
        used = (row[0] for row in self._all('SELECT id FROM "groups"'))
        return 1 + max((len(class_names) - 1, *used, *live, *taken))

    def enter_group(self, key: str, id_: int, name: str) -> bool:
        """Write what the group that ``key`` named first is from now on, unless it is that already.

        With the id of another group it is merged into that one; with -1 it is no more. What it was
        before stays written, and entering that again undoes it.

        Returns:
          Whether it was something else.

        Raises:
          UserError: no group was named by ``key``, another group has the name, or it would be gone
            while answers name it.
        """
        with self._write() as db:
            rows = [row for row in self.group_rows() if row.key == key]
            if not rows:
                raise UserError(f"there is no group {key!r}")
            if (rows[-1].id, rows[-1].name) == (id_, name):
                return False
            others = {folded(g.name): g for g in self.groups() if g.key != key and g.id != id_}
            if id_ != _GONE and (other := others.get(folded(name))) is not None:
                raise UserError(f"another group is called {other.name!r} already: merge the two")
            if id_ == _GONE and self._is_named(rows[-1].id):
                raise UserError(f"{rows[-1].name!r} is not empty: move or withdraw its answers")
            db.execute(
                'INSERT INTO "groups" (key, id, name, exemplar, time) VALUES (?, ?, ?, ?, ?)',
                (key, id_, name, -1, time.time()),
            )
        return True

    def _is_named(self, id_: int) -> bool:
        merged = self.merged()
        return any(merged.get(row[0], row[0]) == id_ for row in self._all(_LIVE_GROUPS))

    def group_rows(self) -> tuple[GroupRow, ...]:
        """All that was ever written of groups, in the order of writing."""
        return tuple(
            GroupRow(*row) for row in self._all('SELECT * FROM "groups" ORDER BY sequence')
        )

    def merged(self) -> dict[int, int]:
        """The ids of groups that are no more, each with that of the group that it is now."""
        first: dict[str, int] = {}
        now: dict[str, int] = {}
        for row in self.group_rows():
            first.setdefault(row.key, row.id)
            now[row.key] = row.id
        into = {first[key]: id_ for key, id_ in now.items() if id_ != first[key]}
        return {id_: _followed(into, id_) for id_ in into}

    def _was(self, key: str) -> int | None:
        """The id of the group that ``key`` named first and that is no more; None for no such."""
        id_ = next((row.id for row in self.group_rows() if row.key == key), None)
        return id_ if id_ in self.merged() else None

    def groups(self) -> tuple[Group, ...]:
        """The named groups by id, each with its latest name and first exemplar."""
        found: dict[str, Group] = {}
        first: dict[str, GroupRow] = {}
        for row in self.group_rows():
            first.setdefault(row.key, row)
            found[row.key] = Group(row.key, row.id, row.name, first[row.key].exemplar)
        there = (group for key, group in found.items() if group.id == first[key].id)
        groups = sorted(there, key=lambda group: group.id)
        if self._numbers is None or self._numbers(1) is None:
            return tuple(groups)
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

    def _open(self, path: Path) -> None:
        try:
            db = sqlite3.connect(
                path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
            )
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(_SCHEMA.read_text())
        # What is damaged may be quoted in an error, and be no text.
        except (sqlite3.Error, UnicodeError) as error:
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
    def whole(self) -> Iterator[None]:
        """All that is written inside is written together, or nothing of it where it fails."""
        with self._write():
            yield

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            if self._db.in_transaction:  # inside of whole()
                yield self._db
                return
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
        except (sqlite3.Error, UnicodeError) as error:
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


def _followed(into: Mapping[int, int], id_: int) -> int:
    """Where ``id_`` leads, through all that was merged one after the other."""
    seen = {id_}
    while (id_ := into[id_]) in into and id_ not in seen:
        seen.add(id_)
    return id_


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
