"""Any value of any option: refused in one line, or run; never a traceback, never a hang.

``IDC_JAX_FUZZ=1000`` tries so many configurations.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import within
from ml_collections import ConfigDict
from PIL import Image

from idc_jax import launch
from idc_jax.data import CLASS_LISTS
from idc_jax.runs import compose, configuration, parts

EXAMPLES = int(os.environ.get("IDC_JAX_FUZZ", "25"))
SECONDS = 60
CONFIGS = ("digits", "features", "image_folder", "imagenet10", "digits_2")
# What people type, and what they don't.
# fmt: off
ODD = (
    "", "0", "-1", "0.5", "1e400", "nan", "-inf", "None", "True", "no", "many", "auto", "10000",
    "99999999", "99999999999999999999", "(1,2)", "()", "(0.4,0.4)", "('a',)", "[1]", "{'a': 1}",
    "a,b", "train,val", ".", "/", "~nobody/x", "../..", "x" * 300,
    "\x00", "caf\udce9", "two\nlines",
    "'", "0x10", "1_000", "١", "own", "pretrain", "random", "digits", "mlp", "resnet34", "page",
    "file", "folder", "features", "tfds", "idx",
)
WHOLE = ("0", "1", "2", "3", "7", "-1", "-7", "64", "1000", "100000", "1e3", "99999999", "9" * 20)
REAL = ("0", "1", "0.5", "-0.5", "1.5", "1e-9", "1e-400", "1e9", "1e39", "1e400", "nan", "7")
# fmt: on


def options() -> dict[str, Any]:
    """The full names of all options, and their values."""

    def flat(config: ConfigDict, above: str) -> Iterator[tuple[str, Any]]:
        for name, value in config.items():
            if isinstance(value, ConfigDict):
                yield from flat(value, f"{above}{name}.")
            else:
                yield above + name, value

    return dict(flat(configuration.get_config(), ""))


OPTIONS = options()


def values_of(name: str) -> st.SearchStrategy[tuple[str, str]]:
    """An option with a value: mostly of its type, and mostly impossible."""
    by_type = {int: st.sampled_from(WHOLE), float: st.sampled_from(REAL)}
    fitting = by_type.get(type(OPTIONS[name]), st.sampled_from(ODD))
    anything = st.one_of(st.sampled_from(ODD), st.floats().map(str), st.text(max_size=5))
    return st.tuples(st.just(name), st.one_of(fitting, fitting, anything))


class Started(Exception):  # noqa: N818 - not an error: all that can be refused has been.
    """Everything was checked; what follows is the run."""


def start(*_: Any) -> None:
    raise Started


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small data for every source that reads files."""
    home = tmp_path_factory.mktemp("fuzz")
    rng = np.random.default_rng(0)
    np.savez(home / "f.npz", features=rng.normal(size=(60, 4)), labels=np.arange(60) % 3)
    for name in [*CLASS_LISTS["imagenet10"], "cat", "dog"]:
        (home / "photos" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(home / "photos" / name / f"{number}.png")
    return home


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="IDC_JAX_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.sampled_from(CONFIGS),
    st.sampled_from(("", *configuration.names())),
    st.lists(st.sampled_from(sorted(OPTIONS)).flatmap(values_of), min_size=1, max_size=3).map(dict),
)
def test_any_configuration(data: Path, config: str, method: str, changes: dict[str, str]) -> None:
    code, said = tried(data, config, method, changes)
    if code is None:
        return
    assert code == 2
    assert said.startswith("error: ")
    assert said.endswith("\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("config", CONFIGS)
def test_nothing_wrong_is_refused(data: Path, config: str) -> None:
    assert tried(data, config, "", {}) == (None, "")


def tried(data: Path, config: str, method: str, changes: dict[str, str]) -> tuple[int | None, str]:
    """The exit code and what stands on stderr; None where the run would have started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "claim", start)
        # Embedding the images comes before, and takes as long as a training.
        patch.setattr(parts, "embed", start)
        patch.chdir(data)
        given = {
            "workdir": str(data / "run"),
            "data.cache": str(data / "cache"),
            "data.path": {"features": "f.npz"}.get(config, "photos"),
            "data.limit": "30",
            "budget": "10",
            # Nothing has to be embedded to be refused.
            "data.embed_with": "",
        }
        if "digits" in config:
            given["data.path"] = ""
        name = f"{launch.shipped()[config]}{method and ':' + method}"
        arguments = [f"--config.{key}={value}" for key, value in (given | changes).items()]
        try:
            with within(SECONDS):
                return call(f"--config={name}", *arguments)
        except Started:
            return None, ""
