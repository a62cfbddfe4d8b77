"""Which array or column of a file is the features, which the labels and which the names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from idc_jax.data.sources.base import compact_labels
from idc_jax.errors import UserError, representable

FEATURES_KEY = "features"
# What else they are called, the likeliest first.
_FEATURES = ("embeddings", "embedding", "feats", "feature", "x", "data")
_LABELS = ("labels", "label", "y", "targets", "target", "classes", "class")
# fmt: off
_NAMES = (
    "names", "ids", "paths", "filenames", "name", "id", "path", "filename", "file_name", "file",
)
# fmt: on
# How programs call the column that counts or names a table's rows.
_INDEX = ("", "index", "unnamed: 0", "__index_level_0__")
# From here on, floating-point numbers are not told apart from the next whole one.
_EXACT = 2**53


class Columns(NamedTuple):
    """What a file of features holds.

    Attributes:
      features: ``[n, d]``, as they are in the file.
      labels: ``[n]``, or None.
      names: ``[n]``, what the samples are called, or None.
      notes: what a person should know of how they were found, a line each.
    """

    features: np.ndarray
    labels: np.ndarray | None
    names: np.ndarray | None
    notes: tuple[str, ...] = ()


def pick_features(arrays: Mapping[str, np.ndarray], wanted: str, what: str) -> str:
    """Which of ``arrays`` the features are.

    Args:
      arrays: all that there are.
      wanted: what was asked for; where it is the usual name, another may do.
      what: the file, to begin an error with.

    Raises:
      UserError: none, or nobody can tell which.
    """
    if wanted in arrays:
        return wanted
    held = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()) or "nothing"
    tables = [name for name, array in arrays.items() if _is_table(array)]
    if wanted != FEATURES_KEY or not tables:
        raise UserError(f"{what} has no array {wanted!r}; it holds {held}")
    found = named(tables, _FEATURES) or (tables[0] if len(tables) == 1 else None)
    if found is None:
        raise UserError(
            f"{what} has no array {wanted!r} but several that may be meant: it holds {held}; "
            f"features_key={tables[0]} names one"
        )
    return found


def pick_labels(
    arrays: Mapping[str, np.ndarray], wanted: str | None, count: int, what: str
) -> str | None:
    """Which of ``arrays`` the labels of ``count`` samples are; None where none are.

    Raises:
      UserError: ``wanted`` is not there.
    """
    if wanted is None:
        fitting = [name for name, array in arrays.items() if _may_be_labels(array, count)]
        return named([*fitting, *({_LABELS[0]} & arrays.keys())], _LABELS)
    if wanted not in arrays:
        held = ", ".join(arrays) or "features alone"
        raise UserError(f"{what} has no labels {wanted!r}; it holds {held}")
    return wanted


def pick_names(arrays: Mapping[str, np.ndarray], count: int) -> str | None:
    """Which of ``arrays`` the names of ``count`` samples are; None where none are."""
    fitting = [name for name, array in arrays.items() if _is_list(array, count, "iuUS")]
    return named(fitting, _NAMES)


def columns_of(
    columns: Mapping[str, np.ndarray],
    what: str,
    *,
    features_key: str = FEATURES_KEY,
    label_key: str | None = None,
    notes: Sequence[str] = (),
) -> Columns:
    """Features, labels and names from the columns of a table.

    The features are its one column of vectors, or that called ``features_key``; without one, all
    columns of numbers that are neither labels nor names.

    Args:
      columns: numbers ``[n]``, strings ``[n]`` or vectors ``[n, d]``, by name.
      what: the file, to begin an error with.
      features_key: which vectors.
      label_key: which labels; None for those that are called so.
      notes: what a person should know already.

    Raises:
      UserError: there are no features, or nobody can tell which.
    """
    if not columns:
        raise UserError(f"{what} has no columns of numbers, text or vectors")
    vectors = {name: column for name, column in columns.items() if column.ndim == 2}
    others = {name: column for name, column in columns.items() if column.ndim == 1}
    count = len(next(iter(columns.values())))
    label_key = pick_labels(_possible_labels(others), label_key, count, what)
    labels = None if label_key is None else others.pop(label_key)
    names = row_names(others, count)
    chosen = {name: column for name, column in others.items() if column.dtype.kind in "fiub"}
    if vectors or features_key != FEATURES_KEY:
        key = pick_features(vectors | chosen, features_key, what)
        chosen = {key: (vectors | chosen)[key]}
    if not chosen:
        held = ", ".join(columns)
        raise UserError(f"{what} has no columns of numbers, as in 1.5; it has {held}")
    told = [] if label_key in (None, "labels") else [f"{label_key!r} is taken for the labels"]
    if left := [name for name in (*others, *vectors) if name not in chosen]:
        told.append(f"not read: {', '.join(map(repr, left))}")
    features = np.column_stack(list(chosen.values()))
    return Columns(features, labels, names, (*notes, *told))


def _possible_labels(columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    # Beside an x, y is the other coordinate.
    if "x" not in columns:
        return columns
    return {name: column for name, column in columns.items() if name != "y"}


def row_names(columns: dict[str, np.ndarray], count: int) -> np.ndarray | None:
    """The column that names the rows, whole numbers or strings ``[n]``; None where none does.

    It is taken out of ``columns``, and so is a table's own count of its rows.
    """
    index = next((name for name in columns if name.casefold() in _INDEX), None)
    numbers = None if index is None else _whole(columns.pop(index))
    key = pick_names(columns | {n: _whole(c) for n, c in columns.items()}, count)
    if key is not None:
        return _whole(columns.pop(key))
    # A table's own count of its rows names nothing.
    counted = numbers is not None and numbers.tolist() == list(range(count))
    return None if counted else numbers


def _whole(column: np.ndarray) -> np.ndarray:
    """Numbers without fractions as integers, unless they are too large to be exact."""
    if column.dtype.kind != "f" or not (column == np.rint(column)).all():
        return column
    wide = column.astype(np.float64)
    return wide.astype(np.int64) if (np.abs(wide) < _EXACT).all() else column


def named(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The first of ``wanted`` that is among ``names``, capital letters or not."""
    known = {name.casefold(): name for name in names}
    return next((known[name] for name in wanted if name in known), None)


def checked_labels(
    labels: np.ndarray | None, count: int, what: str
) -> tuple[np.ndarray | None, tuple[str, ...], list[str]]:
    """Labels int32 ``[n]``, -1 for unknown, or None; the classes' names, and what to know of them.

    Raises:
      UserError: they do not fit ``count`` samples, or are not labels.
    """
    if labels is None:
        return None, (), []
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != count:
        raise UserError(
            f"{what}: labels {list(labels.shape)} do not fit {count} rows of features: "
            f"one label per row is needed"
        )
    plain = _plain(labels)
    if plain is None:
        raise UserError(f"{what}: labels must be integers or strings, got {labels.dtype}")
    found, names = compact_labels(plain)
    unknown = int((found < 0).sum())
    two = ["labels -1 and 1 are taken for two classes"] if names == ("-1", "1") else []
    if not names:
        return None, (), [f"{what}: no label is known, all are {labels[0]!r} or such"]
    notes = [f"{unknown} of {count} samples have no label"] if unknown else []
    return found, tuple(map(representable, names)), two + notes


def checked_names(names: np.ndarray | None, key: str) -> tuple[tuple[str, ...], list[str]]:
    """What samples are called, nothing where several are called the same, and a line on why."""
    if names is None:
        return (), []
    plain = _text(names) if names.dtype.kind == "S" else names
    called = tuple(map(str, plain.tolist()))
    values, counts = np.unique(np.asarray(called), return_counts=True)
    if len(values) < len(called):
        twice = str(values[counts.argmax()])
        return (), [f"{key} are not read: {counts.max()} samples are called {twice!r}"]
    return called, []


def _plain(labels: np.ndarray) -> np.ndarray | None:
    """Labels as integers, below 0 where unknown, or strings; None where they are neither."""
    if labels.dtype.kind == "S":
        return _text(labels)
    if labels.dtype.kind == "f":
        known = ~np.isnan(labels)
        whole = np.where(known, labels, -1).astype(np.float64)
        if not (np.abs(whole) < _EXACT).all() or (whole != np.rint(whole)).any():
            return None
        labels = whole.astype(np.int64)
    if labels.dtype.kind not in "iubU":
        return None
    # Two classes, as machines with margins have them; else -1 is nobody's class.
    if labels.dtype.kind == "i" and set(np.unique(labels).tolist()) == {-1, 1}:
        return labels.astype(str)
    return labels


def _text(array: np.ndarray) -> np.ndarray:
    return np.char.decode(array, "utf-8", "replace")


def _is_table(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.dtype.kind in "fiub" and 0 not in array.shape


def _may_be_labels(array: np.ndarray, count: int) -> bool:
    if array.shape == (count, 1):
        array = array[:, 0]
    return _is_list(array, count, "iubfUS") and _plain(array) is not None


def _is_list(array: np.ndarray, count: int, kinds: str) -> bool:
    return array.shape == (count,) and array.dtype.kind in kinds
