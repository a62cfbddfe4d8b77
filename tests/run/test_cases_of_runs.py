"""Answers stay on their samples, whatever becomes of the data, the file or the folder meanwhile."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from small import shrink

from configs import features, image_folder
from idc_jax.annotate.file import AnswersPendingError
from idc_jax.annotate.samples import NOW, read_samples
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.workdir import plan_course

COLOURS = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (210, 50, 40)}


def paint(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-30, 30, (8, 8, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.asarray(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)


def photos(root: Path) -> Path:
    """Twelve images of each of three colours, in one folder; the colour begins the name."""
    for number, (name, colour) in enumerate(COLOURS.items()):
        for index in range(12):
            paint(root / f"{name}_{index:02}.png", colour, 100 * number + index)
    return root


def on_photos(root: Path, tmp_path: Path) -> ConfigDict:
    """The committee on the pixels, eight questions in one round, answered by a file."""
    config = shrink(image_folder.get_config("graph_committee"), tmp_path)
    config.data.path, config.data.image_size, config.data.embed_with = str(root), 8, ""
    config.graph_committee.space = "input"
    config.num_clusters, config.budget, config.rounds = 3, 8, 1
    config.annotator.kind, config.annotator.file = "file", str(tmp_path / "answers.jsonl")
    return config


def asked(workdir: Path, round_: int) -> list[dict]:
    text = (workdir / f"questions_round_{round_}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def answer_all(workdir: Path, round_: int, file: Path) -> None:
    """Say the colour of every image that the round asks about."""
    with file.open("a") as out:
        for record in asked(workdir, round_):
            colour = Path(record["samples"][0]["name"]).name.partition("_")[0]
            line = {"round": round_, "position": record["position"], "answer": colour}
            out.write(json.dumps(line) + "\n")


def assignments(workdir: Path) -> dict[str, dict[str, str]]:
    with (workdir / "assignments.csv").open(newline="") as file:
        return {Path(row["sample"]).name: row for row in csv.DictReader(file)}


def said(workdir: Path) -> dict[str, str]:
    """The answers that a finished run counts, by image."""
    return {name: row["answer"] for name, row in assignments(workdir).items() if row["answer"]}


def result(workdir: Path) -> dict:
    return json.loads((workdir / "result.json").read_text())


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the photos, its data and its file of answers beside it."""
    home = tmp_path_factory.mktemp("answered")
    config = on_photos(photos(home / "photos"), home)
    with pytest.raises(AnswersPendingError):
        run_experiment(config, home / "run")
    answer_all(home / "run", 1, home / "answers.jsonl")
    run_experiment(config, home / "run")
    return home


@pytest.fixture
def again(answered: Path, tmp_path: Path) -> tuple[ConfigDict, Path]:
    """A copy of it, and the same command."""
    home = shutil.copytree(answered, tmp_path / "home")
    return on_photos(home / "photos", home), home


def test_images_that_come_and_go_take_no_answer_with_them(
    again: tuple[ConfigDict, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config, home = again
    before = said(home / "run")
    assert len(before) == 8
    assert all(name.startswith(colour) for name, colour in before.items())
    root = home / "photos"
    unasked = [name for name in assignments(home / "run") if name not in before]
    gone = sorted(before)[:2] + unasked[:2]
    for name in gone:
        (root / name).unlink()
    for index, (name, colour) in enumerate(COLOURS.items()):
        paint(root / f"{name}_{'aA'[index % 2]}.png", colour, 900 + index)
    # One has another name now, one has a twin, and one name is that of another picture.
    moved, twin, replaced = sorted(before)[2:5]
    (root / moved).rename(root / f"new_{moved}")
    shutil.copy(root / twin, root / f"copy_of_{twin}")
    paint(root / replaced, (250, 250, 250), 1000)
    capsys.readouterr()
    run_experiment(config, home / "run")
    told = capsys.readouterr().out
    assert "samples: 5 gone (" in told
    assert "5 new (" in told
    assert "3 answers are about some that are gone: they are kept and do not count" in told
    now = said(home / "run")
    here = {name: colour for name, colour in before.items() if name not in (*gone, replaced)}
    here[f"new_{moved}"] = here.pop(moved)
    assert now == here
    # As many were asked as the budget says, whatever became of them.
    assert result(home / "run")["rounds"][-1]["questions"] == 8
    assert result(home / "run")["stages"][-1]["changed"]["samples"] == [36, 36]
    # What comes back has its answer back.
    paint(root / gone[0], COLOURS[gone[0].partition("_")[0]], _seed(gone[0]))
    (root / f"copy_of_{twin}").unlink()
    run_experiment(config, home / "run")
    assert said(home / "run") == now | {gone[0]: before[gone[0]]}


def _seed(name: str) -> int:
    colour, _, index = Path(name).stem.partition("_")
    return 100 * list(COLOURS).index(colour) + int(index)


def test_a_corrected_file_corrects_what_was_learned(again: tuple[ConfigDict, Path]) -> None:
    config, home = again
    before = result(home / "run")["rounds"]
    file = home / "answers.jsonl"
    first, *lines = file.read_text().splitlines()
    wrong = "red" if json.loads(first)["answer"] != "red" else "blue"
    file.write_text("\n".join([json.dumps(json.loads(first) | {"answer": wrong}), *lines]))
    run_experiment(config, home / "run")
    sample = Path(asked(home / "run", 1)[0]["samples"][0]["name"]).name
    assert said(home / "run")[sample] == wrong
    now = result(home / "run")["rounds"]
    assert [entry["questions"] for entry in now] == [entry["questions"] for entry in before]
    # The same file again changes nothing, and the first answer comes back with it.
    run_experiment(config, home / "run")
    assert result(home / "run")["rounds"] == now
    file.write_text("\n".join([first, *lines]))
    run_experiment(config, home / "run")
    assert said(home / "run")[sample] == json.loads(first)["answer"]


def test_answers_filled_into_the_questions_stay_there(again: tuple[ConfigDict, Path]) -> None:
    config, home = again
    config.budget = 12
    config.annotator.file = str(home / "run" / "questions_round_{round}.jsonl")
    with pytest.raises(AnswersPendingError, match=r"round 2: .* 4 of 4 answers are missing"):
        run_experiment(config, home / "run")
    file = home / "run" / "questions_round_2.jsonl"
    records = asked(home / "run", 2)

    def fill(count: int) -> bytes:
        filled = [r | {"answer": "red"} if n < count else r for n, r in enumerate(records)]
        file.write_text("".join(json.dumps(record) + "\n" for record in filled))
        return file.read_bytes()

    before = fill(3)
    with pytest.raises(AnswersPendingError, match="1 of 4 answers are missing"):
        run_experiment(config, home / "run")
    assert file.read_bytes() == before
    before = fill(4)
    run_experiment(config, home / "run")
    assert file.read_bytes() == before
    assert result(home / "run")["questions"]["label"] == 12


def test_rows_in_another_order_keep_their_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 15)
    rows = (rng.normal(size=(4, 8)) * 6)[labels] + rng.normal(size=(60, 8))
    x, path = rows.astype(np.float32), tmp_path / "x.npz"
    config = shrink(features.get_config("graph_committee"), tmp_path)
    config.data.path, config.budget, config.rounds = str(path), 8, 2
    np.savez(path, features=x, labels=labels)
    run_experiment(config, tmp_path / "run")
    before = {
        json.dumps(x[int(n)].tolist()): answer for n, answer in said(tmp_path / "run").items()
    }
    assert result(tmp_path / "run")["final"]["acc"] == 1.0
    order = rng.permutation(60)[:57]
    fresh = (x[:3] + 1).astype(np.float32)
    x, labels = np.concatenate([x[order], fresh]), np.concatenate([labels[order], labels[:3]])
    np.savez(path, features=x, labels=labels)
    run_experiment(config, tmp_path / "run")
    now = {json.dumps(x[int(n)].tolist()): answer for n, answer in said(tmp_path / "run").items()}
    here = {json.dumps(row) for row in x.tolist()}
    assert now == {row: answer for row, answer in before.items() if row in here}
    assert result(tmp_path / "run")["final"]["acc"] == 1.0


def cut(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damaged", "told"),
    [("rounds/1", "checkpoint 1 in .* is damaged .* going on from 0"), ("context", "all answers")],
)
def test_a_cut_checkpoint_costs_time_and_no_answer(
    again: tuple[ConfigDict, Path], damaged: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    config, home = again
    before, (answers, rounds) = said(home / "run"), _outcome(home / "run")
    cut(home / "run" / "checkpoints" / damaged)
    with caplog.at_level("WARNING"):
        run_experiment(config, home / "run")
    assert re.search(told, caplog.text)
    assert said(home / "run") == before
    assert _outcome(home / "run") == (answers, rounds)


def _outcome(workdir: Path) -> tuple[dict, list]:
    found = result(workdir)
    return found["questions"], [entry["questions"] for entry in found["rounds"]]


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [
        ({"budget": 16}, True),
        ({"annotator.kind": "page"}, True),
        ({"annotator.allow_remote": True, "annotator.host": "0.0.0.0"}, True),
        ({"annotator.votes": 3, "annotator.fusion": "dawid_skene"}, True),
        ({"rounds": 5, "selector": "random"}, True),
        ({"num_clusters": 4}, False),
    ],
)
def test_what_changes_on_the_way_is_no_reason_to_stop(
    answered: Path, changes: dict, goes_on: bool
) -> None:
    config = on_photos(answered / "photos", answered)
    config.update_from_flattened_dict(changes)
    samples = read_samples(answered / "run" / NOW)
    course = plan_course(answered / "run", config.to_dict(), samples)
    assert [change.anew for change in course.changes] == [not goes_on]


def test_64_bit_defaults_change_no_run(tiny: ConfigDict, whole: Path, tmp_path: Path) -> None:
    with jax.enable_x64(True):
        run_experiment(tiny, tmp_path / "run")
    assert result(tmp_path / "run")["rounds"] == result(whole)["rounds"]
