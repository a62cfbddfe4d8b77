"""The commands on every page are understood: flags, options, modules and targets exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import benchmarks.__main__ as benchmarks
from benchmarks.families import load
from idc_jax import command
from idc_jax.launch import shipped
from idc_jax.methods import registry
from idc_jax.runs import configuration
from idc_jax.sweeps.axes import parse_axes
from tests.run.calling import call

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"--config\.([a-z_0-9]+(?:\.[a-z_0-9]+)*)")
EXTRAS = re.compile(r"pip install (?:-e )?'\.\[([a-z,]+)\]'")


def commands(page: Path) -> list[list[str]]:
    """The words of every line of every block without a language, comments left out."""
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    text = "\n".join(block for language, block in blocks if not language).replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)# .*", "", line).strip() for line in text.splitlines())
    starts = ("python ", "idc-jax ", "make ")
    lines = [re.sub(r"^(taskset -c \d+|[A-Z_]+=\S+) ", "", line) for line in lines]
    return [shlex.split(line) for line in lines if line.startswith(starts)]


COMMANDS = [(page.name, words) for page in PAGES for words in commands(page)]
RUNS = [
    (name, words[2:])
    for name, words in COMMANDS
    if words[:2] in (["python", "launch.py"], ["idc-jax", "run"])
]
TOOLS = [
    (name, words[words.index(first) + 1 :])
    for name, words in COMMANDS
    for first in ("idc-jax", "idc_jax")
    if first in words and "run" not in words
]


def told(value: object) -> str:
    if isinstance(value, Path):
        return str(value.relative_to(ROOT))
    return " ".join(value)[:80] if isinstance(value, list) else str(value)


def test_there_are_commands() -> None:
    assert len(RUNS) > 20
    assert {words[0] for _, words in TOOLS} >= {"ask", "export"}


@pytest.mark.parametrize(("page", "words"), RUNS, ids=told)
def test_a_run_is_understood(page: str, words: list[str]) -> None:
    code, said = call(*words, "--options")
    assert code == 0, f"{page}: {said}"
    swept = [word.removeprefix("--sweep=") for word in words if word.startswith("--sweep=")]
    if swept:
        from importlib import util

        file, _, method = words[0].removeprefix("--config=").partition(":")
        spec = util.spec_from_file_location("swept", ROOT / file)
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config(method) if method else module.get_config()
        assert len(parse_axes(swept, config)) == len(swept)


@pytest.mark.parametrize(("page", "words"), TOOLS, ids=told)
def test_a_subcommand_is_understood(page: str, words: list[str]) -> None:
    assert command._parser().parse_args(words).run, page


# CONTRIBUTING.md adds an option.
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "CONTRIBUTING"], ids=told)
def test_options_in_the_text_exist(page: Path) -> None:
    known = set()
    for name in registry.names():
        for field, value in configuration.get_config(name).to_dict().items():
            inner = value if isinstance(value, dict) else ()
            known |= {field, *(f"{field}.{option}" for option in inner)}
    named = set(OPTION.findall(page.read_text(encoding="utf-8")))
    assert named <= known


def test_modules_and_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page, words in COMMANDS:
        if words[0] == "make":
            assert words[1] in targets, page
        elif words[:3] == ["python", "-m", "benchmarks"]:
            if words[3] == "training" and not find_spec("torch"):
                continue  # it stands beside PyTorch, without which it is not read
            given = benchmarks.parse(words[3:])
            assert benchmarks.wanted(load(given.family), given), f"{page}: {words}"
        elif "-m" in words and words[words.index("-m") + 1].startswith(("benchmarks", "tests")):
            module = ROOT / words[words.index("-m") + 1].replace(".", "/")
            assert module.with_suffix(".py").exists(), f"{page}: {words}"
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).exists(), f"{page}: {words}"


def test_extras_and_configs_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for extras in EXTRAS.findall(text):
            assert set(extras.split(",")) <= project["optional-dependencies"].keys(), page.name
        for config in re.findall(r"configs/([a-z0-9_]+)\.py", text):
            assert config in shipped(), page.name
