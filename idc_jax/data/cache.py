"""Decoded arrays kept on disk: memory-mapped when they come back, rebuilt when broken."""

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.errors import UserError

_LOG = logging.getLogger(__name__)
_INDEX = "index.json"
# Part of every key: raise it when decoding changes.
_VERSION = 2
# Bytes from which on an array is built on the disk.
_LARGE = 2**30


class Entry(NamedTuple):
    """What is kept: arrays by name, and anything small that JSON can hold."""

    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def cached(cache_dir: Path, name: str, key: Mapping[str, Any], build: Callable[[], Entry]) -> Entry:
    """Return the entry built earlier from the same ``key``, or build and keep it.

    An entry appears under its name by one rename, so that a killed process leaves none that is
    half-written. Where the folder cannot be written, the data is decoded anew on every start.

    Args:
      cache_dir: the folder of all entries.
      name: the first part of the entry's file name, for people.
      key: whatever would change the result, as JSON.
      build: makes the entry.
    """
    text = json.dumps({"version": _VERSION, **key}, sort_keys=True, default=str)
    folder = cache_dir / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    entry = _read(folder)
    if entry is not None:
        return entry
    entry = build()
    try:
        _write(folder, entry)
    except OSError as error:
        _LOG.warning("Decoded data is not cached, %s cannot be written: %s", cache_dir, error)
        return entry
    return _read(folder) or entry


def room(cache_dir: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 array to be filled, on the disk where it is large: it may exceed the memory.

    Args:
      cache_dir: its disk is used, by a file without a name that vanishes with the array.
      shape: of the array.
    """
    if math.prod(shape) < _LARGE:
        return np.empty(shape, np.uint8)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_dir) as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)
    except OSError:
        return in_memory(shape)


def in_memory(shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 array to be filled, in the memory.

    Raises:
      UserError: it is larger than that.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if math.prod(shape) > there:
        raise UserError(
            f"images {list(shape)} take {math.prod(shape) / 1e9:.0f} GB, more than the "
            f"{there / 1e9:.0f} GB of this machine's memory: use a smaller image size"
        )
    return np.empty(shape, np.uint8)


def file_stamps(paths: list[Path]) -> list[tuple[str, int, int]]:
    """Return path, size and modification time of files, as part of a key."""
    stats = [path.stat() for path in paths]
    return [
        (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        for path, stat in zip(paths, stats, strict=True)
    ]


def _read(folder: Path) -> Entry | None:
    """Return the entry in ``folder``, or None where there is none or it is damaged."""
    try:
        index = json.loads((folder / _INDEX).read_text())
        arrays = {}
        for name, described in index["arrays"].items():
            file = folder / f"{name}.npy"
            if file.stat().st_size != described["bytes"]:
                raise ValueError(f"{file} has {file.stat().st_size} bytes")
            arrays[name] = np.load(file, mmap_mode="r")
        return Entry(arrays, index["notes"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("Cached data is damaged and will be decoded anew: %s", error)
        return None


def _write(folder: Path, entry: Entry) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        described = {}
        for name, array in entry.arrays.items():
            file = building / f"{name}.npy"
            np.save(file, array, allow_pickle=False)
            described[name] = {"bytes": file.stat().st_size}
        (building / _INDEX).write_text(json.dumps({"arrays": described, "notes": entry.notes}))
        # What stands there is damaged, or a process beside us has just finished the same work.
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
