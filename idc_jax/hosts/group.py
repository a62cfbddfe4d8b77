"""The processes of a run: what process 0 decides, all hear; and what ends one ends all."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np

from idc_jax.errors import printable
from idc_jax.hosts.lines import Line

FAIL, END, VALUE = "fail", "end", "value"
# Bytes of rows that are sent at a time.
_SENT = 2**24
# Seconds that a failed sum waits for the line to say who died.
_PATIENCE = 20

_T = TypeVar("_T")


class _Group:
    """The processes of this run, as one of them sees them."""

    def __init__(self, process: int, size: int, lines: Mapping[int, Line]) -> None:
        self.process, self.size, self._lines = process, size, lines
        self._said: queue.Queue[Any] = queue.Queue()
        self._ending = threading.Lock()
        self._over = threading.Event()
        for line in lines.values():
            line.stay()
            threading.Thread(target=self._listen, args=(line,), daemon=True).start()

    @property
    def leads(self) -> bool:
        return self.process == 0

    def tell(self, value: Any) -> None:
        for line in self._lines.values():
            # Of a line that is closed its listener tells.
            with contextlib.suppress(OSError):
                line.send(VALUE, value)

    def hear(self) -> Any:
        return self._said.get()

    def end(self) -> None:
        """All is done: a line that closes means no harm any more."""
        self._over.set()
        if self.leads:
            for line in self._lines.values():
                line.send(END, None)

    def fail(self, told: str, code: int, relayed: str | None = None) -> NoReturn:
        """End all processes with one line each; this one by ``told``, the others by ``relayed``."""
        # Whoever comes second waits here for the end.
        self._ending.acquire()
        print(printable(told), file=sys.stderr, flush=True)
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                line.send(FAIL, [relayed or told, code])
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        # What JAX does at an orderly exit waits for processes that will not come.
        os._exit(code)

    def _listen(self, line: Line) -> None:
        while True:
            try:
                kind, value = line.receive()
            except EOFError:
                if not self._over.is_set():
                    self.fail(f"error: {line.name} is gone; the same command goes on from here", 1)
                return
            if kind == FAIL:
                self.fail(value[0], value[1])
            if kind == END:
                self._over.set()
                self._said.put(END)
                return
            self._said.put(value)
            # It may be large, and the next may be long in coming.
            del value


_GROUP: _Group | None = None


def join(process: int, processes: int, lines: Mapping[int, Line]) -> None:
    """Be one of several processes from now on."""
    global _GROUP
    _GROUP = _Group(process, processes, lines)


def count() -> int:
    """How many processes this run has."""
    return 1 if _GROUP is None else _GROUP.size


def leads() -> bool:
    """Whether this process decides: process 0, or the only one."""
    return _GROUP is None or _GROUP.leads


def tell(value: Any) -> None:
    """Tell the other processes ``value``: dicts and lists of numbers, texts, None and arrays."""
    if _GROUP is not None:
        _GROUP.tell(value)


def hear() -> Any:
    """What process 0 tells next; None once all is done."""
    assert _GROUP is not None
    value = _GROUP.hear()
    return None if isinstance(value, str) and value == END else value


def told(make: Callable[[], _T]) -> _T:
    """What ``make`` returns in process 0, in every process; there alone it is called."""
    if leads():
        value = make()
        tell([value])
        return value
    return hear()[0]


def rows_together(rows: jax.Array) -> np.ndarray | None:
    """All ``rows`` ``[n, ...]`` of an array in the memory of process 0; None in the others.

    Every process calls it. Rows that are spread over the devices of several processes are sent by
    the lines, so that no other process holds them all.
    """
    if rows.is_fully_addressable or rows.is_fully_replicated:
        return np.asarray(rows) if leads() else None
    own = {shard.index[0].start or 0: np.asarray(shard.data) for shard in rows.addressable_shards}
    if not leads():
        for start, part in own.items():
            for first in range(0, len(part), step := _piece(part)):
                tell([start + first, part[first : first + step]])
        return None
    found = np.empty(rows.shape, rows.dtype)
    for start, part in own.items():
        found[start:][: len(part)] = part
    missing = len(rows) - sum(map(len, own.values()))
    while missing:
        start, part = hear()
        found[start:][: len(part)] = part
        missing -= len(part)
    return found


def _piece(rows: np.ndarray) -> int:
    """How many of ``rows`` are sent at a time."""
    return max(1, _SENT * len(rows) // max(1, rows.nbytes))


def share(total: int) -> slice:
    """Which of ``total`` rows this process looks at, where each looks at some."""
    process, size = (0, 1) if _GROUP is None else (_GROUP.process, _GROUP.size)
    return slice(total * process // size, total * (process + 1) // size)


def by_rows(function: Callable[[slice], np.ndarray], total: int) -> np.ndarray:
    """``function`` of all ``total`` rows, of which each process does its :func:`share`.

    Every process calls it, with the same number of rows, and has all that was found.
    """
    own = function(share(total))
    if _GROUP is None:
        return own
    if not _GROUP.leads:
        tell({str(_GROUP.process): own})
        return np.asarray(told(lambda: own))
    parts = {"0": own}
    for _ in range(count() - 1):
        parts |= hear()
    whole = np.concatenate([parts[str(process)] for process in range(count())])
    return told(lambda: whole)


def wait_for_all() -> None:
    """Process 0 goes on once every other has come here: what ends one of them, ends it before."""
    if _GROUP is None:
        return
    if not _GROUP.leads:
        _GROUP.tell("here")
        return
    for _ in range(_GROUP.size - 1):
        _GROUP.hear()


def leave() -> None:
    """All is done, everywhere."""
    if _GROUP is not None:
        _GROUP.end()
        jax.distributed.shutdown()


def fail(told: str, code: int) -> int:
    """Say on stderr what went wrong, and end: here by ``code``, or every process with it."""
    if _GROUP is not None:
        _GROUP.fail(told, code, f"{told} (process {_GROUP.process} on {socket.gethostname()})")
    print(told, file=sys.stderr)
    return code


def fail_by(error: Exception) -> NoReturn:
    """End after an ``error`` that nobody foresaw; where another process died, its line says it.

    Raises:
      Exception: the same, where there is one process only.
    """
    if _GROUP is None:
        raise error
    time.sleep(_PATIENCE if isinstance(error, jax.errors.JaxRuntimeError) else 0)
    traceback.print_exception(error)
    _GROUP.fail(f"error: {type(error).__name__}: {str(error).splitlines()[0][:200]}", 1)
