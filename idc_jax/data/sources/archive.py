"""Features as NumPy writes them: an ``.npz`` of several arrays, or one bare ``.npy``."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO, Literal

import numpy as np

from idc_jax.data.sources.base import Request
from idc_jax.data.sources.columns import Columns, pick_features, pick_labels, pick_names
from idc_jax.errors import UserError

_NPY = ".npy"
# Arrays of so many bytes are read where they are looked at: one of several processes then has its
# own rows alone in memory. Smaller ones are read at once, whatever becomes of the file later.
_LARGE = 2**28
# Where in the header of a zip's member the lengths of its name and of what follows it stand.
_LENGTHS_AT = 26


def read_array(path: Path, request: Request) -> Columns:
    """Read an ``.npy``: features and no more.

    Raises:
      UserError: it is damaged, or holds Python's objects.
    """
    if request.label_key:
        raise UserError(f"{path} holds one array alone, and no labels {request.label_key!r}")
    try:
        with path.open("rb") as file:
            described = _described(file, path.stat().st_size)
        if described.dtype.kind != "O":
            mode: Literal["r"] | None = "r" if described.nbytes >= _LARGE else None
            return Columns(np.load(path, mmap_mode=mode, allow_pickle=False), None, None)
    except Exception as error:  # Whatever a damaged file can lead to.
        raise _damaged(path, error) from error
    raise _of_objects(path, "its array")


def read_archive(path: Path, request: Request) -> Columns:
    """Read an ``.npz``: features, and labels and names where it has them.

    Raises:
      UserError: it is damaged, or has no such arrays.
    """
    arrays = _listed(path)
    key = pick_features(arrays, request.features_key, str(path))
    features = _read(path, key, arrays[key])
    count = len(features) if features.ndim else 0
    others = {name: array for name, array in arrays.items() if name != key}
    for name, array in others.items():
        if array.shape in ((count,), (count, 1)) and array.dtype.kind != "O":
            others[name] = _read(path, name, array)
    label_key = pick_labels(others, request.label_key, count, str(path))
    labels = None if label_key is None else _read(path, label_key, others.pop(label_key))
    name_key = pick_names(others, count)
    names = None if name_key is None else others.pop(name_key)
    found = {"features": key, "labels": label_key, "names": name_key}
    notes = [
        f"{what} are the array {name!r}" for what, name in found.items() if name not in (None, what)
    ]
    if others:
        held = ", ".join(f"{name!r} {list(array.shape)}" for name, array in others.items())
        notes.append(f"not read: {held}")
    return Columns(features, labels, names, tuple(notes))


def _listed(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive by name: their shapes and types, and zeros for what they hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.infolist():
                if member.filename.endswith(_NPY):
                    with archive.open(member) as file:
                        name = member.filename.removesuffix(_NPY)
                        found[name] = _described(file, member.file_size)
    except Exception as error:  # Whatever a damaged file can lead to.
        raise _damaged(path, error) from error
    return found


def _described(file: IO[bytes], size: int) -> np.ndarray:
    """An array of the shape and type that ``file`` of ``size`` bytes begins with; it takes no room.

    Raises:
      ValueError: it cannot be what follows.
    """
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    array = np.broadcast_to(np.zeros((), dtype), shape)
    if dtype.kind != "O" and array.nbytes > size:
        raise ValueError(f"{size} bytes are too few for {dtype} {list(shape)}")
    return array


def _read(path: Path, name: str, described: np.ndarray) -> np.ndarray:
    if described.dtype.kind == "O":
        raise _of_objects(path, f"{name!r}")
    if described.strides != (0,) * described.ndim:
        return described  # It was read before.
    try:
        if described.nbytes >= _LARGE and (mapped := _mapped(path, name)) is not None:
            return mapped
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return archive[name]
    except Exception as error:  # As above.
        raise _damaged(path, error) from error


def _mapped(path: Path, name: str) -> np.ndarray | None:
    """An array of an archive, read where it is looked at; None where it was compressed."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        member = archive.getinfo(name + _NPY)
        if member.compress_type != zipfile.ZIP_STORED:
            return None
        file.seek(member.header_offset + _LENGTHS_AT)
        # Before what was stored stand its name and some more, of these lengths.
        start = file.tell() + 4 + sum(struct.unpack("<HH", file.read(4)))
        file.seek(start)
        if np.lib.format.read_magic(file) != (1, 0):
            return None
        shape, transposed, dtype = np.lib.format.read_array_header_1_0(file)
        order: Literal["F", "C"] = "F" if transposed else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


def _damaged(path: Path, error: Exception) -> UserError:
    reason = str(error) or type(error).__name__
    return UserError(f"{path} cannot be read, it is damaged or something else: {reason}")


def _of_objects(path: Path, what: str) -> UserError:
    return UserError(
        f"{path}: {what} holds Python objects, which could run anything: save a plain array, as of "
        "array.astype(str) or array.astype('float32')"
    )
