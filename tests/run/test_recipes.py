"""Recipes are there by name, as docs/recipes.md has them, and a run says where it departs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import cifar20, digits, fashion_mnist, features, image_folder
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.runs import configuration
from idc_jax.runs.compose import run_experiment

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text()
RECIPES = {
    f"{spec.name}_{called}": settings
    for spec in registry.specs()
    for called, settings in spec.recipes.items()
}
SMALL = (digits, fashion_mnist, features, image_folder)
LARGE = ("cifar10", "cifar10_2", "cifar20", "cifar100_4", "stl10")
LARGE += ("imagenet10", "imagenet10_2", "imagenet_dogs")


def documented() -> dict[str, dict[str, Any]]:
    """The columns of the tables, by recipe."""
    found: dict[str, dict[str, Any]] = {}
    names: list[str] = []
    for line in DOCS.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "option":
            names = [cell.strip("`") for cell in cells[1:-1]]
        elif re.fullmatch(r"`[\w.]+`", cells[0]):
            assert cells[-1], f"{cells[0]}: no source"
            for name, cell in zip(names, cells[1:-1], strict=True):
                if cell:
                    found.setdefault(name, {})[cells[0].strip("`")] = json.loads(cell)
    return found


def test_the_docs_list_every_recipe() -> None:
    assert documented().keys() == RECIPES.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_as_documented_field_by_field(name: str) -> None:
    assert documented()[name] == json.loads(json.dumps(RECIPES[name]))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("module", LARGE)
def test_configs_for_a_gpu_take_all_of_it(module: str, name: str) -> None:
    config = vars(__import__(f"configs.{module}"))[module].get_config(name)
    assert (config.recipe, configuration.departures(config)) == (name, {})


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("module", SMALL)
def test_configs_for_a_cpu_keep_what_they_can_afford(module: Any, name: str) -> None:
    config = module.get_config(name)
    own = module.get_config(config.method)
    spec = registry.get(config.method)
    costly = {"budget", "model", "pretrain", "views", *spec.costly}
    for full, (_, value) in configuration.departures(config).items():
        assert {full, full.split(".")[0]} & costly
        assert flat(own)[full] == value
    # What it can't afford is its own, and not what the recipe had for other data.
    assert {full for full in flat(own) if full.split(".")[0] == "views"}.isdisjoint(
        changed(own, config)
    )
    assert "pretrain" not in {full.split(".")[0] for full in changed(own, config)}


@pytest.mark.parametrize("name", ["graph_committee_paper", "idc_published", "nonsense"])
@pytest.mark.parametrize("module", [*SMALL, cifar20])
def test_what_is_no_method_and_no_recipe_is_told_with_what_would_do(module, name: str) -> None:
    with pytest.raises(UserError, match=f"method is '{name}'; choose one of dsac, .*idc_paper"):
        module.get_config(name)


def test_a_run_says_what_is_not_as_the_recipe_has_it(
    features_file: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = shrink(features.get_config("dsac_paper"), home)
    config.data.path = str(features_file)
    config.dsac.percentile = 90.0
    run_experiment(config, tmp_path / "run")
    told = next(line for line in capsys.readouterr().out.splitlines() if "dsac_paper" in line)
    assert told.startswith("recipe: dsac_paper, but for ")
    assert "dsac.percentile 90.0 (95.0)" in told
    assert "model.name mlp (convnext_tiny)" in told
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["departures"]["dsac.percentile"] == [95.0, 90.0]


def flat(config: ConfigDict) -> dict[str, Any]:
    """Options by their full names."""
    found = {}
    for name, value in config.to_dict().items():
        parts = value.items() if isinstance(value, dict) else ()
        found |= {f"{name}.{inner}": its for inner, its in parts} or {name: value}
    return found


def changed(one: ConfigDict, other: ConfigDict) -> set[str]:
    """The names of options that differ."""
    before, after = flat(one), flat(other)
    return {full for full in before if before[full] != after[full]}
