"""What functions on arrays are given: checked at the door, in one line where it will not do.

A function says of each argument what it wants, sizes by letters that mean the same wherever they
stand::

    @takes(embeddings=floats("n d"), centers=floats("c d"), budget=count(0), labelled=flags("n"))

Lists and NumPy arrays become arrays. Under 64-bit defaults (``jax_enable_x64``) such a function
still computes in 32 bits, so that it finds the same; ``takes_as_is`` leaves the width as it is.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError
from idc_jax.ops import sharded

_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")

# Letters and sizes that earlier arguments have settled: size, and the argument's name.
_Sizes = dict[str, tuple[int, str]]
# (name, value, sizes) -> the value to go on with.
Want = Callable[[str, Any, _Sizes], Any]


_NARROW = {"float64": np.float32, "int64": np.int32, "uint64": np.uint32}
_LARGEST = 2**31 - 1


class _Kind(NamedTuple):
    """Numbers of a kind."""

    name: str
    letters: str  # of NumPy's kinds of types
    hint: str = ""


_FLOATS = _Kind("numbers", "fiubV")  # V is bfloat16
_INTS = _Kind("whole numbers", "iu")
_FLAGS = _Kind("bool", "b", ", true where it holds (of labels with -1 for unknown, labels >= 0)")


def takes(**wanted: Want) -> Callable[[Callable[_Given, _Found]], Callable[_Given, _Found]]:
    """Check the arguments named ``wanted`` before a function sees them; None is left alone.

    Raises:
      UserError: from the function, naming what came and what it must be.
    """

    def wrap(function: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
        checked = takes_as_is(**wanted)(function)

        @functools.wraps(function)
        def narrow(*args: _Given.args, **kwargs: _Given.kwargs) -> _Found:
            with in_32_bits():
                return checked(*args, **kwargs)

        return narrow

    return wrap


def takes_as_is(**wanted: Want) -> Callable[[Callable[_Given, _Found]], Callable[_Given, _Found]]:
    """:func:`takes` for a function that computes in the width of what it is given."""

    def wrap(function: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
        signature = inspect.signature(function)
        needed = {
            name
            for name, one in signature.parameters.items()
            if one.default is not None and "None" not in str(one.annotation)
        }

        @functools.wraps(function)
        def checked(*args: _Given.args, **kwargs: _Given.kwargs) -> _Found:
            given = signature.bind(*args, **kwargs)
            for name in needed & wanted.keys():
                if given.arguments.get(name, name) is None:
                    raise UserError(f"{name} is None; it is needed")
            given.arguments.update(check(wanted, given.arguments))
            with sharded.like(*given.arguments.values()):
                return function(*given.args, **given.kwargs)

        return checked

    return wrap


def in_32_bits() -> AbstractContextManager[object]:
    """Where numbers have 32 bits whatever the process's default is."""
    if not _wide():
        return contextlib.nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(False)
    return jax.experimental.enable_x64(False)  # type: ignore[attr-defined]  # what it was called


def _wide() -> bool:
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def check(wanted: Mapping[str, Want], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``given`` that are ``wanted``, as they are to be."""
    sizes: _Sizes = {}
    return {
        name: want(name, given[name], sizes)
        for name, want in wanted.items()
        if given.get(name) is not None
    }


def floats(shape: str) -> Want:
    """Numbers of some ``shape``, as ``"n d"``; of any for ``"..."``."""
    return functools.partial(_array, _FLOATS, shape.split())


def ints(shape: str) -> Want:
    """Whole numbers of some ``shape``."""
    return functools.partial(_array, _INTS, shape.split())


def flags(shape: str) -> Want:
    """Truth values of some ``shape``."""
    return functools.partial(_array, _FLAGS, shape.split())


def count(least: int) -> Want:
    """A whole number of at least ``least``."""

    def want(name: str, value: Any, sizes: _Sizes) -> int:
        del sizes
        try:
            whole = None if isinstance(value, bool) else operator.index(value)
        except TypeError:
            whole = None
        if whole is None or whole < least:
            text = f" {value!r:.60}" if isinstance(value, str | int | float) else _described(value)
            raise UserError(f"{name} is{text}; it must be a whole number of at least {least}")
        return whole

    return want


def key(name: str, value: Any, sizes: _Sizes) -> Any:
    """A key of ``jax.random``, also an old-style one."""
    del sizes
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    if typed or (dtype == np.uint32 and shape == (2,)):
        return value
    seed = value if isinstance(value, int) and not isinstance(value, bool) else 0
    raise UserError(f"{name} is{_described(value)}; use a key, jax.random.key({seed})")


def _array(kind: _Kind, shape: Sequence[str], name: str, value: Any, sizes: _Sizes) -> jax.Array:
    array = value if isinstance(value, jax.Array) else _from_outside(name, value)
    shape = [str(size) for size in array.shape] if shape == ["..."] else shape
    if len(array.shape) != len(shape) or not _fits(array.shape, shape, sizes):
        told = ", ".join(str(sizes[letter][0]) if letter in sizes else letter for letter in shape)
        others = {f"{letter} is that of {sizes[letter][1]}" for letter in shape if letter in sizes}
        why = f" ({', '.join(sorted(others))})" if others else ""
        raise UserError(
            f"{name} has shape {list(array.shape)}; it must be {kind.name} [{told}]{why}"
        )
    if getattr(array.dtype, "kind", "O") not in kind.letters:
        raise UserError(f"{name} is{_described(array)}; it must be {kind.name}{kind.hint}")
    sizes |= {
        letter: (size, name)
        for letter, size in zip(shape, array.shape, strict=True)
        if letter not in sizes
    }
    if isinstance(array, jax.Array):
        narrow = None if _wide() else _NARROW.get(array.dtype.name)
        return array if narrow is None else array.astype(narrow)
    if array.dtype.kind in "iu" and array.size and np.abs(array).max() > _LARGEST:
        raise UserError(f"{name} holds {np.abs(array).max()}; the most is {_LARGEST}")
    return jnp.asarray(array)


def _fits(found: tuple[int, ...], shape: Sequence[Any], sizes: _Sizes) -> bool:
    """Whether each size is that of its letter, also where a letter comes twice."""
    here: dict[Any, int] = {}
    return all(
        here.setdefault(letter, sizes.get(letter, (size, ""))[0]) == size
        for letter, size in zip(shape, found, strict=True)
    )


def _from_outside(name: str, value: Any) -> np.ndarray:
    """A list or somebody else's array."""
    if hasattr(value, "toarray"):
        raise UserError(f"{name} is sparse{_described(value)}; use {name}.toarray()")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise UserError(
            f"{name} is masked{_described(value)}; leave out its masked rows, or fill in "
            "what is masked"
        )
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} is{_described(value)} of unequal rows; use an array") from error
    if array.dtype.kind in "OUSmMc" or isinstance(value, str | dict | set):
        raise UserError(f"{name} is{_described(value)}; use an array of numbers")
    return array


def _described(value: Any) -> str:
    """A type and a shape, as far as there is one, with a space before."""
    if isinstance(value, str | bool | int | float):
        return f" {value!r:.60}"
    shape = getattr(value, "shape", None)
    kind = str(value.dtype) if hasattr(value, "dtype") else f"a {type(value).__name__}"
    return f" {kind} {list(shape)}" if isinstance(shape, tuple) else f" {kind}"
