"""Where an export goes: written whole or not at all, and never over what somebody else made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from idc_jax.errors import UserError
from idc_jax.report.files import write_atomically

# Lists the files that an export made, and is the last of them.
MARKER = ".idc_jax_export.json"


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write into; it becomes ``path`` once all is in it.

    An earlier export at ``path`` is replaced, if it is as it was made.

    Raises:
      UserError: ``path`` holds anything else, or cannot be written.
    """
    path = path.resolve()
    part, old = (path.with_name(f".{path.name}.idc_jax-{what}") for what in ("part", "old"))
    try:
        if old.exists() and not path.exists():
            # An export was killed while it took this one's place.
            old.rename(path)
        check_folder(path)
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            made = [file.relative_to(part).as_posix() for file in _files(part)]
            (part / MARKER).write_text(json.dumps({"files": made}))
            _replace(path, part, old)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _replace(path: Path, part: Path, old: Path) -> None:
    """Let ``part`` take the place of ``path``; where that fails, ``path`` stays."""
    if path.exists():
        path.rename(old)
    try:
        part.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_folder(path: Path) -> None:
    """Refuse a folder that an export may not replace.

    Raises:
      UserError: naming what is in the way.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; use a folder that is empty or not there")
    if not path.exists() or not any(path.iterdir()):
        return
    marker = path / MARKER
    try:
        made = set(json.loads(marker.read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} holds files that no export made; use a folder that is empty or not there"
        ) from None
    last = marker.stat().st_mtime_ns
    for file in _files(path):
        name = file.relative_to(path).as_posix()
        # A link's own time says nothing: it is that of the image.
        edited = file.lstat().st_mtime_ns > last and file.lstat().st_nlink == 1
        if name != MARKER and (name not in made or edited):
            raise UserError(
                f"{file} was changed or put there after the export that made {path}; "
                "keep it elsewhere, or export to another folder"
            )


def write_file(path: Path, data: bytes, ours: Callable[[bytes], bool]) -> None:
    """Write a file, where there is none or an earlier export.

    Args:
      path: the file.
      data: what to write.
      ours: tells from the contents of the file that is there whether an export made it.

    Raises:
      UserError: another file is there, or it cannot be written.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; use the name of a file")
    if path.exists() and not ours(path.read_bytes()):
        raise UserError(f"{path} is a file that no export made; use another name")
    write_atomically(path, data)


def _files(folder: Path) -> list[Path]:
    """Everything below ``folder`` that is not a folder itself, in the order of names."""
    return sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
