"""Frozen features of any origin: an ``.npz`` with optional labels, or a bare ``.npy``."""

from functools import partial
from pathlib import Path

import numpy as np

from idc_jax.data.arrays_file import read_arrays
from idc_jax.data.base import Dataset
from idc_jax.data.finite import bad_rows
from idc_jax.data.sources.base import Request, compact_labels, existing_path
from idc_jax.errors import UserError

DEFAULT_LABEL_KEY = "labels"
_ROWS_NAMED = 5


def load_features(request: Request) -> Dataset:
    """Read features ``[n, d]`` as float32, and labels ``[n]`` where the file has them.

    Raises:
      UserError: no such file or array, features that are not ``[n, d]`` numbers or not finite,
        labels of another length.
    """
    path = existing_path(request, "a .npz or .npy file of features [n, d]")
    features, labels = read_arrays(path, partial(_pick, path, request))
    features = _checked_features(path, features)
    names: tuple[str, ...] = ()
    if labels is not None:
        labels, names = compact_labels(_checked_labels(path, labels, len(features)))
    return Dataset(
        name=request.name or path.stem,
        kind="features",
        inputs=features,
        labels=labels,
        class_names=names,
        names=(),
        train=np.ones(len(features), bool),
        skipped=(),
    )


def _pick(
    path: Path, request: Request, loaded: np.ndarray | np.lib.npyio.NpzFile
) -> tuple[np.ndarray, np.ndarray | None]:
    if isinstance(loaded, np.ndarray):
        return loaded, None
    held = ", ".join(loaded.files) or "nothing"
    if request.features_key not in loaded:
        raise UserError(f"{path} has no array {request.features_key!r}; it holds {held}")
    label_key = request.label_key or DEFAULT_LABEL_KEY
    if request.label_key and label_key not in loaded:
        raise UserError(f"{path} has no labels {label_key!r}; it holds {held}")
    labels = loaded.get(label_key, None)
    return loaded[request.features_key], labels


def _checked_features(path: Path, features: np.ndarray) -> np.ndarray:
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "fiub":
        raise UserError(
            f"{path}: features must be numbers [n, d] with n and d at least 1, "
            f"got {features.dtype} {list(features.shape)}"
        )
    features = np.ascontiguousarray(features, np.float32)
    bad = bad_rows(features)
    if len(bad):
        shown = ", ".join(map(str, bad[:_ROWS_NAMED])) + (", ..." if len(bad) > _ROWS_NAMED else "")
        raise UserError(
            f"{path}: NaN or infinite features in {len(bad)} of {len(features)} rows "
            f"({shown}): repair or drop these rows"
        )
    return features


def _checked_labels(path: Path, labels: np.ndarray, count: int) -> np.ndarray:
    if labels.ndim != 1 or len(labels) != count:
        raise UserError(
            f"{path}: labels {list(labels.shape)} do not fit {count} rows of features: "
            f"one label per row is needed"
        )
    if labels.dtype.kind not in "iubUS":
        raise UserError(f"{path}: labels must be integers or strings, got {labels.dtype}")
    return labels
