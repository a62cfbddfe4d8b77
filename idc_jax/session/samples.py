"""What a session may be about: arrays, tables, files and folders, made a data set."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax import data as sources
from idc_jax.data.base import Dataset
from idc_jax.data.finite import checked_features
from idc_jax.data.telling import lines_of
from idc_jax.errors import UserError
from idc_jax.models.importing import best_network, open_network, usually_shown
from idc_jax.ops.inputs import in_32_bits
from idc_jax.session.tables import Table, is_hugging_face, read_frame, read_hugging_face
from idc_jax.train.embedded import embedded
from idc_jax.train.start import published_weights

# Side in pixels at which images are stored where no network is here.
_OWN_SIDE = 64
_WANTED = (
    "use an array [n, d] of embeddings, [n, h, w] or [n, h, w, c] of images, a DataFrame of "
    "numbers, a Hugging Face Dataset, a file of features or a folder of images"
)


class Samples(NamedTuple):
    """What a session is about.

    Attributes:
      dataset: what is shown.
      ids: what the samples are called; None for their numbers.
      features: float32 ``[n, d]``, by which they are compared; None where the data set says it.
      labels: what each is known to be, None for unknown; nothing where nobody asked.
    """

    dataset: Dataset
    ids: tuple[Hashable, ...] | None
    features: np.ndarray | None = None
    labels: tuple[str | None, ...] = ()


def as_samples(
    data: Any, ids: Sequence[Hashable] | None = None, label_column: str | None = None
) -> Samples:
    """What ``data`` holds.

    What was not read is said.

    Args:
      data: see :class:`idc_jax.session.Session`.
      ids: what the samples are called, or None.
      label_column: of a table, which column says what samples are; None for none.

    Raises:
      UserError: nothing that can be clustered, or ids that do not fit.
    """
    if is_hugging_face(data):
        found = _from_table(
            read_hugging_face(data, _files_for(best_network())["image_size"], label_column), ids
        )
    elif hasattr(data, "select_dtypes"):
        found = _from_table(read_frame(data, label_column), ids)
    elif label_column is not None:
        came = type(data).__name__
        raise UserError(f"label_column is {label_column!r}, but data is not a table: {came}")
    elif isinstance(data, str | os.PathLike):
        dataset = _from_path(sources.expanded(os.fspath(data)))
        called = dataset.names or None if ids is None else ids
        found = Samples(dataset, _checked(called, dataset.size))
    else:
        dataset = _from_array(data)
        found = Samples(dataset, _checked(ids, dataset.size))
    for line in lines_of(found.dataset):
        print(line, flush=True)
    return found


def as_features(dataset: Dataset, *, progress: bool) -> np.ndarray:
    """The vectors ``[n, d]`` by which samples are compared.

    Images are seen through the best published network that is installed, else as they are.
    """
    if dataset.kind == "features":
        return dataset.inputs
    network, shape = best_network(), dataset.inputs.shape[1:]
    path = published_weights(network) if network else None
    if path is None or shape[-1] != 3:
        return dataset.inputs.reshape(dataset.size, -1).astype(np.float32) / 255
    with in_32_bits():
        return embedded(
            open_network(path, num_clusters=1, input_shape=shape, data_set=dataset.name),
            dataset,
            lambda: sources.place(dataset.inputs, 1 << 30),
            cache_dir=sources.default_cache_dir(),
            progress=progress,
        ).inputs


def _from_path(path: Path) -> Dataset:
    if path.is_dir():
        # Whatever its folders are called: nothing is scored here.
        found = sources.load("folder", path=path, splits=(), **_files_for(best_network()))
        return found._replace(names=tuple(map(os.path.abspath, found.names)))
    return sources.load("features", path=path)


def _files_for(network: str) -> dict[str, Any]:
    """How files are stored for a published network, or for none."""
    if not network:
        return {"image_size": _OWN_SIDE}
    shown = usually_shown(network)
    return {"image_size": shown.resize, "rule": shown.rule, "kernel": shown.kernel}


def _from_table(table: Table, ids: Sequence[Hashable] | None) -> Samples:
    features, notes = None, list(table.notes)
    if table.features is not None:
        features, odd = checked_features(table.features, "data")
        notes += odd
    shown = features if table.images is None else table.images
    assert shown is not None
    called = _checked(table.ids if ids is None else ids, len(shown))
    dataset = _dataset("features" if table.images is None else "images", shown)
    if table.images is None and called is not None:
        dataset = dataset._replace(names=tuple(map(str, called)))
    dataset = dataset._replace(skipped=table.skipped, notes=tuple(notes))
    return Samples(dataset, called, features, table.labels)


def _from_array(data: Any) -> Dataset:
    if hasattr(data, "toarray"):
        raise UserError(f"data is sparse, a {type(data).__name__}; use data.toarray()")
    try:
        array = data if np.ma.isMaskedArray(data) else np.asarray(data)
    except (TypeError, ValueError) as error:
        raise UserError(f"{type(data).__name__} is not an array; {_WANTED}") from error
    if array.dtype.kind not in "fiub" or not 2 <= array.ndim <= 4 or not array.size:
        raise UserError(f"data is {array.dtype} {list(array.shape)}; {_WANTED}")
    if array.ndim == 2:
        features, notes = checked_features(array, "data")
        return _dataset("features", features)._replace(notes=tuple(notes))
    if array.dtype != np.uint8 or np.ma.is_masked(array):
        kind = "masked" if np.ma.is_masked(array) else array.dtype
        raise UserError(f"images are {kind}; they must be uint8, from 0 to 255")
    array = np.asarray(array) if array.ndim == 4 else np.asarray(array)[..., None]
    if array.shape[-1] not in (1, 3):
        raise UserError(f"images are {list(array.shape)}; the last size must be 1 or 3, channels")
    return _dataset("images", array)


def _dataset(kind: Any, inputs: np.ndarray) -> Dataset:
    return Dataset(
        name="session",
        kind=kind,
        inputs=inputs,
        labels=None,
        class_names=(),
        names=(),
        train=np.ones(len(inputs), bool),
        skipped=(),
    )


def _checked(ids: Sequence[Hashable] | None, count: int) -> tuple[Hashable, ...] | None:
    if ids is None:
        return None
    # Numbers of NumPy's are equal to Python's, but are not written as they are.
    ids = tuple(one.item() if isinstance(one, np.generic) else one for one in ids)
    if len(ids) != count:
        raise UserError(f"there are {len(ids)} ids for {count} samples")
    if odd := next((one for one in ids if not isinstance(one, Hashable)), None):
        raise UserError(f"an id is {odd!r}; it must be a name, a number or a tuple of them")
    if len(set(ids)) < count:
        twice = next(one for number, one in enumerate(ids) if one in ids[:number])
        raise UserError(f"ids must differ, but {twice!r} stands for two samples")
    return ids
