"""Answers from elsewhere: found by content or by name, counted, never doubled."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from small import shrink

from configs import features
from idc_jax.annotate.questions import SAME, answered, label_questions, pair_questions
from idc_jax.annotate.samples import Matcher, Samples
from idc_jax.annotate.store import Row, Store
from idc_jax.data.base import Dataset
from idc_jax.data.identity import digest_of, digests
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.runs.bringing import bring, brought_rounds
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.sources import write_samples


def dataset(inputs: np.ndarray, names: tuple[str, ...] = (), classes: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    every = np.ones(len(inputs), bool)
    return Dataset("some", "features", inputs, None, classes, names, every, ())


X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
PATHS = ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "c/ä.png", "d.png")


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    with Store(tmp_path / "answers.db") as opened:
        yield opened


def taken(store: Store) -> dict[tuple[int, ...], int]:
    """What the store says, by sample or pair."""
    found = {}
    for number in store.rounds():
        questions = store.questions(number)
        assert questions is not None
        for row in store.live(number):
            samples = questions.indices[row.position].reshape(-1).tolist()
            found[tuple(samples)] = row.choice
    return found


def table(path: Path, rows: list[dict[str, str]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def put(store: Store, path: str, data: Dataset):  # type: ignore[no-untyped-def]
    return bring(store, data, digests(data.inputs), path, max_groups=4)


def test_a_table_of_partial_labels(store: Store, tmp_path: Path) -> None:
    data = dataset(X, PATHS)
    rows = [
        {"path": "a/1.png", "group": "cat"},
        {"path": "/home/me/photos/b/2.png", "group": "dog"},
        {"path": "c/ä.png", "group": "cat"},
        {"path": "a/2.png", "group": ""},
        {"path": "gone.png", "group": "cat"},
    ]
    path = table(tmp_path / "labels.csv", rows)
    found = put(store, path, data)
    assert found.told("labels.csv") == (
        "answers: 3 taken from labels.csv; 1 samples are not in the data: gone.png"
    )
    assert taken(store) == {(0,): 0, (3,): 1, (4,): 0}
    assert [group.name for group in store.groups()] == ["cat", "dog"]
    assert list(brought_rounds(store)) == [1]
    # The same again is there already; a row more comes alone.
    assert put(store, path, data).taken == 0
    assert store.rounds() == (1,)
    put(store, table(tmp_path / "labels.csv", [*rows, {"path": "d.png", "group": "dog"}]), data)
    assert taken(store) == {(0,): 0, (3,): 1, (4,): 0, (5,): 1}
    assert store.rounds() == (1, 2)


def test_numbers_are_class_ids_and_names_those_of_the_data(store: Store, tmp_path: Path) -> None:
    rows = [{"index": "4", "label": "3"}, {"index": "2", "label": "0"}, {"index": "9", "label": ""}]
    put(store, table(tmp_path / "ids.csv", rows), dataset(X))
    assert taken(store) == {(4,): 3, (2,): 0}
    rows = [{"index": "1", "label": "dog"}]
    put(store, table(tmp_path / "names.csv", rows), dataset(X, classes=("cat", "dog")))
    assert taken(store)[(1,)] == 1
    assert [(group.id, group.name) for group in store.groups()] == [(1, "dog")]


def test_arrays_with_unknown_labels(store: Store, tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", labels=np.array([2, -1, 0, -1, -1, 1]))
    put(store, str(tmp_path / "some.npz"), dataset(X))
    assert taken(store) == {(0,): 2, (2,): 0, (5,): 1}


def test_an_export_of_label_studio(store: Store, tmp_path: Path) -> None:
    def task(image: str, *said: str, cancelled: bool = False) -> dict:
        results = [
            {"was_cancelled": cancelled, "result": [{"value": {"choices": [one]}}]} for one in said
        ]
        return {"data": {"image": image}, "annotations": results}

    tasks = [
        task("/data/local-files/?d=photos/a/1.png", "cat"),
        task("/data/local-files/?d=photos/b/1.png", "cat", "dog"),
        task("/data/local-files/?d=photos/b/2.png", "dog", cancelled=True),
        task("/data/local-files/?d=photos/d.png"),
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    put(store, str(tmp_path / "export.json"), dataset(X, PATHS))
    assert taken(store) == {(0,): 0, (2,): 1}


def test_another_run_whose_samples_lie_elsewhere(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_samples(run, Samples((), digests(X)))
    with Store(run / "answers.db") as other:
        asked = label_questions(1, np.array([0, 3, 5]), np.zeros(3))
        other.freeze(asked)
        other.name_group("k", "cat", 0, limit=9)
        other.name_group("l", "dog", 3, limit=9)
        other.add([Row(f"x{n}", 1, n, "Ann", choice) for n, choice in enumerate((0, 1, 1))])
        other.add([Row("undo", 1, 2, "Ann", 0, undoes="x2")])
        other.freeze(pair_questions(2, np.array([[1, 2], [0, 4]]), np.zeros(2)))
        other.add([Row(f"y{n}", 2, n, "Ann", SAME) for n in range(2)])
    # Backwards, without the last, and with one that is new; "dog" has a name here already.
    here = np.concatenate([X[:5][::-1], X[:1] + 9])
    store.name_group("own", "dog", 0, limit=9)
    found = put(store, str(run), dataset(here))
    assert found.missing == ()
    assert taken(store) == {(4,): 1, (1,): 0, (3, 2): SAME, (4, 0): SAME}
    assert put(store, str(run), dataset(here)).taken == 0


def test_the_end_of_a_path_tells_as_long_as_it_means_one_sample() -> None:
    names = ("photos/a/1.png", "photos/b/1.png", "photos/b/2.png")
    matcher = Matcher(Samples(names, digests(X[:3])))
    given = ["b/1.png", "2.png", "/old/photos/a/1.png", "x/b/2.png", "b\\2.png"]
    assert [matcher.find(where) for where in given] == [1, 2, 0, 2, 2]
    assert [matcher.find(where) for where in ("1.png", "c/3.png", "photos")] == [None, None, None]


def test_samples_alike_are_told_by_their_names() -> None:
    same = np.zeros((2, 3), np.float32)
    matcher = Matcher(Samples(("a", "b"), digests(same)))
    assert matcher.follow(Samples(("b", "a"), digests(same))).tolist() == [1, 0]
    assert matcher.find("b") == 1
    assert digest_of(digests(same)) != digest_of(digests(same[:1]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "cannot read .*none.csv: No such file"),
        ("bad.csv", "file,kind\na,b\n", "has file, kind; it must have 'path' .* and 'group'"),
        ("empty.csv", "", "has no rows"),
        ("far.csv", "path,group\nz.png,cat\n", "no answer in .* use names such as 'a/1.png'"),
        ("bad.json", '[{"data": {}}]', "not as Label Studio exports it"),
        ("bad.npz", "nothing", "cannot be read"),
        ("what.txt", "x", "use a run's folder or a .csv, .tsv, .npz, .json file"),
    ],
)
def test_what_holds_no_answers_is_told_in_a_line(
    store: Store, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as refused:
        put(store, str(tmp_path / name), dataset(X, PATHS))
    assert "\n" not in str(refused.value)
    assert store.rounds() == ()
    (tmp_path / "folder").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=r"holds no answers.db"):
        put(store, str(tmp_path / "folder"), dataset(X, PATHS))


@pytest.mark.parametrize("method", registry.names())
def test_a_run_begins_with_the_answers_of_another(
    tiny: ConfigDict, whole: Path, tmp_path: Path, method: str
) -> None:
    config = shrink(features.get_config(method), tmp_path)
    config.data.path, config.answers = tiny.data.path, str(whole)
    config.budget, config.rounds = 4, 1
    run_experiment(config, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [entry["questions"] for entry in found["rounds"]] == [0, 6, 12, 16]
    # What it brought is not asked again; its folder is left as it was, and the same call goes on.
    run_experiment(config, tmp_path / "run")
    again = json.loads((tmp_path / "run" / "result.json").read_text())
    assert again["rounds"] == found["rounds"]
    copied = shutil.copytree(tmp_path / "run", tmp_path / "copy")
    config.answers = str(copied)
    with pytest.raises(UserError, match="this run's own folder"):
        run_experiment(config, copied)


def test_labels_from_a_table_are_as_good_as_answers(tiny: ConfigDict, tmp_path: Path) -> None:
    """The same labels, asked one by one and brought at once."""
    with np.load(tiny.data.path) as saved:
        labels = saved["labels"]
    config = shrink(features.get_config("graph_committee"), tmp_path)
    config.data.path = tiny.data.path
    config.budget, config.rounds = 20, 1
    run_experiment(config, tmp_path / "asked")
    with Store(tmp_path / "asked" / "answers.db") as store:
        asked = store.questions(1)
    assert asked is not None
    rows = [{"index": str(i), "group": str(labels[i])} for i in asked.indices.tolist()]
    config.answers = table(tmp_path / "labels.csv", rows)
    config.budget = 4
    run_experiment(config, tmp_path / "brought")
    first = json.loads((tmp_path / "asked" / "result.json").read_text())["rounds"][1]
    second = json.loads((tmp_path / "brought" / "result.json").read_text())["rounds"][1]
    assert second["metrics"]["acc"] == pytest.approx(first["metrics"]["acc"], abs=0.005)
    assert answered(asked, labels[asked.indices]).choice.max() == 3
