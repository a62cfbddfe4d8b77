import csv
import json
import os

import numpy as np
import pytest

from idc_jax.errors import UserError
from idc_jax.report import (
    RESULT_KEYS,
    count_questions,
    write_assignments,
    write_atomically,
    write_result,
)
from tests.report import runs


def test_result_round_trips_with_numpy_values(tmp_path):
    result = dict.fromkeys(RESULT_KEYS) | {
        "num_samples": np.int64(7),
        "final": {"acc": np.float32(0.5), "nmi": float("nan")},
        "config": {"path": tmp_path, "sizes": (1, 2), "array": np.arange(2)},
    }
    loaded = json.loads(write_result(tmp_path / "result.json", result).read_text())
    assert tuple(loaded) == RESULT_KEYS
    assert loaded["num_samples"] == 7
    assert loaded["final"] == {"acc": 0.5, "nmi": None}
    assert loaded["config"] == {"path": str(tmp_path), "sizes": [1, 2], "array": [0, 1]}


def test_result_without_a_key_is_refused(tmp_path):
    result = dict.fromkeys(RESULT_KEYS)
    del result["seconds"], result["best"]
    with pytest.raises(UserError, match="lacks best, seconds"):
        write_result(tmp_path / "result.json", result)
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "result.json", "old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError, match=r"cannot write .*result.json: No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_impossible_folder_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_atomically(tmp_path / "file" / "result.json", "x")


def test_assignments(tmp_path):
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    rounds = [
        runs.label_round(1, [1], [0]),
        runs.pair_round(2, [[0, 1], [1, 2]], [1, 0]),
    ]
    path = write_assignments(
        tmp_path / "assignments.csv",
        probabilities=probabilities,
        names=("a,1.png", "b.png", "c.png"),
        rounds=rounds,
        class_names=("cat",),
    )
    assert list(csv.reader(path.read_text().splitlines())) == [
        ["sample", "group", "name", "confidence", "answer"],
        ["a,1.png", "1", "cat", "1.000000", "same as b.png"],
        ["b.png", "1", "cat", "1.000000", "cat; same as a,1.png; different from c.png"],
        ["c.png", "0", "cluster 0", "0.500000", "different from b.png"],
    ]


def test_a_sample_stands_where_people_said(tmp_path):
    path = write_assignments(
        tmp_path / "assignments.csv",
        probabilities=np.array([[0.9, 0.1]] * 4 + [[0.2, 0.8]] * 2 + [[0.7, 0.3]] * 3),
        # The second was moved; of the third something is said that no cluster stands for.
        rounds=[
            runs.label_round(1, [0, 1, 4, 6, 7], [0, 0, 1, 0, 0]),
            runs.label_round(2, [1, 2], [1, 2]),
            runs.pair_round(3, [[2, 3]], [1]),
        ],
        class_names=("cat", "dog", "owl"),
    )
    rows = csv.DictReader(path.read_text().splitlines())
    assert [(row["group"], row["name"], row["confidence"]) for row in rows] == [
        ("0", "cat", "1.000000"),
        ("1", "dog", "1.000000"),
        ("2", "owl", "1.000000"),
        ("2", "owl", "1.000000"),
        ("1", "dog", "1.000000"),
        ("1", "dog", "0.800000"),
        ("0", "cat", "1.000000"),
        ("0", "cat", "1.000000"),
        ("0", "cat", "0.700000"),
    ]


def test_assignments_by_index_with_every_kind_of_cluster_answer(tmp_path):
    path = write_assignments(
        tmp_path / "assignments.csv",
        probabilities=np.full((8, 3), 1 / 3),
        rounds=[runs.mixed_round()],
    )
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["sample"] for row in rows] == [str(i) for i in range(8)]
    assert [row["answer"] for row in rows] == ["", "", "", "", "cluster 1", "none", "skip", ""]


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([], {"asked": 0, "none": 0, "skip": 0}),
        ([runs.mixed_round()], {"asked": 3, "cluster": 1, "none": 1, "skip": 1}),
        (
            [runs.pair_round(1, [[0, 1], [1, 2]], [1, 0]), runs.pair_round(2, [[0, 3]], [-2])],
            {"asked": 3, "same": 1, "different": 1, "none": 0, "skip": 1},
        ),
        (
            [runs.label_round(1, [3, 4], [0, -2])],
            {"asked": 2, "label": 1, "none": 0, "skip": 1},
        ),
    ],
)
def test_counts(rounds, expected):
    assert count_questions(rounds) == expected
