"""The methods' names are said by the methods alone; everything else asks the registry."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from idc_jax.methods import registry

ROOT = Path(__file__).resolve().parents[2]
# A selector may be called like the method that it comes from.
AT_HOME = ("methods", "selectors")
FILES = sorted(
    path
    for path in (ROOT / "idc_jax").rglob("*.py")
    if path.relative_to(ROOT / "idc_jax").parts[0] not in AT_HOME
)
FILES += sorted((ROOT / "configs").glob("*.py"))


def named(source: str) -> list[str]:
    """Every string of ``source`` that is a method's or an option group's name, with its line."""
    known = {name for spec in registry.specs() for name in (spec.name, *spec.options)}
    tree = ast.parse(source)
    exempt = {id(node) for node in _deciding_nothing(tree)}
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in known and id(node) not in exempt
    ]


def _deciding_nothing(tree: ast.Module) -> Iterator[ast.expr]:
    """What a config starts from, what a module exports, and a phase's name in a line of the log."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from getattr(node.value, "elts", ())
        if isinstance(node, ast.FunctionDef) and node.name == "get_config":
            yield from node.args.defaults
        if isinstance(node, ast.keyword) and node.arg == "phase":
            yield node.value
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "phase":
                    yield value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_method_is_named(path: Path) -> None:
    assert not named(path.read_text())


def test_a_name_is_found_where_it_decides() -> None:
    source = '''
"""Of idc."""
__all__ = ["finetune"]
def get_config(method="idc"):
    log({"phase": "finetune"})
    return ("dsac" if method == "idc" else {"pcl_training": f"{method}"})
'''
    assert sorted(named(source)) == ["6: dsac", "6: idc", "6: pcl_training"]
