"""Checkpoint files of any kind as plain dicts of arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.importing import safetensors_file, torch_file


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Read the tensors of a checkpoint written by somebody else.

    The kind of file is told by its first bytes, since ``.tar``, ``.pth`` and ``.pt`` mean nothing.
    Nothing in the file is executed.

    Args:
      path: a file of ``torch.save`` (any version) or a safetensors file.

    Returns:
      Names as in the file, less a leading ``module.`` and without BatchNorm's counters, which
      nothing needs.

    Raises:
      UserError: no such file, a damaged or unsafe one, or no tensors in it.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    tensors = _read(path)
    kept = {
        name.removeprefix("module."): value
        for name, value in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    if not kept:
        raise UserError(f"{path} holds no tensors")
    return kept


def _read(path: Path) -> dict[str, np.ndarray]:
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
