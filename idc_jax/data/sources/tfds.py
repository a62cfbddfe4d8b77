"""TensorFlow Datasets by name, read without TensorFlow once they are prepared."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.data.cache import Entry, cached, file_stamps
from idc_jax.data.decode import decode_bytes
from idc_jax.data.progress import progress
from idc_jax.data.sources.base import Request, compact_labels
from idc_jax.errors import UserError

_IMAGES = "images"


def load_tfds(request: Request) -> Dataset:
    """Read the request's data set, its splits joined in the order given.

    A data set that is not prepared yet is downloaded, for which TFDS itself needs TensorFlow.

    Raises:
      UserError: TFDS is missing, knows no such data set, split or label, or cannot prepare it.
    """
    builder = _prepared(request)
    missing = [split for split in request.splits if split not in builder.info.splits]
    if missing:
        held = ", ".join(builder.info.splits)
        raise UserError(f"{builder.name} has no split {missing[0]!r}; it has {held}")
    label_key = _label_key(builder, request.label_key)
    key = {
        "files": file_stamps(_files(builder)),
        "splits": request.splits,
        "image_size": request.image_size,
    }
    arrays = cached(request.cache_dir, builder.name, key, lambda: _decode(builder, request)).arrays
    sizes = [builder.info.splits[split].num_examples for split in request.splits]
    labels, names = _labels(builder, label_key, arrays)
    return Dataset(
        name=builder.name if label_key in (None, "label") else f"{builder.name}/{label_key}",
        kind="images",
        inputs=arrays[_IMAGES],
        labels=labels,
        class_names=names,
        names=(),
        train=np.repeat([split == "train" for split in request.splits], sizes),
        skipped=(),
    )


def _labels(
    builder: Any, label_key: str | None, arrays: dict[str, np.ndarray]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if label_key is None:
        return None, ()
    return compact_labels(arrays[label_key], tuple(builder.info.features[label_key].names))


def _prepared(request: Request) -> Any:
    if request.name is None:
        raise UserError("no TFDS data set was named: give its name, such as cifar10")
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise UserError("reading TFDS needs more packages: pip install 'idc_jax[data]'")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(
            request.name, data_dir=None if request.path is None else os.fspath(request.path)
        )
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(f"TFDS knows no data set {request.name!r}") from error
    if not builder.is_prepared():
        _download(builder)
    if builder.info.file_format not in _random_access_formats(tfds):
        raise UserError(
            f"{builder.data_path} is prepared as {builder.info.file_format.value}, which cannot be "
            f"read without TensorFlow: remove it, or prepare it elsewhere with "
            f"`tfds build {builder.name} --file_format=array_record`"
        )
    return builder


def _random_access_formats(tfds: Any) -> tuple[Any, ...]:
    formats = tfds.core.FileFormat
    return (formats.ARRAY_RECORD, formats.PARQUET)


def _download(builder: Any) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"{builder.name} is not prepared under {builder.data_path} and TFDS needs TensorFlow "
            f"to download it: pip install tensorflow, run this again, and it is not needed after"
        )
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # Whatever a download can meet; the person needs one line.
        line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise UserError(f"TFDS could not prepare {builder.name}: {line}") from error


def _files(builder: Any) -> list[Path]:
    return sorted(path for path in Path(builder.data_path).iterdir() if path.is_file())


def _label_key(builder: Any, wanted: str | None) -> str | None:
    offered = _class_labels(builder)
    if wanted is not None:
        if wanted not in offered:
            raise UserError(
                f"{builder.name} has no label {wanted!r}; it has {', '.join(offered) or 'none'}"
            )
        return wanted
    supervised = builder.info.supervised_keys
    return supervised[1] if supervised and supervised[1] in offered else None


def _class_labels(builder: Any) -> list[str]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    return [key for key in features if isinstance(features[key], tfds.features.ClassLabel)]


def _image_key(builder: Any) -> str:
    import tensorflow_datasets as tfds

    features = builder.info.features
    for key in features:
        if isinstance(features[key], tfds.features.Image):
            return key
    raise UserError(f"{builder.name} has no images; it has {', '.join(features)}")


def _decode(builder: Any, request: Request) -> Entry:
    """Decode every image and keep every kind of label, so that one entry serves them all."""
    import tensorflow_datasets as tfds

    image_key = _image_key(builder)
    height, width, channels = builder.info.features[image_key].shape
    if request.image_size is None and (height is None or width is None):
        raise UserError(f"the images of {builder.name} differ in size: set the image size")
    size = request.image_size
    shape = (height, width, channels) if size is None else (size, size, channels)
    total = sum(builder.info.splits[split].num_examples for split in request.splits)
    images = np.empty((total, *shape), np.uint8)
    labels = {key: np.empty(total, np.int32) for key in _class_labels(builder)}
    records = (
        record
        for split in request.splits
        for record in builder.as_data_source(
            split=split, decoders={image_key: tfds.decode.SkipDecoding()}
        )
    )
    for index, record in enumerate(progress(records, total, f"decoding {builder.name}")):
        images[index] = decode_bytes(record[image_key], channels, size)
        for key, values in labels.items():
            values[index] = record[key]
    return Entry({_IMAGES: images, **labels}, {})
