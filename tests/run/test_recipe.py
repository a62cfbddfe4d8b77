"""The CIFAR-20 recipe: what it would run is accepted, and its command can be told to others."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.training import cifar20_recipe
from idc_jax.runs.settings import check_settings


def given(*extra: str) -> argparse.Namespace:
    return cifar20_recipe.read_arguments(["--data=/secret/tfds", "--out=/secret/out", *extra])


@pytest.mark.parametrize("method", ["idc", "dsac"])
def test_what_it_runs_is_accepted(method: str, tmp_path: Path) -> None:
    config = cifar20_recipe.asking(given(), method, tmp_path / "network.safetensors")
    check_settings(config)
    assert config.init == str(tmp_path / "network.safetensors")
    assert config.budget == (500 if method == "idc" else 100)
    # The imported network has the heads and the width that were trained.
    trained = cifar20_recipe.configure(given())
    assert (config.model.head, config.model.width) == (trained.model.head, trained.model.width)


def test_the_kept_command_can_be_given_again_and_names_no_folder() -> None:
    told = cifar20_recipe.told(given("--epochs=7", "--width=8"))
    assert "secret" not in told
    again = cifar20_recipe.read_arguments(told.split()[3:])
    assert (again.epochs, again.width, again.batch) == (7, 8, 1024)
