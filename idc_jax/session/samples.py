"""What a session may be about: arrays, tables, files and folders, made a data set."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax import data as sources
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError
from idc_jax.models.importing import NETWORK_SIDES, best_network
from idc_jax.ops.inputs import in_32_bits
from idc_jax.train.embedded import embedded
from idc_jax.train.start import published_weights

_WOULD_DO = (
    "an array [n, d] of embeddings, [n, h, w] or [n, h, w, c] of images, a DataFrame of numbers, "
    "a file of features or a folder of images would do"
)


def as_dataset(
    data: Any, ids: Sequence[Hashable] | None
) -> tuple[Dataset, tuple[Hashable, ...] | None]:
    """What ``data`` holds, and what its samples are called; None for their numbers.

    Raises:
      UserError: nothing that can be clustered, or ids that do not fit.
    """
    if isinstance(data, str | Path):
        dataset = _from_path(Path(data).expanduser())
        ids = ids if ids is not None or not dataset.names else dataset.names
    elif hasattr(data, "select_dtypes"):
        ids = tuple(data.index.tolist()) if ids is None else ids
        dataset = _from_array(data.select_dtypes("number").to_numpy(np.float32))
    else:
        dataset = _from_array(data)
    return dataset, _checked(ids, dataset.size)


def as_features(dataset: Dataset, *, progress: bool) -> np.ndarray:
    """The vectors ``[n, d]`` by which samples are compared.

    Images are seen through the best published network that is installed, else as they are.
    """
    if dataset.kind == "features":
        return dataset.inputs
    network = best_network()
    path = published_weights(network) if network else None
    if path is None or dataset.inputs.shape[-1] != 3:
        return dataset.inputs.reshape(dataset.size, -1).astype(np.float32) / 255
    cache = sources.default_cache_dir()
    with in_32_bits():
        return embedded(
            path,
            dataset,
            lambda: sources.place(dataset.inputs, 1 << 30),
            size=NETWORK_SIDES[network],
            cache_dir=cache,
            progress=progress,
        ).inputs


def _from_path(path: Path) -> Dataset:
    if path.is_dir():
        side = NETWORK_SIDES.get(best_network(), 64)
        found = sources.load("folder", path=path, image_size=side)
        return found._replace(names=tuple(map(os.path.abspath, found.names)))
    return sources.load("features", path=path)


def _from_array(data: Any) -> Dataset:
    try:
        array = np.asarray(data)
    except (TypeError, ValueError) as error:
        raise UserError(f"{type(data).__name__} is no array; {_WOULD_DO}") from error
    if array.dtype.kind not in "fiub" or not 2 <= array.ndim <= 4 or not array.size:
        raise UserError(f"data is {array.dtype} {list(array.shape)}; {_WOULD_DO}")
    if array.ndim == 2:
        return _dataset("features", np.ascontiguousarray(array, np.float32))
    if array.dtype != np.uint8:
        raise UserError(f"images are {array.dtype}; uint8, from 0 to 255, would do")
    return _dataset("images", array if array.ndim == 4 else array[..., None])


def _dataset(kind: Any, inputs: np.ndarray) -> Dataset:
    if kind == "features" and not np.isfinite(inputs).all():
        bad = np.flatnonzero(~np.isfinite(inputs).all(axis=1))
        raise UserError(f"{len(bad)} rows are not finite, the first is {bad[0]}; leave them out")
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
    ids = tuple(ids)
    if len(ids) != count:
        raise UserError(f"there are {len(ids)} ids for {count} samples")
    if len(set(ids)) < count:
        twice = next(one for number, one in enumerate(ids) if one in ids[:number])
        raise UserError(f"ids must differ, but {twice!r} stands for two samples")
    return ids
