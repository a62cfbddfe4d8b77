"""A run that asks questions of several kinds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import features
from idc_jax.annotate import Store
from idc_jax.asking import mixture
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.outlook import SECONDS
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.settings import kinds_of


@pytest.fixture
def mixed(features_file: Path, home: Path) -> ConfigDict:
    """The committee on the blobs, in minutes."""
    config = shrink(features.get_config("graph_committee"), home)
    config.data.path, config.num_clusters = str(features_file), 4
    config.graph_committee.steps = 30
    config.questions, config.rounds = "auto", 4
    return config


def rounds_of(workdir: Path) -> list[tuple[str, int]]:
    with Store(workdir / "answers.db") as store:
        found = [store.questions(number) for number in store.rounds()]
        return [(questions.kind, questions.count) for questions in found]


def test_minutes_are_spent_on_what_is_worth_most(
    mixed: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed.minutes = 2.0  # 30 names
    monkeypatch.setattr(mixture, "CARRIES", {"label": 1.0, "pair": 9.0, "cluster": 0, "grid": 0})
    report = run_experiment(mixed, tmp_path / "run")
    rounds = rounds_of(tmp_path / "run")
    # Names open; then as many pairs as take as long as the names that are left.
    assert rounds[0] == ("label", 8)
    assert {kind for kind, _ in rounds[1:]} == {"pair"}
    assert rounds[1][1] == round(8 * SECONDS["label"] / SECONDS["pair"])
    spent = sum(count * SECONDS[kind] for kind, count in rounds)
    assert spent == pytest.approx(60 * 2.0, abs=SECONDS["label"])
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["questions"]["label"] == 8
    told = result["questions"]
    assert told["same"] + told["different"] == sum(n for kind, n in rounds if kind == "pair")
    assert report.exists()
    # More time, and the run goes on with what was said.
    mixed.minutes = 3.0
    run_experiment(mixed, tmp_path / "run")
    again = rounds_of(tmp_path / "run")
    assert again[: len(rounds)] == rounds
    assert len(again) == len(rounds) + 1


def test_grids_are_asked_answered_and_reported(mixed: ConfigDict, tmp_path: Path) -> None:
    mixed.questions, mixed.budget, mixed.rounds = "grid", 60, 3
    report = run_experiment(mixed, tmp_path / "run")
    rounds = rounds_of(tmp_path / "run")
    # Names first: there is no grid of a group that has none.
    assert [kind for kind, _ in rounds] == ["label", "grid", "grid"]
    assert sum(count for _, count in rounds) <= 60
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    told = result["questions"]
    assert told["grid"] + told["none"] == sum(count for kind, count in rounds if kind == "grid")
    assert result["final"]["acc"] >= 0.95
    assert report.exists()
    with (tmp_path / "run" / "assignments.csv").open() as table:
        assert len(table.readlines()) == 1 + len(np.load(mixed.data.path)["features"])


def test_a_grid_goes_to_a_file_and_comes_back(mixed: ConfigDict, tmp_path: Path) -> None:
    mixed.questions, mixed.budget, mixed.rounds = "grid", 60, 2
    workdir, answers = tmp_path / "run", tmp_path / "answers.jsonl"
    mixed.annotator.kind, mixed.annotator.file = "file", str(answers)
    labels = np.load(mixed.data.path)["labels"]
    said: list[dict] = []
    for number in (1, 2):
        with pytest.raises(UserError, match="questions"):
            run_experiment(mixed, workdir)
        lines = (workdir / f"questions_round_{number}.jsonl").read_text().splitlines()
        for one in map(json.loads, lines):
            label = int(labels[one["samples"][0]["index"]])
            fits = one["kind"] == "label" or label in one["answers"]
            said.append({**one, "answer": label if fits else "none"})
        kept = ("round", "position", "answer")
        text = "".join(json.dumps({name: one[name] for name in kept}) + "\n" for one in said)
        answers.write_text(text)
    run_experiment(mixed, workdir)
    assert [kind for kind, _ in rounds_of(workdir)] == ["label", "grid"]


@pytest.mark.parametrize(
    ("method", "questions", "said"),
    [
        ("graph_committee", "label,word", "'word' can't be asked for graph_committee"),
        ("graph_committee", "", "'' can't be asked"),
        ("pcl", "label", "'label' can't be asked for pcl; use own, auto, or some of pair"),
    ],
)
def test_kinds_that_cannot_be_asked(method: str, questions: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        kinds_of(questions, registry.get(method))
    assert said in str(refused.value)


def test_kinds_by_their_names() -> None:
    spec = registry.get("graph_committee")
    assert kinds_of("own", spec) == ("label",)
    assert kinds_of("auto", spec) == spec.asks
    # However they are written, the usual one is first.
    assert kinds_of("grid, label ,grid", spec) == ("label", "grid")
