"""The table, and the names in it."""

from pathlib import Path

import numpy as np
import pytest
from finished import CONFIDENCE, NAMES, finish, finish_images, probabilities
from hypothesis import given
from hypothesis import strategies as st

from idc_jax.errors import UserError
from idc_jax.export import make_table, name_groups, read_run
from idc_jax.export.naming import FileNames, folder_names, safe_name

HEADER = "sample,cluster,confidence,answer\n"


def test_from_arrays():
    table = make_table(probabilities(), names=NAMES, answer=["", "x", "", "", "", ""])
    rows = list(table.rows())
    assert table.size == 6
    assert rows[1] == ("1", 1, NAMES[1], 0.8, "", "x")
    assert [row.group for row in rows] == [0, 1, 2, 0, 1, 1]


def test_from_arrays_alone():
    assert make_table(np.eye(2)).names == ("cluster 0", "cluster 1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"paths": ["a"]}, r"1 paths for probabilities \[6, 3\]; there must be 6"),
        ({"names": ["a"]}, "1 names"),
        ({"answer": ["a"] * 7}, "7 answer"),
    ],
)
def test_lengths_that_do_not_fit(given, said):
    with pytest.raises(UserError, match=said):
        make_table(probabilities(), **given)


def test_no_samples():
    with pytest.raises(UserError, match="probabilities are"):
        make_table(np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("group", "said", "count", "wanted"),
    [
        # Classes and groups are numbered differently.
        ([0, 0, 1, 1], [1, 1, 0, -1], 2, ("dog", "cat")),
        # Nobody spoke of group 1.
        ([0, 0, 1, 1], [1, -2, -1, -3], 2, ("dog", "cluster 1")),
        # One mistaken answer.
        ([0, 0, 0, 1], [0, 0, 1, 1], 2, ("cat", "dog")),
        # Two classes in one group: the larger one gives the name.
        ([0, 0, 0, 1], [0, 0, 1, -1], 2, ("cat", "cluster 1")),
        # A class without a name.
        ([0], [2**31 - 1], 1, ("class 2147483647",)),
        ([0, 1], [-1, -1], 2, ("cluster 0", "cluster 1")),
    ],
)
def test_groups_are_called_what_people_called_their_samples(group, said, count, wanted):
    assert name_groups(np.array(group), np.array(said), ("cat", "dog"), count) == wanted


def test_a_run_on_images(tmp_path):
    run = read_run(finish_images(tmp_path))
    table = run.table
    assert table.names == NAMES
    assert table.paths[1] == str(tmp_path / "photos" / "b" / "1.png")
    assert all(Path(path).is_file() for path in table.paths)
    np.testing.assert_allclose(table.confidence, [1, 1, 1, *CONFIDENCE[3:]])  # three were said
    assert table.answered_by == ("ann; bob", "ann", "ann", "", "", "")
    assert table.answer == (*NAMES, "", "", "")
    assert run.images == tmp_path / "photos"


def test_a_run_on_features(tmp_path):
    run = read_run(finish(tmp_path / "run"))
    assert run.table.paths == tuple("012345")
    assert run.images is None


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("", "the run in .* is not finished; its own command"),
        ("{", "cannot read .*result.json"),
        ("[1]", "cannot read .*result.json"),
        ('{"num_samples": 6}', "is not as a run leaves it .*; run it anew"),
        ('{"num_samples": 7}', "is cut short: 6 of 7 samples"),
    ],
)
def test_a_run_without_its_result(tmp_path, broken, said):
    run = finish(tmp_path / "run")
    (run / "result.json").write_text(broken) if broken else (run / "result.json").unlink()
    with pytest.raises(UserError, match=said):
        read_run(run)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("assignments.csv", None, "cannot read .*assignments.csv"),
        ("assignments.csv", HEADER, "cut short: 0 of 6"),
        ("assignments.csv", HEADER + 6 * "0,1\n", "cut short"),
        ("assignments.csv", HEADER + 6 * "0,x,1,\n", "is not as a run leaves it"),
        ("answers.db", None, "answers.db is not there"),
        ("answers.db", "no store at all, but longer than its header", "cannot open the store"),
    ],
)
def test_a_damaged_run(tmp_path, file, text, said):
    run = finish(tmp_path / "run")
    (run / file).unlink()
    if text is not None:
        (run / file).write_text(text)
    with pytest.raises(UserError, match=said):
        read_run(run)


def test_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match="holds no run"):
            read_run(folder)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cats/dogs", "cats_dogs"),
        ("..", "_"),
        ("", "_"),
        (" x. ", "x"),
        (".hidden", "_hidden"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("a\x00b\nc", "a_b_c"),
        ("猫", "猫"),
        ("e\u0301", "é"),
    ],
)
def test_safe_names(text, wanted):
    assert safe_name(text) == wanted


@given(st.text())
def test_any_name_is_made_safe(text):
    name = safe_name(text)
    assert 0 < len(name.encode("utf-8", "surrogatepass")) <= 200
    assert "/" not in name
    assert name[0] != "."
    assert safe_name(name) == name


def test_folders_differ_by_more_than_case():
    names = folder_names(["Cat", "cat", "a/b", "a_b", "Unsure", "cat"], taken=("unsure",))
    assert list(names.values()) == ["Cat", "cat (2)", "a_b", "a_b (2)", "Unsure (2)"]


def test_file_names_have_stems_of_their_own():
    given_out = FileNames()
    wanted = ["1.png", "1.jpg", "1 (2).png", "A.PNG", "a.png", "no ending"]
    assert [given_out.take(name) for name in wanted] == [
        "1.png",
        "1 (2).jpg",
        "1 (2) (2).png",
        "A.PNG",
        "a (2).png",
        "no ending",
    ]
