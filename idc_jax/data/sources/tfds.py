"""TensorFlow Datasets by name, read without TensorFlow once they are prepared."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.data.cache import Entry, cached, file_stamps, room
from idc_jax.data.decode import UnreadableError, decode_bytes
from idc_jax.data.progress import progress
from idc_jax.data.sources.base import Request, compact_labels, named_splits
from idc_jax.data.subset import choose
from idc_jax.errors import UserError

_IMAGES = "images"
# Of a limited entry: which samples it has, and the labels of all that there are.
_KEPT, _EVERY_LABEL = "kept", "every label"


def load_tfds(request: Request) -> Dataset:
    """Read the request's data set, its splits joined in the order given.

    A data set that is not prepared yet is downloaded, for which TFDS itself needs TensorFlow.

    Raises:
      UserError: TFDS is missing, has no such data set, split or label, or cannot prepare it.
    """
    builder = _prepared(request)
    missing = [split for split in named_splits(request) if split not in builder.info.splits]
    if missing:
        held = ", ".join(builder.info.splits)
        raise UserError(f"{builder.name} has no split {missing[0]!r}; it has {held}")
    label_key = _label_key(builder, request.label_key)
    key: dict[str, Any] = {
        "files": file_stamps(_files(builder)),
        "splits": request.splits,
    } | request.decoding()
    sizes = [builder.info.splits[split].num_examples for split in request.splits]
    limited = request.limit is not None and request.limit.most < sum(sizes)
    if limited:
        key |= {"limit": request.limit, "label_key": label_key}
    entry = cached(
        request.cache_dir,
        builder.name,
        key,
        lambda: _limited(builder, request, label_key) if limited else _all(builder, request),
    )
    arrays = entry.arrays
    labels, names = _labels(builder, label_key, entry)
    train = np.repeat([split == "train" for split in request.splits], sizes)
    return Dataset(
        name=builder.name if label_key in (None, "label") else f"{builder.name}/{label_key}",
        kind="images",
        inputs=arrays[_IMAGES],
        labels=labels,
        class_names=names,
        names=(),
        train=train[arrays[_KEPT]] if limited else train,
        skipped=(),
    )


def _labels(
    builder: Any, label_key: str | None, entry: Entry
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if label_key is None:
        return None, ()
    # Of few samples also the classes count that none of them is of.
    every = entry.arrays.get(_EVERY_LABEL, entry.arrays[label_key])
    labels, names = compact_labels(every, tuple(builder.info.features[label_key].names))
    return labels[entry.arrays[_KEPT]] if _KEPT in entry.arrays else labels, names


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
        raise UserError(f"TFDS has no data set {request.name!r}") from error
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


def _all(builder: Any, request: Request) -> Entry:
    """Decode every image and keep every kind of label, so that one entry serves them all."""
    sources = _sources(builder, request)
    records = (record for source in sources for record in source)
    return Entry(_decode(builder, request, records, sum(map(len, sources))), {})


def _limited(builder: Any, request: Request, label_key: str | None) -> Entry:
    """Decode the images that the request's limit chooses, of which ``kept`` says the positions."""
    sources = _sources(builder, request)
    labels, total = None, sum(map(len, sources))
    every: dict[str, np.ndarray] = {}
    if label_key is not None:
        records = progress(
            (record for source in sources for record in source), total, "reading labels"
        )
        every[_EVERY_LABEL] = np.asarray([record[label_key] for record in records], np.int32)
        labels = compact_labels(every[_EVERY_LABEL])[0]
    kept = choose(request.limit, total, labels)
    chosen = (record for source, rows in _by_source(sources, kept) for record in _at(source, rows))
    return Entry({**_decode(builder, request, chosen, len(kept)), **every, _KEPT: kept}, {})


def _by_source(sources: list[Any], kept: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """Each split with the rows of it that are kept."""
    start = 0
    for source in sources:
        yield source, kept[(kept >= start) & (kept < start + len(source))] - start
        start += len(source)


def _at(source: Any, rows: np.ndarray) -> Iterator[Any]:
    return (source[int(row)] for row in rows)


def _sources(builder: Any, request: Request) -> list[Any]:
    """The splits' records, their images still encoded."""
    import tensorflow_datasets as tfds

    encoded = {_image_key(builder): tfds.decode.SkipDecoding()}
    return [builder.as_data_source(split=split, decoders=encoded) for split in request.splits]


def _decode(
    builder: Any, request: Request, records: Iterator[Any], total: int
) -> dict[str, np.ndarray]:
    """The images of ``records``, and each kind of label."""
    image_key = _image_key(builder)
    height, width, channels = builder.info.features[image_key].shape
    if request.image_size is None and (height is None or width is None):
        raise UserError(f"the images of {builder.name} differ in size: set the image size")
    size = request.image_size
    shape = (height, width, channels) if size is None else (size, size, channels)
    images = room(request.cache_dir, (total, *shape))
    labels = {key: np.empty(total, np.int32) for key in _class_labels(builder)}
    for index, record in enumerate(progress(records, total, f"decoding {builder.name}")):
        try:
            images[index] = decode_bytes(
                record[image_key], channels, size, request.rule, request.kernel
            )
        except UnreadableError as error:
            raise UserError(
                f"{builder.name}: image {index} of {total} cannot be read ({error}): remove "
                f"{builder.data_path}, and prepare it anew"
            ) from error
        for key, values in labels.items():
            values[index] = record[key]
    return {_IMAGES: images, **labels}
