"""A run that nobody tells how many groups there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import features
from idc_jax.errors import UserError
from idc_jax.runs import groups
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.parts import load_dataset


@pytest.fixture
def unknown(features_file: Path, home: Path) -> ConfigDict:
    """The committee on the blobs, two rounds of six questions, which take 4 s each."""
    config = shrink(features.get_config("graph_committee"), home)
    config.data.path, config.num_clusters = str(features_file), 0
    config.graph_committee.steps = 30
    config.budget, config.minutes = 1, 0.8
    return config


def test_the_number_is_found_told_and_kept(
    unknown: ConfigDict,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = run_experiment(unknown, tmp_path / "run")
    told = capsys.readouterr().out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    number = result["num_clusters"]
    assert f"groups: {number} to begin with" in told
    assert len(result["candidates"]["numbers"]) == len(result["candidates"]["stability"]) > 3
    assert [entry["questions"] for entry in result["rounds"]] == [0, 6, 12]
    last = result["rounds"][-1]["outlook"]
    assert last["told"] in told
    assert last["groups_low"] <= last["groups"] <= last["groups_high"]
    page = report.read_text()
    assert "How many groups?" in page
    assert last["reason"] in page
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (kept["num_clusters"], kept["settled"]["num_clusters"]) == (0, number)

    # Whoever goes on does so with the same number, which is not looked for again.
    def never(*given: object) -> None:
        raise AssertionError(given)

    monkeypatch.setattr(groups, "candidates", never)
    unknown.minutes = 1.2
    run_experiment(unknown, tmp_path / "run")
    again = json.loads((tmp_path / "run" / "result.json").read_text())
    assert again["num_clusters"] == number
    assert again["rounds"][-1]["questions"] == 18


def test_a_number_that_is_given_stays(features_file: Path, home: Path) -> None:
    # Of any method: those that train a network need the number to build it.
    config = shrink(features.get_config("idc"), home)
    config.data.path = str(features_file)
    dataset = load_dataset(config)
    assert groups.with_number_of_groups(config, dataset, {}) == (config, {})
    config.num_clusters = 0
    kept = {"numbers": [2, 3, 14, 29], "stability": [0.8, 0.97, 0.95, 0.5]}
    found, decided = groups.with_number_of_groups(config, dataset, {"candidates": kept})
    assert (config.num_clusters, found.num_clusters) == (0, round((14 * 10) ** 0.5))
    assert decided == {"num_clusters": 12, "candidates": kept}


def test_as_many_groups_have_names_as_the_method_can_learn() -> None:
    assert groups.most_groups(4, "idc") == 4
    assert groups.most_groups(4, "idc", 7) == 7
    assert groups.most_groups(0, "idc") == groups.NO_LIMIT
    assert groups.most_groups(4, "graph_committee") == groups.NO_LIMIT


def test_one_sample_has_no_groups() -> None:
    with pytest.raises(UserError, match="the samples are 1; at least 2 are needed"):
        groups.find_candidates([[0.0, 1.0]], 0)  # type: ignore[arg-type]
