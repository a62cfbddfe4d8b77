"""One run, or one session, at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from idc_jax.errors import UserError

# Folders that sessions of this process are in: the file that is locked, and how many they are.
_SHARED: dict[Path, tuple[IO[str], int]] = {}


@contextmanager
def hold(workdir: Path) -> Iterator[None]:
    """Keep others out of ``workdir``; the system lets go of it however the process ends.

    Raises:
      UserError: naming the process that holds it, or the folder cannot be written.
    """
    with _locked(workdir, "another --workdir") as file:
        try:
            yield
        finally:
            _leave_nothing(Path(file.name))


def share(folder: Path) -> Callable[[], None]:
    """Keep other processes out of ``folder``, where this one may be more than once.

    Returns:
      What lets go of it.

    Raises:
      UserError: as :func:`hold`.
    """
    folder = folder.resolve()
    if folder not in _SHARED:
        _SHARED[folder] = _locked(folder, "another folder"), 0
    file, count = _SHARED[folder]
    _SHARED[folder] = file, count + 1

    def leave() -> None:
        file, count = _SHARED[folder]
        _SHARED[folder] = file, count - 1
        if count == 1:
            del _SHARED[folder]
            file.close()

    return leave


def _locked(folder: Path, instead: str) -> IO[str]:
    """The lock's file, open and locked; closing it lets go."""
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise UserError(f"{folder} is in use by {holder}; wait for it, or use {instead}") from error
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
    file.flush()
    return file


def _leave_nothing(path: Path) -> None:
    """Take the lock away where nothing else came to be: a run that was refused leaves no trace."""
    if os.listdir(path.parent) == [path.name]:
        path.unlink()
        path.parent.rmdir()
