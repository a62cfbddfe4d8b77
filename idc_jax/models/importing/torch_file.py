"""Files written by ``torch.save``: the zip of today and the stream of before version 1.6."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.importing import unpickle
from idc_jax.models.importing.unpickle import StorageRef, TensorRef

# The number that opens a file of before version 1.6.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# Branches of a checkpoint that hold tensors, but no network.
_BESIDE = re.compile(
    r"(lr_|grad_)?(optim|opt_|sched|scaler|amp|callback|loop|rng|hyper)|opt$", re.I
)

Tensors = dict[str, np.ndarray]
_ReadStorage = Callable[[StorageRef], bytes]


def read_zip(path: Path) -> Tensors:
    """The state dict of a zip checkpoint.

    Raises:
      UserError: a file that is damaged, unsafe, or without a state dict.
    """
    try:
        return _read_zip(path)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise UserError(f"{path} is a damaged zip file: {error}") from error


def _read_zip(path: Path) -> Tensors:
    with zipfile.ZipFile(path) as archive:
        names = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UserError(f"{path} is a zip file, but not one of torch.save")
        folder = pickles[0].removesuffix("data.pkl")
        order = folder + "byteorder"
        if order in names and archive.read(order) != b"little":
            raise UserError(f"{path} was written on a big-endian machine")

        def storage(ref: StorageRef) -> bytes:
            info = names.get(f"{folder}data/{ref.key}")
            if info is None:
                raise UserError(f"{path} lacks the storage {ref.key}")
            # torch.save never compresses; a small file that unpacks to gigabytes is an attack.
            if info.compress_type != zipfile.ZIP_STORED:
                raise UserError(f"{path} holds compressed storages, which torch.save never writes")
            return archive.read(info)

        return _materialise(unpickle.load(archive.read(pickles[0])), storage, path)


def read_legacy(path: Path) -> Tensors:
    """The state dict of a checkpoint of before version 1.6.

    Raises:
      UserError: a file that is damaged, unsafe, or without a state dict.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if unpickle.load(file) != LEGACY_MAGIC:
            raise UserError(f"{path} is a pickle, but not one of torch.save")
        unpickle.load(file)  # the protocol's version
        unpickle.load(file)  # the machine's word sizes
        root = unpickle.load(file)
        keys = unpickle.load(file)
        where: dict[str, int] = {}
        storages = {ref.storage.key: ref.storage for ref in _tensors_below(root)}
        for key in map(str, keys):
            count = int.from_bytes(file.read(8), "little")
            where[key] = file.tell()
            if key not in storages:
                raise UserError(f"{path} holds storage {key}, which no tensor uses")
            end = file.seek(count * storages[key].dtype.itemsize, 1)
            if count != storages[key].size or end > size:
                raise UserError(f"{path} is cut off: storage {key} ends at byte {end} of {size}")

        def storage(ref: StorageRef) -> bytes:
            if ref.key not in where:
                raise UserError(f"{path} lacks the storage {ref.key}")
            file.seek(where[ref.key])
            return file.read(ref.size * ref.dtype.itemsize)

        return _materialise(root, storage, path)


def _tensors_below(value: Any) -> list[TensorRef]:
    """All tensors within containers, the optimiser's too."""
    found, todo = [], [value]
    seen: set[int] = set()
    while todo:
        item = todo.pop()
        if isinstance(item, TensorRef):
            found.append(item)
        elif id(item) not in seen and isinstance(item, Mapping | list | tuple | set):
            seen.add(id(item))
            todo.extend(item.values() if isinstance(item, Mapping) else item)
    return found


def _materialise(root: Any, storage: _ReadStorage, path: Path) -> Tensors:
    """Read the tensors of the networks in ``root``, and of nothing else."""
    tensors = _named(root) if isinstance(root, Mapping) else {}
    if not tensors:
        kind = f"keys {list(root)[:8]}" if isinstance(root, Mapping) else type(root).__name__
        raise UserError(f"{path} holds no state dict ({kind})")
    cache: dict[str, bytes] = {}

    def read(ref: TensorRef) -> np.ndarray:
        key = ref.storage.key
        if key not in cache:
            cache[key] = storage(ref.storage)
        return ref.read(cache[key])

    return {name: read(ref) for name, ref in tensors.items()}


def _named(branch: Mapping[Any, Any], seen: set[int] | None = None) -> dict[str, TensorRef]:
    """The tensors below ``branch`` by their dotted names.

    A branch that is the only one has no part in the names: ``{"net": {...}, "epoch": 3}`` is the
    state dict itself. Whatever stands in several places is found in the first.
    """
    seen = set() if seen is None else seen
    seen.add(id(branch))
    found = {str(name): value for name, value in branch.items() if isinstance(value, TensorRef)}
    below = {}
    for name, value in branch.items():
        if isinstance(value, Mapping) and id(value) not in seen and not _BESIDE.match(str(name)):
            inner = _named(value, seen)
            if inner:
                below[str(name)] = inner
    if not found and len(below) == 1:
        return next(iter(below.values()))
    for name, inner in below.items():
        found |= {f"{name}.{key}": value for key, value in inner.items()}
    return found
