"""Every public name is on one page of the API, and says what it is.

A name is public if the ``__all__`` of one of the package's packages lists it, or if one of
``MODULES``, which belong to no such package, defines it without an underscore before it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import idc_jax

griffe = pytest.importorskip("griffe", reason="reads docstrings of values: pip install '.[docs]'")

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("errors", "metrics", "methods.contract", "methods.registry", "selectors.masks")
# Errors' helpers speak of messages; the error is what a caller meets.
ERRORS = ("UserError",)
SHOWN = [
    name
    for page in sorted((ROOT / "docs" / "api").glob("*.md"))
    for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


def packages() -> list[ModuleType]:
    found = pkgutil.walk_packages(idc_jax.__path__, "idc_jax.")
    return [importlib.import_module(info.name) for info in found if info.ispkg]


def defined(module: ModuleType) -> list[str]:
    """What a module without a package of its own has to offer."""
    listed = getattr(module, "__all__", None)
    own = (
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )
    return list(listed or own)


def public() -> dict[str, Any]:
    """Every public name from the package's root on, and what it stands for."""
    names = {
        f"{package.__name__}.{name}": getattr(package, name)
        for package in packages()
        for name in getattr(package, "__all__", ())
    }
    for path in MODULES:
        module = importlib.import_module(f"idc_jax.{path}")
        wanted = ERRORS if path == "errors" else defined(module)
        names |= {f"{module.__name__}.{name}": getattr(module, name) for name in wanted}
    return names


def identity(name: str, value: Any) -> object:
    """The same for two names of one class, function or container."""
    shared = value is Any or isinstance(value, int | float | str | tuple)
    return name if shared else id(value)


def resolved(name: str) -> Any:
    """What ``name`` stands for, also below a function that hides the module of its name."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


PUBLIC = public()
IDENTITIES = Counter(identity(name, resolved(name)) for name in SHOWN)


def test_there_are_names() -> None:
    assert {"idc_jax.selectors.idc", "idc_jax.session.Session", "idc_jax.ops.knn"} <= PUBLIC.keys()


@pytest.mark.parametrize("name", PUBLIC)
def test_it_is_on_one_page(name: str) -> None:
    assert IDENTITIES[identity(name, PUBLIC[name])] == 1


def test_nothing_else_is_shown() -> None:
    known = {identity(name, value) for name, value in PUBLIC.items()}
    assert [name for name in SHOWN if identity(name, resolved(name)) not in known] == []


@pytest.fixture(scope="module")
def tree() -> Any:
    return griffe.load("idc_jax", search_paths=[str(ROOT)])


@pytest.mark.parametrize("name", SHOWN)
def test_it_says_what_it_is(name: str, tree: Any) -> None:
    found = tree[name.removeprefix("idc_jax.")]
    assert (found.final_target if found.is_alias else found).docstring is not None
