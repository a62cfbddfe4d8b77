"""States as plain nested dicts, and back: what a file can hold of them."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints, overload

import jax.numpy as jnp
import numpy as np

_T = TypeVar("_T")


def plain_tree(tree: Any) -> Any:
    """Turn NamedTuples, tuples and lists into dicts, by field or ``"0"``, ``"1"``, ...

    Args:
      tree: of arrays, Python's numbers and None.

    Returns:
      Nested dicts of NumPy arrays and None.
    """
    if tree is None:
        return None
    items = _items(tree)
    if items is None:
        return np.asarray(tree)
    return {str(name): plain_tree(part) for name, part in items.items()}


def take_empty(tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part the arrays of a plain tree from all that holds no number.

    Returns:
      The tree with the full arrays alone, and the skeleton of the rest, for JSON: an empty array
      is ``{"array": [shape, dtype]}``, an empty dict ``{"dict": {}}``, None ``{"none": {}}`` and
      a dict that holds any of these ``{"dict": {name: ...}}``.
    """
    full: dict[str, Any] = {}
    empty: dict[str, Any] = {}
    for name, part in tree.items():
        if isinstance(part, dict) and part:
            inner, bare = take_empty(part)
            full |= {name: inner} if inner else {}
            empty |= {name: {"dict": bare}} if bare else {}
        elif part is None:
            empty[name] = {"none": {}}
        elif isinstance(part, dict):
            empty[name] = {"dict": {}}
        elif part.size:
            full[name] = part
        else:
            empty[name] = {"array": [list(part.shape), str(part.dtype)]}
    return full, empty


def fill_empty(full: Mapping[str, Any], empty: Mapping[str, Any]) -> dict[str, Any]:
    """Put the two results of :func:`take_empty` together again."""
    tree = dict(full)
    for name, part in empty.items():
        ((kind, held),) = part.items()
        if kind == "dict":
            tree[name] = fill_empty(tree.get(name, {}), held)
        else:
            tree[name] = None if kind == "none" else np.zeros(held[0], jnp.dtype(held[1]))
    return tree


@overload
def rebuild(like: type[_T], tree: Any) -> _T: ...
@overload
def rebuild(like: _T, tree: Any) -> _T: ...
def rebuild(like: Any, tree: Any) -> Any:
    """Make of plain nested dicts what was saved.

    Args:
      like: a NamedTuple class (its annotations say what its fields are), ``tuple[X, ...]``,
        ``list[X]`` or ``dict[str, X]``; anything else leaves its part as it is. Or, in place of a
        class, a tree of the same structure.
      tree: what :func:`plain_tree` gave. A field that it lacks takes its default.

    Raises:
      ValueError: a field without a default is missing, or ``tree`` has one that ``like`` lacks.
    """
    if isinstance(like, type | types.GenericAlias | types.UnionType) or get_origin(like):
        return _by_type(like, tree)
    return _by_example(like, tree)


def _items(tree: Any) -> dict[Any, Any] | None:
    """The parts of a node by name, or None for a leaf."""
    if isinstance(tree, Mapping):
        return dict(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_asdict"):
        return tree._asdict()
    return dict(enumerate(tree)) if isinstance(tree, tuple | list) else None


def _by_type(kind: Any, tree: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if tree is None or kind is None:
        return tree
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _named(kind, tree)
    if origin in (Union, types.UnionType):
        return _by_type(next((k for k in inner if k is not types.NoneType), None), tree)
    if (origin is tuple and len(inner) == 2 and inner[1] is Ellipsis) or origin is list:
        return origin(_by_type(inner[0], part) for part in _in_order(tree))
    if origin is tuple:
        parts = _in_order(tree)
        return tuple(_by_type(k, part) for k, part in zip(inner, parts, strict=True))
    if origin is dict:
        return {name: _by_type(inner[1], part) for name, part in tree.items()}
    return tree


def _named(kind: Any, tree: Mapping[str, Any]) -> Any:
    unknown = sorted(tree.keys() - set(kind._fields))
    missing = sorted(set(kind._fields) - tree.keys() - kind._field_defaults.keys())
    if unknown or missing:
        raise ValueError(
            f"no {kind.__name__}: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}"
        )
    hints = get_type_hints(kind)
    return kind(**{name: _by_type(hints[name], part) for name, part in tree.items()})


def _in_order(tree: Mapping[str, Any]) -> list[Any]:
    return [tree[str(number)] for number in range(len(tree))]


def _by_example(like: Any, tree: Any) -> Any:
    items = _items(like)
    if items is None:
        return tree
    if set(map(str, items)) != set(tree):
        raise ValueError(f"{sorted(map(str, items))} are wanted, and {sorted(tree)} were saved")
    parts = {name: _by_example(part, tree[str(name)]) for name, part in items.items()}
    if isinstance(like, Mapping):
        return parts
    if hasattr(like, "_fields"):
        return type(like)(**parts)
    return type(like)(parts.values())
