"""Checkpoint files of any kind, in one piece or in many, as plain dicts of arrays."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.importing import safetensors_file, torch_file

Tensors = dict[str, np.ndarray]

# What a folder's weights are called, in the order in which they are looked for.
_INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WHOLE = ("model.safetensors", "pytorch_model.bin")
_SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(\.\w+)")
# Wrappers that leave a module what it is: DataParallel's, and torch.compile's.
_WRAPPERS = re.compile(r"(?<![^.])(module|_orig_mod)\.")


def read_checkpoint(path: str | Path) -> Tensors:
    """Read the tensors of a checkpoint written by somebody else.

    The kind of file is told by its first bytes, since ``.tar``, ``.pth`` and ``.pt`` mean nothing.
    Nothing in the file is executed.

    Args:
      path: a file of ``torch.save`` (any version) or a safetensors file; or a folder, index or
        single part of one in several parts.

    Returns:
      Names as in the file, less ``module.`` and ``_orig_mod.`` wherever they stand, and without
      BatchNorm's counters, which nothing needs.

    Raises:
      UserError: no such file, a part that is missing, a damaged or unsafe file, one of 8-bit
        floats, or no tensors in it.
    """
    path = Path(path)
    tensors: Tensors = {}
    for file in checkpoint_files(path):
        tensors |= _read(file)
    kept = {
        _WRAPPERS.sub("", name): value
        for name, value in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    if not kept:
        raise UserError(f"{path} holds no tensors")
    _check_precision(path, kept)
    return kept


def holds_checkpoint(folder: Path) -> bool:
    """Whether a folder holds weights under one of the usual names."""
    return any((folder / name).is_file() for name in (*_INDICES, *_WHOLE))


def checkpoint_files(path: Path) -> tuple[Path, ...]:
    """The files of a checkpoint, of which ``path`` names the folder, the index or one.

    Raises:
      UserError: there is none, or a part is missing.
    """
    if path.is_dir():
        found = [path / name for name in (*_INDICES, *_WHOLE) if (path / name).is_file()]
        if not found:
            raise UserError(f"{path} holds none of {', '.join((*_WHOLE, *_INDICES))}")
        return checkpoint_files(found[0])
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == ".json":
        return _listed(path)
    if shard := _SHARD.fullmatch(path.name):
        stem, _, count, ending = shard.groups()
        names = (f"{stem}-{k:0{len(count)}}-of-{count}{ending}" for k in range(1, int(count) + 1))
        return _all_there(path, [path.parent / name for name in names])
    return (path,)


def _listed(index: Path) -> tuple[Path, ...]:
    """The parts that an index names."""
    try:
        names = json.loads(index.read_text())["weight_map"].values()
        # A part lies beside its index, whatever the index says.
        files = [index.parent / Path(name).name for name in dict.fromkeys(names)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} is not an index of a checkpoint's parts") from error
    return _all_there(index, files)


def _all_there(path: Path, files: list[Path]) -> tuple[Path, ...]:
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise UserError(
            f"{path} is of a checkpoint in {len(files)} parts, of which {len(missing)} are missing "
            f"beside it, {missing[0]} among them"
        )
    return tuple(files)


def _check_precision(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    for name, value in tensors.items():
        if value.dtype.name.startswith("float8"):
            raise UserError(
                f"{path} holds 8-bit floats ({name} is {value.dtype.name}), which mean nothing "
                f"without their scales: save it in float32, float16 or bfloat16"
            )


def _read(path: Path) -> Tensors:
    if zipfile.is_zipfile(path):
        return torch_file.read_zip(path)
    with path.open("rb") as file:
        start = file.read(9)
    # Eight bytes of length, then the JSON object.
    if start[8:9] == b"{":
        return safetensors_file.read(path)
    if start[:1] == b"\x80":
        return torch_file.read_legacy(path)
    raise UserError(f"{path} is neither a file of torch.save nor a safetensors file")
