"""What is installed holds all that a clone does: pages, templates, configs by their names."""

from __future__ import annotations

import fnmatch
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that setup.py puts into the package."""
    import setuptools

    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    own = given["package_dir"]
    return [Path(own.get(name, name.replace(".", "/"))) for name in given["packages"]]


def test_every_file_of_the_package_is_packed(packed: list[Path]) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = ["*.py", *settings["tool"]["setuptools"]["package-data"]["*"]]
    tracked = subprocess.run(
        ["git", "ls-files", "idc_jax", "configs"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    files = tracked or [str(p.relative_to(ROOT)) for p in (ROOT / "idc_jax").rglob("*.*")]
    for file in map(Path, files):
        if "__pycache__" not in file.parts:
            assert file.parent in packed, file
            assert any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns), file


def test_a_config_goes_by_its_name_anywhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "idc_jax", "run", "--config=digits:idc_paper", "--options"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert "recipe: idc_paper" in done.stdout


def test_the_oldest_versions_are_those_that_are_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    pinned = [line for line in (ROOT / "tests/oldest.txt").read_text().splitlines() if "==" in line]
    assert {line.replace("==", ">=") for line in pinned} <= set(allowed)
