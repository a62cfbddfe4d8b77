"""The methods by name: every package beside this file that has a ``SPEC``, and those registered."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from idc_jax import methods
from idc_jax.errors import UserError, check_one_of
from idc_jax.methods.contract import MethodSpec

_ADDED: dict[str, MethodSpec] = {}


def register(spec: MethodSpec) -> None:
    """Add a method that lives elsewhere.

    Raises:
      UserError: the name is taken.
    """
    if spec.name in names():
        raise UserError(f"there is a method {spec.name!r} already")
    _ADDED[spec.name] = spec


def forget(name: str) -> None:
    """Take back what :func:`register` did for ``name``."""
    del _ADDED[name]


def names() -> tuple[str, ...]:
    """Every method's name, in the order of the alphabet."""
    return tuple(sorted(_found() | _ADDED))


def get(name: str) -> MethodSpec:
    """The method called ``name``.

    Raises:
      UserError: there is none.
    """
    check_one_of("method", name, names())
    return (_found() | _ADDED)[name]


def usual() -> str:
    """The name of the method to take where nobody names another."""
    return next(spec.name for spec in specs() if spec.usual)


def specs() -> tuple[MethodSpec, ...]:
    """Every method, in the order of the names."""
    return tuple(get(name) for name in names())


@cache
def _found() -> dict[str, MethodSpec]:
    """Each package beside this file that says what method it is."""
    packages = (found.name for found in pkgutil.iter_modules(methods.__path__) if found.ispkg)
    parts = [importlib.import_module(f"{methods.__name__}.{name}") for name in packages]
    found = [part.SPEC for part in parts if hasattr(part, "SPEC")]
    return {spec.name: spec for spec in found}
