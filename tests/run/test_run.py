"""Whole runs: what they leave, that they repeat, and that they go on where they were stopped."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import features
from idc_jax.annotate.store import Store
from idc_jax.data.base import Dataset, Skipped
from idc_jax.errors import UserError
from idc_jax.methods.contract import OWN
from idc_jax.report import RESULT_KEYS
from idc_jax.runs import compose as experiment
from idc_jax.runs.answering import announce_data, answer_names
from idc_jax.runs.workdir import MetricsLog


def picks(workdir: Path) -> list[list[int]]:
    with Store(workdir / "answers.db") as store:
        return [store.questions(r).indices.tolist() for r in store.rounds()]  # type: ignore[union-attr]


def result(workdir: Path) -> dict:
    return json.loads((workdir / "result.json").read_text())


def test_a_run_leaves_what_it_promises(whole: Path) -> None:
    assert (whole / "report.html").exists()
    found = result(whole)
    more = {"answer_names", "group_names", "disagreement", "started_in", "candidates"}
    assert set(found) == {*RESULT_KEYS, *more}
    assert found["questions"]["asked"] == 12
    assert [entry["questions"] for entry in found["rounds"]] == [0, 6, 12]
    assert found["final"]["acc"] >= found["initial"]["acc"]
    assert found["best"]["acc"] == max(entry["metrics"]["acc"] for entry in found["rounds"])
    with (whole / "assignments.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 160
    assert sum(bool(row["answer"]) for row in rows) == 12
    assert len((whole / "answers.jsonl").read_text().splitlines()) == 12
    phases = {
        json.loads(line)["phase"] for line in (whole / "metrics.jsonl").read_text().splitlines()
    }
    assert phases == {"evaluate", "finetune", "learn"}


def test_nobody_is_asked_twice(whole: Path) -> None:
    asked = np.concatenate(picks(whole))
    assert len(set(asked.tolist())) == len(asked) == 12


class Killed(BaseException):
    """Stands in for a kill: nothing in the run catches it."""


@pytest.mark.parametrize("where", ["init", "ask", "answer", "learn", "evaluate", "report"], ids=str)
def test_killed_anywhere_it_goes_on_to_the_same_end(
    tiny: ConfigDict, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    broken = tmp_path / "broken"
    with monkeypatch.context() as patch:
        _kill_at(patch, where)
        with pytest.raises(Killed):
            experiment.run_experiment(tiny, broken)
    assert not (broken / "result.json").exists()
    experiment.run_experiment(tiny, broken)
    assert picks(broken) == picks(whole)
    at_once, again = result(whole), result(broken)
    assert again["final"] == at_once["final"]
    assert again["rounds"] == at_once["rounds"]
    lines = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (whole, broken)
    ]
    assert lines[0] == lines[1]


def test_a_run_that_people_stopped_ends_with_what_it_has(
    tiny: ConfigDict, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Store.add

    def add_and_stop(store: Store, rows: Any) -> int:
        store.stop("Ann")
        return add(store, rows)

    monkeypatch.setattr(Store, "add", add_and_stop)
    experiment.run_experiment(tiny, tmp_path / "stopped")
    found = result(tmp_path / "stopped")
    assert found["rounds"] == result(whole)["rounds"][:2]
    assert found["questions"]["asked"] == 6
    assert found["final"] == found["rounds"][1]["metrics"]
    assert (tmp_path / "stopped" / "report.html").exists()


def _kill_at(patch: pytest.MonkeyPatch, where: str) -> None:
    if where == "report":
        patch.setattr("idc_jax.runs.outcome.write_report", _killer(0))
    elif where == "answer":
        patch.setattr(Store, "add", _killer(1, Store.add))
    elif where == "evaluate":
        patch.setattr("idc_jax.runs.loop.clustering_metrics", _killer(1, _metrics()))
    else:
        make = experiment.make_method
        patch.setattr(
            experiment,
            "make_method",
            lambda *args, **how: _broken_method(make(*args, **how), where),
        )


def _metrics() -> Callable:
    from idc_jax.metrics import clustering_metrics

    return clustering_metrics


def _broken_method(method, where: str):  # type: ignore[no-untyped-def]
    # The second question or lesson: the first round is done by then.
    after = 0 if where == "init" else 1
    return method._replace(**{where: _killer(after, getattr(method, where))})


def _killer(after: int, call: Callable | None = None) -> Callable:
    calls = {"left": after}

    def killed(*args, **kwargs):  # type: ignore[no-untyped-def]
        if calls["left"] <= 0:
            raise Killed
        calls["left"] -= 1
        assert call is not None
        return call(*args, **kwargs)

    return killed


def test_a_finished_run_is_not_run_again(
    tiny: ConfigDict, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    before = result(tmp_path / "run")
    make = experiment.make_method
    for where in ("init", "ask", "learn"):
        monkeypatch.setattr(
            experiment, "make_method", lambda *a, w=where, **how: _broken_method(make(*a, **how), w)
        )
        experiment.run_experiment(tiny, tmp_path / "run")
    assert result(tmp_path / "run")["final"] == before["final"]


def test_a_damaged_checkpoint_costs_its_round_and_no_answer(
    tiny: ConfigDict, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workdir = shutil.copytree(whole, tmp_path / "run")
    (workdir / "result.json").unlink()
    for path in (workdir / "checkpoints" / "rounds" / "2").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    experiment.run_experiment(tiny, workdir)
    said = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert len(said) == 1
    assert "going on from 1" in said[0]
    assert picks(workdir) == picks(whole)
    assert result(workdir)["final"] == result(whole)["final"]
    assert (workdir / "answers.jsonl").read_text() == (whole / "answers.jsonl").read_text()


def test_without_labels_everything_but_the_metrics_is_there(
    tiny: ConfigDict, tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    np.save(tmp_path / "plain.npy", blobs[0])
    tiny.data.path = str(tmp_path / "plain.npy")
    tiny.annotator.kind = "file"
    tiny.annotator.file = str(tmp_path / "answers_{round}.jsonl")
    workdir = tmp_path / "run"
    for round_ in (1, 2):
        with pytest.raises(UserError):
            experiment.run_experiment(tiny, workdir)
        asked = [
            json.loads(line)
            for line in (workdir / f"questions_round_{round_}.jsonl").read_text().splitlines()
        ]
        answers = [
            {
                "round": q["round"],
                "position": q["position"],
                "answer": q["candidates"][0]["cluster"],
            }
            for q in asked
        ]
        lines = "".join(json.dumps(answer) + "\n" for answer in answers)
        (tmp_path / f"answers_{round_}.jsonl").write_text(lines)
    experiment.run_experiment(tiny, workdir)
    found = result(workdir)
    assert found["initial"] is found["final"] is found["best"] is None
    assert found["questions"]["asked"] == 12
    assert (workdir / "report.html").exists()


@pytest.mark.parametrize("selector", ["random", "margin"])
def test_other_selectors_choose_the_questions(
    tiny: ConfigDict, whole: Path, tmp_path: Path, selector: str
) -> None:
    tiny.selector = selector
    experiment.run_experiment(tiny, tmp_path / selector)
    assert picks(tmp_path / selector) != picks(whole)


@pytest.mark.parametrize("method", ["graph_committee", "dsac"])
def test_the_other_methods_take_a_selector_too(
    features_file: Path, home: Path, tmp_path: Path, method: str
) -> None:
    config = shrink(features.get_config(method), home)
    config.data.path = str(features_file)
    config.rounds, config.selector = 1, "medoids"
    experiment.run_experiment(config, tmp_path / "named")
    config.selector = OWN
    config[method].picks = "medoids"
    experiment.run_experiment(config, tmp_path / "by_its_own_option")
    assert picks(tmp_path / "named") == picks(tmp_path / "by_its_own_option")
    config[method].picks = "random"
    experiment.run_experiment(config, tmp_path / "others")
    assert picks(tmp_path / "named") != picks(tmp_path / "others")


def test_a_run_starts_from_the_network_of_another(
    tiny: ConfigDict, whole: Path, tmp_path: Path
) -> None:
    tiny.init = str(whole)
    experiment.run_experiment(tiny, tmp_path / "second")
    assert result(tmp_path / "second")["final"]["acc"] >= 0.9
    tiny.model.width = 16
    with pytest.raises(UserError, match="does not fit the configured network"):
        experiment.run_experiment(tiny, tmp_path / "third")


def test_a_file_that_is_no_checkpoint_is_refused(tiny: ConfigDict, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_text("these are not weights")
    tiny.init = str(tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth"):
        experiment.run_experiment(tiny, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_epochs_trained_again_after_a_kill_are_logged_once(tmp_path: Path) -> None:
    def epochs(count: int) -> list[dict]:
        return [{"phase": "pretrain", "pretrain/epoch": e} for e in range(1, count + 1)]

    log = MetricsLog(tmp_path / "metrics.jsonl")
    for line in [{"phase": "evaluate"}, *epochs(7)]:
        log(line)
    # The last checkpoint was epoch 5's.
    again = MetricsLog(tmp_path / "metrics.jsonl")
    for line in epochs(8)[5:]:
        again(line)
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert written == again.lines == [{"phase": "evaluate"}, *epochs(8)]


def test_what_was_read_is_said_and_what_was_not(capsys: pytest.CaptureFixture[str]) -> None:
    images = Dataset(
        "mine", "images", np.zeros((3, 8, 8, 3), np.uint8), None, (), (), np.ones(3, bool), ()
    )
    announce_data(images)
    assert capsys.readouterr().out == "data: mine, 3 images, no labels\n"
    skipped = tuple(Skipped(f"{name}.png", "cut off") for name in "ab")
    announce_data(images._replace(skipped=skipped, labels=np.arange(3), class_names=tuple("xyz")))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "data: mine, 3 images, 3 classes"
    assert second == "left out: 2 .png, as a.png (cut off)"


def test_groups_that_people_named_are_told_by_name(tmp_path: Path) -> None:
    vectors = np.zeros((3, 2), np.float32)
    labelled = Dataset(
        "x", "features", vectors, np.arange(3), tuple("pqr"), (), np.ones(3, bool), ()
    )
    with Store(tmp_path / "answers.db") as store:
        # A simulated annotator answers with classes.
        assert answer_names(labelled, store) == ("p", "q", "r")
        store.name_group("a", "lions", 0, limit=5)
        store.name_group("b", "cups", 1, limit=5)
        # A name that somebody gave stands before that of the class of its number.
        assert answer_names(labelled, store) == ("lions", "cups", "r")
