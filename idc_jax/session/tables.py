"""Tables that people have in Python: a DataFrame, a Dataset of Hugging Face's."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.data import default_cache_dir
from idc_jax.data.base import Skipped
from idc_jax.data.cache import room
from idc_jax.data.decode import UnreadableError, decode_bytes
from idc_jax.data.progress import progress
from idc_jax.data.sources.columns import FEATURES_KEY, columns_of, pick_features, row_names
from idc_jax.data.sources.parquet import arrow_column
from idc_jax.data.telling import told
from idc_jax.errors import UserError, check_one_of


class Table(NamedTuple):
    """What a table holds.

    Attributes:
      images: uint8 ``[n, side, side, 3]``, or None.
      features: ``[n, d]``, or None; one of both is there.
      ids: what the rows are called ``[n]``; None for their numbers.
      labels: what each row is known to be ``[n]``, None for unknown; nothing where nobody asked.
      skipped: rows that could not be read.
      notes: what a person should know, a line each.
    """

    images: np.ndarray | None
    features: np.ndarray | None
    ids: tuple[Hashable, ...] | None
    labels: tuple[str | None, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many rows there are."""
        held = self.features if self.images is None else self.images
        assert held is not None
        return len(held)


def read_frame(frame: Any, label_column: str | None) -> Table:
    """Read a pandas DataFrame; its index, unless that only counts, says what the rows are called.

    Raises:
      UserError: it has no numbers, no rows, or no such column.
    """
    names = [str(name) for name in frame.columns]
    if not len(frame) or len(set(names)) < len(names):
        told = "two columns of one name" if len(frame) else "no rows"
        raise UserError(f"data is a DataFrame with {told}")
    series = dict(zip(names, (frame.iloc[:, at] for at in range(len(names))), strict=True))
    _check_column(label_column, names)
    labels = _labels(series.pop(label_column)) if label_column is not None else ()
    read = {name: _series(one) for name, one in series.items()}
    found = columns_of({name: one for name, one in read.items() if one is not None}, "data")
    index = tuple(frame.index.tolist())
    counted = index == tuple(range(len(index)))
    ids = _ids(found.names) if counted else index
    return Table(None, found.features, ids, labels, (), found.notes)


def is_hugging_face(data: Any) -> bool:
    """Whether ``data`` comes from the package ``datasets``."""
    return type(data).__module__.partition(".")[0] == "datasets"


def read_hugging_face(data: Any, side: int, label_column: str | None) -> Table:
    """Read a Dataset of Hugging Face's: a column of images, one of vectors, or both.

    Args:
      data: a ``datasets.Dataset``.
      side: of the squares that images are stored at, in pixels.
      label_column: which column says what rows are; None for none.

    Raises:
      UserError: it has neither, no rows, or no such column.
    """
    import datasets

    if not isinstance(data, datasets.Dataset):
        one = f", such as data[{next(iter(data))!r}]" if isinstance(data, dict) and data else ""
        raise UserError(f"data is {type(data).__name__}; use a single Dataset{one}")
    if not len(data):
        raise UserError("data is a Dataset with no rows")
    _check_column(label_column, data.column_names)
    labels = _class_labels(data, label_column) if label_column is not None else ()
    pictured = [n for n, kind in data.features.items() if isinstance(kind, datasets.Image)]
    columns = _arrow_columns(data, {label_column, *pictured})
    if not pictured:
        found = columns_of(columns, "data")
        return Table(None, found.features, _ids(found.names), labels, (), found.notes)
    if len(pictured) > 1:
        raise UserError(
            f"data has images in {', '.join(pictured)}; keep one of these columns, as with "
            f"data.remove_columns({pictured[1]!r})"
        )
    ids = _ids(row_names(columns, len(data)))
    vectors = {name: column for name, column in columns.items() if column.ndim == 2}
    features = vectors[pick_features(vectors, FEATURES_KEY, "data")] if vectors else None
    encoded = data.select_columns(pictured).cast_column(pictured[0], datasets.Image(decode=False))
    items = (row[pictured[0]] for row in encoded)
    return _with_images(Table(None, features, ids, labels), items, len(data), side)


def _with_images(
    table: Table, items: Iterable[Mapping[str, Any] | None], count: int, side: int
) -> Table:
    """``table`` with the images of its rows, without the rows that have none."""
    images = room(default_cache_dir(), (count, side, side, 3))
    kept: list[int] = []
    skipped: list[Skipped] = []
    for row, item in enumerate(progress(items, count, "decoding images")):
        try:
            images[len(kept)] = decode_bytes(_encoded(item), 3, side)
            kept.append(row)
        except UnreadableError as error:
            named = (item or {}).get("path") or f"row {row}"
            skipped.append(Skipped(named, str(error)))
    if not kept:
        raise UserError(f"none of {count} images can be read: {told(skipped)}")
    ids, features = table.ids, table.features
    if skipped:
        # What is left keeps its number.
        ids = tuple(kept if ids is None else (ids[row] for row in kept))
    return Table(
        images[: len(kept)],
        None if features is None else features[kept],
        ids,
        tuple(table.labels[row] for row in kept) if table.labels else (),
        tuple(skipped),
    )


def _encoded(item: Mapping[str, Any] | None) -> bytes:
    """The bytes of an image that is kept in the table, or beside it."""
    if item is None:
        raise UnreadableError("no image")
    if item["bytes"] is not None:
        return item["bytes"]
    try:
        return Path(item["path"]).read_bytes()
    except (OSError, TypeError) as error:
        raise UnreadableError(f"cannot be read: {error}") from error


def _arrow_columns(data: Any, without: set[str | None]) -> dict[str, np.ndarray]:
    """The columns of a Dataset, but for those ``without`` and any that hold classes."""
    import datasets

    kept = [
        name
        for name, kind in data.features.items()
        if name not in without and not isinstance(kind, datasets.ClassLabel)
    ]
    if not kept:
        return {}
    # As Arrow has it, in the order in which the Dataset returns its rows.
    table = data.select_columns(kept).with_format("arrow")[:]
    found = {name: arrow_column(table.column(name)) for name in kept}
    return {name: column for name, column in found.items() if column is not None}


def _series(series: Any) -> np.ndarray | None:
    """A column of pandas' as numbers ``[n]``, strings ``[n]`` or vectors ``[n, d]``; else None."""
    kind = getattr(series.dtype, "kind", "O")
    if kind in "fiub":
        return series.to_numpy(np.float64, na_value=np.nan) if series.hasnans else series.to_numpy()
    if kind not in "OUT":
        return None
    values = series.tolist()
    if isinstance(values[0], list | tuple | np.ndarray):
        with suppress(TypeError, ValueError):
            stacked = np.asarray(values, np.float64)
            return stacked if stacked.ndim == 2 else None
        return None
    missing = series.isna().tolist()
    return np.asarray(["" if gone else str(v) for v, gone in zip(values, missing, strict=True)])


def _check_column(label_column: str | None, names: Sequence[str]) -> None:
    if label_column is not None:
        check_one_of("label_column", label_column, names)


def _labels(series: Any) -> tuple[str | None, ...]:
    """What the rows of a column of pandas' are known to be."""
    missing = series.isna().tolist()
    return tuple(None if gone else _word(v) for v, gone in zip(series, missing, strict=True))


def _class_labels(data: Any, column: str) -> tuple[str | None, ...]:
    """What the rows of a Dataset are known to be: classes by their names."""
    import datasets

    kind, values = data.features[column], data.with_format(None)[column][:]
    if isinstance(kind, datasets.ClassLabel):
        return tuple(None if v is None or v < 0 else kind.int2str(v) for v in values)
    return tuple(None if v is None else _word(v) for v in values)


def _word(value: Any) -> str | None:
    """A label as the name of a group; below 0, as everywhere, it is unknown."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        if not value >= 0:
            return None
        return str(int(value)) if value == int(value) else str(value)
    return str(value) or None


def _ids(names: np.ndarray | None) -> tuple[Hashable, ...] | None:
    """What rows are called, unless several are called the same."""
    called = () if names is None else tuple(names.tolist())
    return called if called and len(set(called)) == len(called) else None
