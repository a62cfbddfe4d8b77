"""Frozen features of any origin: ``.npz``, ``.npy``, ``.csv`` or ``.parquet``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.data.finite import checked_features
from idc_jax.data.sources.archive import read_archive, read_array
from idc_jax.data.sources.base import Request, existing_path
from idc_jax.data.sources.columns import Columns, checked_labels, checked_names
from idc_jax.data.sources.parquet import read_parquet
from idc_jax.data.sources.table import TABLE_ENDINGS, read_table
from idc_jax.errors import UserError, representable

_WANTED = "a .npz, .npy, .csv or .parquet file of features [n, d]"
# How a file of each kind begins.
_READERS = {
    b"\x93NUMPY": read_array,
    b"PK\x03\x04": read_archive,
    b"PK\x05\x06": read_archive,
    b"PAR1": read_parquet,
}


def load_features(request: Request) -> Dataset:
    """Read features ``[n, d]`` as float32, with labels and names where the file has them.

    Raises:
      UserError: no such file or array, features that are not ``[n, d]`` numbers or cannot be
        reckoned with, labels of another length.
    """
    path = existing_path(request, _WANTED)
    if path.is_dir():
        raise UserError(f"{path} is a folder: name {_WANTED}")
    found = _read(path, request)
    features, odd = checked_features(found.features, str(path))
    labels, class_names, unknown = checked_labels(found.labels, len(features), str(path))
    names, twice = checked_names(found.names, "names")
    return Dataset(
        name=request.name or representable(path.stem),
        kind="features",
        inputs=features,
        labels=labels,
        class_names=class_names,
        names=names,
        train=np.ones(len(features), bool),
        skipped=(),
        notes=(*found.notes, *odd, *unknown, *twice),
    )


def _read(path: Path, request: Request) -> Columns:
    with path.open("rb") as file:
        start = file.read(8)
    for magic, reader in _READERS.items():
        if start.startswith(magic):
            return reader(path, request)
    if path.suffix.lower() in TABLE_ENDINGS:
        return read_table(path, request)
    if not start:
        raise UserError(f"{path} is empty: name {_WANTED}")
    damaged = path.suffix.lower() in (".npz", ".npy", ".parquet")
    told = f"cannot be read as {path.suffix}: it is damaged or" if damaged else "is"
    raise UserError(f"{path} {told} no file of features: name {_WANTED}")
