"""What a sweep goes through: ``NAME=A,B,C`` read into values of the option's own type."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from idc_jax.errors import UserError
from idc_jax.methods import registry

Value = bool | int | float | str

_CHOOSES_METHOD = "--config=FILE:METHOD chooses the method"
# Options that belong to the whole command, not to a point.
_FIXED = {
    "method": f"{_CHOOSES_METHOD}, one sweep each",
    "workdir": "every point gets a folder of its own in --workdir",
}
_TRUTH = {"true": True, "false": False}


class Axis(NamedTuple):
    """An option and the values that it takes in turn."""

    name: str
    values: tuple[Value, ...]


def parse_axes(texts: Sequence[str], config: ConfigDict) -> tuple[Axis, ...]:
    """Read ``"NAME=A,B,C"``, each value of the type that ``config`` has there.

    Raises:
      UserError: a name that is unknown, repeated, or nothing to ``config``'s method; no values, a
        repeated value, one of another type.
    """
    known = dict(_flat(config))
    axes = tuple(_axis(text, known) for text in texts)
    for axis in axes:
        if sum(other.name == axis.name for other in axes) > 1:
            raise UserError(f"--sweep={axis.name}: given twice; use one list of values")
        _check_read(axis.name, config.method)
    return axes


def _axis(text: str, known: Mapping[str, Any]) -> Axis:
    name, _, listed = text.partition("=")
    parts = [part.strip() for part in listed.split(",")]
    if not all(parts):
        raise UserError(f"--sweep={text}: a value is missing; write --sweep=NAME=A,B,C")
    if name in _FIXED:
        raise UserError(f"--sweep={name}: cannot be swept; {_FIXED[name]}")
    if name not in known:
        alike = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {alike[0]}?" if alike else "--options lists them"
        raise UserError(f"--sweep={name}: there is no such option; {hint}")
    values = tuple(_value(name, part, known[name]) for part in parts)
    for value in values:
        if values.count(value) > 1:
            raise UserError(f"--sweep={name}: {value!r} is listed twice")
    return Axis(name, values)


def _check_read(name: str, method: str) -> None:
    """Refuse an option that ``method`` never looks at: all its points would be the same run."""
    spec = registry.get(method)
    if name == "selector" and spec.chooses != "samples":
        raise UserError(
            f"--sweep=selector: these choose samples, but {method} asks about {spec.chooses}, "
            "which it chooses itself"
        )
    group = name.partition(".")[0]
    readers = [other.name for other in registry.specs() if group in other.options]
    if not readers or method in readers:
        return
    told = f"{' and '.join(readers)} {'reads' if len(readers) == 1 else 'read'}"
    raise UserError(f"--sweep={name}: only {told} it, and this is {method}; {_CHOOSES_METHOD}")


def _value(name: str, text: str, like: Any) -> Value:
    """``text`` as a value of the type of ``like``."""
    if isinstance(like, str):
        return text
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    if type(like) not in kinds:
        raise UserError(f"--sweep={name}: the option is a list, and cannot be swept")
    try:
        value = _TRUTH[text.lower()] if isinstance(like, bool) else type(like)(text)
    except (ValueError, KeyError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"--sweep={name}: {text!r} is not {kinds[type(like)]}")
    return value


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        inner = isinstance(value, ConfigDict)
        found += _flat(value, f"{prefix}{name}.") if inner else [(prefix + name, value)]
    return found
