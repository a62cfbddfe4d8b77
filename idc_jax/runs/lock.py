"""One run at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idc_jax.errors import UserError


@contextmanager
def hold(workdir: Path) -> Iterator[None]:
    """Keep others out of ``workdir``; the system lets go of it however the process ends.

    Raises:
      UserError: naming the process that holds it, or the folder cannot be written.
    """
    path = workdir / "lock"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{workdir} is in use by {holder}; wait for it, or use another --workdir"
            ) from error
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
        file.flush()
        try:
            yield
        finally:
            _leave_nothing(path)


def _leave_nothing(path: Path) -> None:
    """Take the lock away where nothing else came to be: a run that was refused leaves no trace."""
    if os.listdir(path.parent) == [path.name]:
        path.unlink()
        path.parent.rmdir()
