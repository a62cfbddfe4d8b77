"""Imports run down only, and no file of a room imports one that imports it."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "idc_jax"
# From the top down; a room may import those after it.
ROOMS = (
    ("__main__",),
    ("command",),
    ("launch",),
    ("session", "sweeps"),
    ("runs",),
    ("methods", "asking"),
    ("export",),
    ("report",),
    ("train", "annotate"),
    ("models", "data"),
    ("selectors",),
    ("scores",),
    ("metrics", "losses", "outlook"),
    ("ops",),
    ("hosts",),
    ("errors",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
# Arrays only: what other projects import needs neither files nor networks.
ARRAYS = ("selectors", "scores", "losses", "outlook", "ops", "errors")


def module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name: str) -> set[str]:
    """The files of the package that ``name`` imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in FILES else node.module for one in inner}
    return {one for one in found if one in FILES and one != name}


def room(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("name", [name for name in FILES if "." in name])
def test_imports_run_down(name: str) -> None:
    for other in imported(name):
        if "." not in other or room(other) == room(name):
            continue
        assert FLOOR[room(name)] < FLOOR[room(other)], f"{name} imports {other}"
        if room(name) in ARRAYS:
            assert room(other) in ARRAYS, f"{name} imports {other}"


def test_no_circle() -> None:
    # A package's __init__ names its files, and its files may be imported through it.
    graph = {
        name: {other for other in imported(name) if not name.startswith(other)}
        for name, path in FILES.items()
        if path.name != "__init__.py"
    }
    TopologicalSorter(graph).prepare()
