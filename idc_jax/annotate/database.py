"""The file of a store: SQLite in WAL mode, shared by threads, told of by one kind of error."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from idc_jax.errors import UserError

_SCHEMA = Path(__file__).with_name("schema.sql")


class StoreError(UserError):
    """The store could not be read or written: locked, full, or not a store at all."""


class Database:
    """A file of rows and of what else is to be remembered; safe to share between threads."""

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        """Open ``path``, creating it where it is missing; see :class:`Store`."""
        self._lock, self._busy_seconds = threading.RLock(), busy_seconds
        self._open(path)

    def __enter__(self) -> Self:
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

    def _read(
        self, get: Callable[[sqlite3.Cursor], Any], query: str, values: tuple[Any, ...]
    ) -> Any:
        with self._lock, self._translated():
            return get(self._db.execute(query, values))

    def _one(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        return self._read(sqlite3.Cursor.fetchone, query, values)

    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return self._read(sqlite3.Cursor.fetchall, query, values)
