"""A run that goes on with more questions, another method, another network: no answer is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import features
from idc_jax.annotate.store import Row, Store
from idc_jax.errors import UserError
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.lock import hold
from idc_jax.runs.pace import Step, make_pace
from idc_jax.train.checkpoint import Checkpoints


def rounds(workdir: Path) -> list[tuple[str, list]]:
    with Store(workdir / "answers.db") as store:
        asked = [store.questions(number) for number in store.rounds()]
    return [(questions.kind, questions.indices.tolist()) for questions in asked]  # type: ignore[union-attr]


def result(workdir: Path) -> dict:
    return json.loads((workdir / "result.json").read_text())


def other(tiny: ConfigDict, home: Path, method: str, **options) -> ConfigDict:  # type: ignore[no-untyped-def]
    """The tests' config of another method on the same samples."""
    config = shrink(features.get_config(method), home)
    config.data.path = tiny.data.path
    config.update(options)
    return config


def test_more_questions_are_as_if_they_had_been_asked_at_once(
    tiny: ConfigDict, whole: Path, tmp_path: Path
) -> None:
    tiny.budget, tiny.rounds = 24, 4
    run_experiment(tiny, tmp_path / "at_once")
    workdir = shutil.copytree(whole, tmp_path / "later")
    run_experiment(tiny, workdir)
    assert rounds(workdir) == rounds(tmp_path / "at_once")
    later, at_once = result(workdir), result(tmp_path / "at_once")
    assert later["final"] == pytest.approx(at_once["final"], abs=1e-3)
    assert [entry["questions"] for entry in later["rounds"]] == [0, 6, 12, 18, 24]
    changed = {"budget": [12, 24], "rounds": [2, 4]}
    assert later["stages"] == [{"after_round": 2, "changed": changed, "before": []}]
    # The same again changes nothing.
    run_experiment(tiny, workdir)
    assert result(workdir)["rounds"] == later["rounds"]


def test_a_raised_budget_alone_makes_one_round_more(
    tiny: ConfigDict, whole: Path, tmp_path: Path
) -> None:
    workdir = shutil.copytree(whole, tmp_path / "run")
    tiny.budget = 15
    run_experiment(tiny, workdir)
    assert [len(asked) for _, asked in rounds(workdir)] == [6, 6, 3]


def test_what_another_version_saved_is_learned_again_from_the_answers(
    tiny: ConfigDict, whole: Path, tmp_path: Path
) -> None:
    workdir = shutil.copytree(whole, tmp_path / "run")
    kept = Checkpoints(workdir / "checkpoints" / "context")
    saved = kept.latest()
    assert saved is not None
    kept.save(0, saved.tree | {"context": saved.tree["context"] | {"of_old": np.ones(3)}}, {})
    kept.close()
    before = rounds(workdir)
    tiny.budget = 15
    run_experiment(tiny, workdir)
    assert rounds(workdir)[:2] == before
    assert [len(asked) for _, asked in rounds(workdir)] == [6, 6, 3]
    assert [entry["questions"] for entry in result(workdir)["rounds"]] == [0, 6, 12, 15]


def test_another_method_learns_from_all_that_was_said(
    tiny: ConfigDict, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = shutil.copytree(whole, tmp_path / "run")
    for number, method in enumerate(("graph_committee", "pcl", "dsac", "idc"), start=1):
        before = rounds(workdir)
        config = other(tiny, tmp_path, method, budget=12 + 4 * number, rounds=2 + number)
        run_experiment(config, workdir)
        said = rounds(workdir)
        # The answers of before are all there, and four questions came.
        assert said[: len(before)] == before
        assert len(said[len(before)][1]) == 4
        found = result(workdir)
        history = found["rounds"]
        assert [entry["round"] for entry in history] == [0, len(before), len(before) + 1]
        assert history[1]["questions"] == 8 + 4 * number
        # The others' networks learn next to nothing in an epoch.
        assert method != "graph_committee" or history[1]["metrics"]["acc"] > 0.95
        assert found["stages"][-1]["changed"]["method"][1] == method
        told = capsys.readouterr().out
        assert f"learning again from all answers after round {len(before)}" in told
    asked = [sample for kind, indices in said if kind != "pair" for sample in indices]
    assert len(asked) == len(set(asked)) == 24
    # How the first stage went is kept.
    assert found["stages"][0]["before"] == result(whole)["rounds"]


def test_another_method_uses_the_answers_of_an_unfinished_round(
    tiny: ConfigDict, whole: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    tiny.annotator.kind, tiny.annotator.file = "file", str(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="6 of 6 answers are missing"):
        run_experiment(tiny, workdir)
    with Store(workdir / "answers.db") as store, Store(whole / "answers.db") as done:
        store.add(done.live(1)[:3])
    run_experiment(other(tiny, tmp_path, "graph_committee", budget=10, rounds=2), workdir)
    found = result(workdir)
    # The three that nobody answered took nothing of the budget, and may come again.
    assert [entry["questions"] for entry in found["rounds"]] == [0, 3, 10]
    assert found["questions"] == {"asked": 10, "cluster": 3, "label": 7, "none": 0, "skip": 0}


def test_killed_in_a_new_stage_it_goes_on(
    tiny: ConfigDict, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    config = other(tiny, tmp_path, "graph_committee", budget=16, rounds=3)
    at_once = shutil.copytree(whole, tmp_path / "at_once")
    run_experiment(config, at_once)
    broken = shutil.copytree(whole, tmp_path / "broken")
    with monkeypatch.context() as patch:
        from idc_jax.runs import loop

        def killed(*args: object, **options: object) -> None:
            raise Killed

        patch.setattr(loop, "_learn_again", killed)
        with pytest.raises(Killed):
            run_experiment(config, broken)
    run_experiment(config, broken)
    assert rounds(broken) == rounds(at_once)
    assert result(broken)["final"] == result(at_once)["final"]
    assert len(result(broken)["stages"]) == 1


def test_other_samples_are_refused_and_nothing_is_touched(
    tiny: ConfigDict, whole: Path, tmp_path: Path, blobs: tuple[np.ndarray, np.ndarray]
) -> None:
    workdir = shutil.copytree(whole, tmp_path / "run")
    before = {path: path.read_bytes() for path in workdir.glob("*.json*")}
    moved = tmp_path / "moved.npz"
    shutil.copy(tiny.data.path, moved)
    np.savez(tmp_path / "other.npz", features=blobs[0] + 1, labels=blobs[1])
    tiny.data.path = str(tmp_path / "other.npz")
    with pytest.raises(UserError, match=r"other samples .* --config.answers=") as refused:
        run_experiment(tiny, workdir)
    assert "remove" not in str(refused.value)
    assert {path: path.read_bytes() for path in workdir.glob("*.json*")} == before
    # The same samples elsewhere are the same.
    tiny.data.path = str(moved)
    run_experiment(tiny, workdir)
    assert result(workdir)["stages"] == []


def test_whoever_stopped_is_asked_again_when_the_budget_is_raised(
    tiny: ConfigDict, whole: Path, tmp_path: Path
) -> None:
    workdir = shutil.copytree(whole, tmp_path / "run")
    with Store(workdir / "answers.db") as store:
        store.stop("Ann")
    tiny.budget = 14
    run_experiment(tiny, workdir)
    assert result(workdir)["questions"]["asked"] == 14


def test_two_runs_in_one_folder_are_refused(tiny: ConfigDict, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from idc_jax.runs.lock import hold\n"
        "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        with pytest.raises(UserError, match=f"in use by process {process.pid} on "):
            run_experiment(tiny, tmp_path)
        process.kill()
    for _ in range(50):  # the system lets go of what a killed process held
        try:
            with hold(tmp_path):
                return
        except UserError:
            time.sleep(0.1)
    raise AssertionError("nobody could go on")


@pytest.mark.parametrize(
    ("budget", "of", "brought", "counts", "steps"),
    [
        (10, 4, {}, [], [3, 3, 2, 2]),
        (10, 4, {}, [3, 3], [2, 2]),
        (50, 2, {}, [10, 10], [30]),
        (20, 2, {}, [10, 10], []),
        (10, 2, {1: 100}, [], [100, 5, 5]),
        (10, 2, {3: 7}, [5, 5], [7]),
    ],
)
def test_what_is_left_is_spread_over_the_rounds_left(
    budget: int, of: int, brought: dict[int, int], counts: list[int], steps: list[int]
) -> None:
    pace = make_pace(budget, of, brought, counts, raised=True)
    found = []
    while step := pace.step(counts):
        found.append(step)
        counts = [*counts, step.budget]
    assert [step.budget for step in found] == steps
    assert [step.last for step in found] == [False] * (len(steps) - 1) + [True] * bool(steps)
    assert pace.total == budget + sum(brought.values())
    assert all(isinstance(step, Step) for step in found)


def test_rows_of_another_writer_stay(whole: Path, tmp_path: Path) -> None:
    """What somebody answers after a round is over is no part of what was learned."""
    workdir = shutil.copytree(whole, tmp_path / "run")
    with Store(workdir / "answers.db") as store:
        before = store.rows()
        store.add([Row("late", 1, 0, "Bob", before[0].choice)])
        assert store.rows()[: len(before)] == before
