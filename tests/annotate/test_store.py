import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest

from idc_jax.annotate import (
    SKIP,
    Row,
    Store,
    StoreError,
    collect,
    exemplar,
    label_questions,
    pair_questions,
)
from idc_jax.errors import UserError


def answer(position, choice=0, *, annotator="ann", client_id=None, **fields):
    client_id = client_id or f"{annotator}-{position}-{choice}"
    return Row(client_id, 1, position, annotator, choice, **fields)


def test_questions_are_frozen(store, cluster_questions):
    first = cluster_questions([3, 1, 2])
    store.freeze(first)
    again = store.freeze(cluster_questions([7, 8, 9]))
    for name, value in first._asdict().items():
        np.testing.assert_array_equal(getattr(again, name), value)
        if isinstance(value, np.ndarray):
            assert getattr(again, name).dtype == value.dtype
            assert getattr(again, name).shape == value.shape
    assert store.rounds() == (1,)
    assert store.questions(2) is None


@pytest.mark.parametrize(
    "questions",
    [
        label_questions(1, np.zeros(0), np.zeros(0)),
        pair_questions(1, np.zeros((0, 2)), np.zeros(0)),
        pair_questions(1, np.asarray([[1, 2]]), np.asarray([np.inf])),
    ],
)
def test_every_kind_of_questions_comes_back(store, questions):
    back = store.freeze(questions)
    for name, value in questions._asdict().items():
        np.testing.assert_array_equal(getattr(back, name), value)
        assert np.shape(getattr(back, name)) == np.shape(value)


def test_one_client_id_is_one_answer(store, cluster_questions):
    store.freeze(cluster_questions([3, 1]))
    assert store.add([answer(0, 2), answer(0, 2)]) == 1
    assert store.add([answer(0, 2)]) == 0
    assert [row.choice for row in store.rows()] == [2]


def test_undo_is_a_row(store, cluster_questions):
    store.freeze(cluster_questions([3, 1]))
    store.add([answer(0, 1), answer(1, 2)])
    store.add([answer(0, client_id="u", undoes="ann-0-1")])
    assert [row.position for row in store.live(1)] == [1]
    assert store.missing(1).tolist() == [0]
    store.add([answer(0, 2)])
    assert {row.position: row.choice for row in store.live(1)} == {0: 2, 1: 2}
    assert len(store.rows()) == 4


def test_undoing_a_correction_brings_the_earlier_answer_back(store, cluster_questions):
    store.freeze(cluster_questions([3]))
    store.add([answer(0, 1), answer(0, 2)])
    assert [row.choice for row in store.live(1)] == [2]
    store.add([answer(0, client_id="u", undoes="ann-0-2")])
    assert [row.choice for row in store.live(1)] == [1]


def test_an_answer_is_undone_once(store, cluster_questions):
    store.freeze(cluster_questions([3]))
    store.add([answer(0, 1)])
    assert store.add([answer(0, client_id="u1", undoes="ann-0-1")]) == 1
    assert store.add([answer(0, client_id="u2", undoes="ann-0-1")]) == 0


def test_rows_are_never_changed(store, cluster_questions):
    store.freeze(cluster_questions([3]))
    store.add([answer(0, 1)])
    other = sqlite3.connect(store.path)
    for statement in ("UPDATE answers SET choice = 0", "DELETE FROM answers", "DELETE FROM rounds"):
        with pytest.raises(sqlite3.IntegrityError, match=r"append-only|frozen"):
            other.execute(statement)
    other.close()


@pytest.mark.parametrize("row", [answer(2), answer(-1), answer(0)._replace(round=9)])
def test_an_answer_to_no_question(store, cluster_questions, row):
    store.freeze(cluster_questions([3, 1]))
    with pytest.raises(UserError, match="has no question"):
        store.add([answer(0), row])
    assert store.rows() == ()  # the good row of the same transaction did not stay either


def test_votes_are_counted_by_person(store, cluster_questions):
    store.freeze(cluster_questions([3, 1]))
    store.add([answer(0, 1), answer(0, 1, annotator="bob"), answer(1, 1), answer(1, 2)])
    assert store.missing(1, votes=2).tolist() == [1]


def test_the_store_is_asked_before_anybody(store, cluster_questions):
    questions = cluster_questions([0, 1, 2])
    store.freeze(questions)
    store.add([answer(1, SKIP)])
    choice = collect(store, questions, exemplar(np.arange(10), seed=0)).choice
    assert choice.tolist() == [0, SKIP, 2]
    again = collect(store, questions, exemplar(np.zeros(10, int), seed=0)).choice
    assert again.tolist() == [0, SKIP, 2]


def test_other_questions_of_a_frozen_round_are_refused(store, cluster_questions):
    store.freeze(cluster_questions([0, 1]))
    with pytest.raises(UserError, match="other questions"):
        collect(store, cluster_questions([0, 2]), exemplar(np.arange(10), seed=0))


def test_a_run_that_goes_on_is_stopped_no_longer(store):
    store.go_on(0)
    store.stop("Ann")
    store.go_on(0)
    assert store.stopped_by() == "Ann"
    for _ in range(2):
        store.go_on(1)
        assert store.stopped_by() is None
    store.stop("Bob")
    assert store.stopped_by() == "Bob"


def test_a_store_moves_with_all_that_was_said(store, cluster_questions, tmp_path):
    store.freeze(cluster_questions([3, 1, 2]))
    store.add([answer(0)])
    store.name_group("key", "cat", 3, limit=5)
    left = store.path
    with pytest.raises(StoreError, match="cannot copy the store of answers to"):
        store.move(tmp_path / "nowhere" / "answers.db")
    store.move(tmp_path / "moved.db")
    store.add([answer(1)])
    with Store(store.path) as there, Store(left) as here:
        assert [row.position for row in there.rows()] == [0, 1]
        assert [row.position for row in here.rows()] == [0]
        assert [group.name for group in there.groups()] == ["cat"]
        assert there.questions(1).count == 3


def test_not_a_store(tmp_path):
    path = tmp_path / "answers.db"
    path.write_text("no database at all, but long enough to be looked at" * 20)
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(path)
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(tmp_path / "nowhere" / "answers.db")


def test_a_locked_database_is_an_error_and_changes_nothing(tmp_path, cluster_questions):
    with Store(tmp_path / "answers.db", busy_seconds=0.05) as store:
        store.freeze(cluster_questions([3]))
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.add([answer(0, 1)])
        assert store.rows() == ()
        other.execute("ROLLBACK")
        other.close()
        assert store.add([answer(0, 1)]) == 1


def test_a_full_disk_is_an_error_and_what_was_there_stays(store, cluster_questions):
    store.freeze(cluster_questions(range(2000)))
    store.add([answer(0, 1)])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to be full
    with pytest.raises(StoreError, match="full"):
        store.add([answer(position) for position in range(1, 2000)])
    assert [row.client_id for row in store.rows()] == ["ann-0-1"]
    store._db.execute("PRAGMA max_page_count = 100000")
    assert store.add([answer(position) for position in range(1, 2000)]) == 1999


def test_writes_that_the_system_refuses_are_errors_and_what_was_there_stays(
    tmp_path, cluster_questions
):
    """As on a full disk: from some size on the system takes no more bytes."""
    with Store(tmp_path / "answers.db") as store:
        store.freeze(cluster_questions(range(5000)))
    writer = (
        "import os, resource, sys\n"
        "from idc_jax.annotate import Row, Store, StoreError\n"
        "store = Store(sys.argv[1])\n"
        "rows = [Row(f'k{i}', 1, i, 'ann', 0) for i in range(5000)]\n"
        "store.add(rows[:1])\n"
        "size = os.path.getsize(sys.argv[1] + '-wal') + 40000\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "taken = 1\n"
        "try:\n"
        "    while taken < 5000: taken += store.add(rows[taken:taken + 1])\n"
        "except StoreError: pass\n"
        "assert 1 < taken < 5000, taken\n"
        "assert len(store.rows()) == taken\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "assert store.add(rows) == 5000 - taken\n"
    )
    script = [sys.executable, "-c", writer, str(tmp_path / "answers.db")]
    subprocess.run(script, check=True)
    with Store(tmp_path / "answers.db") as store:
        assert [row.position for row in store.rows()] == list(range(5000))


def test_threads_share_a_store(store, cluster_questions):
    store.freeze(cluster_questions(range(50)))

    def work(name):
        for position in range(50):
            store.add([answer(position, annotator=name)])

    threads = [threading.Thread(target=work, args=(f"p{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.live(1)) == 400
    assert store.missing(1, votes=8).size == 0


def test_every_acknowledged_answer_survives_kill_9(tmp_path, cluster_questions):
    with Store(tmp_path / "answers.db") as store:
        store.freeze(cluster_questions(range(5000)))
    writer = (
        "import sys; from idc_jax.annotate import Row, Store\n"
        "store = Store(sys.argv[1])\n"
        "for i in range(5000):\n"
        "    store.add([Row(f'k{i}', 1, i, 'ann', 0)]); print(i, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", writer, str(tmp_path / "answers.db")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(40)]
        process.kill()
        acknowledged += process.stdout.read().splitlines(keepends=True)
    said = [int(line) for line in acknowledged if line.endswith(b"\n")]
    with Store(tmp_path / "answers.db") as store:
        kept = [row.position for row in store.rows()]
    assert said == kept[: len(said)]
    assert len(kept) - len(said) <= 1  # the one that was being written when the kill came


def test_groups_are_named_once_and_renamed(store):
    store.freeze(label_questions(1, np.arange(5), np.zeros(5)))
    cat = store.name_group("k1", "cat", 3, limit=3)
    assert store.name_group("k1", "cat", 3, limit=3) == cat
    dog = store.name_group("k2", "dog", 4, limit=3)
    assert (cat.id, dog.id) == (0, 1)
    assert store.name_group("k1", "cats", 9, limit=3).name == "cats"
    assert [(group.id, group.name, group.exemplar) for group in store.groups()] == [
        (0, "cats", 3),
        (1, "dog", 4),
    ]
    store.name_group("k3", "fox", 4, limit=3)
    with pytest.raises(UserError, match="another group is called 'fox' already"):
        store.name_group("k1", " FOX", 9)
    with pytest.raises(UserError, match="3 groups already"):
        store.name_group("k4", "owl", 4, limit=3)


def test_the_name_of_a_group_that_was_given_up_is_free(store):
    store.freeze(label_questions(1, np.arange(5), np.zeros(5)))
    cat = store.name_group("k1", "cat", 0)
    store.add([Row("c0", 1, 0, "Ann", cat.id), Row("u0", 1, 0, "Ann", 0, undoes="c0")])
    dog = store.name_group("k2", "dog", 1)
    assert store.name_group("k2", "Cat", 1) == dog._replace(name="Cat")
    assert store.name_group("k3", "cat", 2).id == dog.id
