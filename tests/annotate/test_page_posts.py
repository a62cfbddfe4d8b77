"""What the page may post, what is refused, and that a refusal changes nothing."""

import contextlib
import sqlite3

import pytest
from run_page import make_questions
from website import Site, answer

from idc_jax.annotate import NONE_OF_THESE, SKIP, Store, disagreement
from idc_jax.annotate.page.guard import MAX_BODY_BYTES
from idc_jax.annotate.stopping import left_out
from idc_jax.annotate.store import Row


def test_an_answer_is_a_row_before_it_is_acknowledged(site):
    reply = site.post(**answer())
    assert reply.status_code == 200
    (row,) = site.store.rows()
    assert (row.client_id, row.annotator, row.choice, row.seconds) == ("c0", "Ann", -1, 1.5)
    assert site.post(**answer()).status_code == 200
    assert len(site.store.rows()) == 1


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"round": "1"}, 422, "'round' must be a whole number"),
        ({"round": True}, 422, "'round'"),
        ({"position": -1}, 422, "'position'"),
        ({"position": 6}, 422, "no question 6"),
        ({"position": 1e9}, 422, "'position'"),
        ({"answer": "maybe"}, 422, "is not an answer"),
        ({"answer": 99}, 422, "is not an answer"),
        ({"answer": None}, 422, "'answer' must be"),
        ({"answer": [1]}, 422, "'answer' must be"),
        ({"answer": "same"}, 422, "is not an answer"),
        ({"seconds": -1}, 422, "'seconds'"),
        ({"seconds": float("nan")}, 422, "'seconds'"),
        ({"seconds": float("inf")}, 422, "'seconds'"),
        ({"annotator": ""}, 422, "'annotator'"),
        ({"annotator": " Ann"}, 422, "'annotator'"),
        ({"annotator": "a\nb"}, 422, "'annotator'"),
        ({"annotator": "x" * 61}, 422, "'annotator'"),
        ({"client_id": "x" * 81}, 422, "'client_id'"),
        ({"client_id": 5}, 422, "'client_id'"),
        ({"more": 1}, 422, "unknown field 'more'"),
        ({"group": {"key": "k", "name": "n"}}, 422, "exactly one"),
        ({"round": 2}, 503, "not open yet"),
    ],
)
def test_a_wrong_answer_changes_nothing_and_hears_why(site, change, status, reason):
    reply = site.post(**answer(**change))
    assert reply.status_code == status
    assert reason in reply.json()["error"]
    assert site.store.rows() == ()


@pytest.mark.parametrize("missing", sorted(answer()))
def test_a_missing_field(site, missing):
    body = answer()
    del body[missing]
    reply = site.post(**body)
    assert reply.status_code == 422
    assert site.store.rows() == ()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 10_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_a_body_that_is_no_answer(site, body, status):
    headers = {"Content-Type": "application/json"}
    reply = site.client.post("/api/answer", content=body, headers=headers)
    assert reply.status_code == status
    assert set(reply.json()) == {"error"}


def test_a_long_body_without_a_length(site):
    def endless():
        for _ in range(100):
            yield b" " * 1000

    headers = {"Content-Type": "application/json"}
    assert site.client.post("/api/answer", content=endless(), headers=headers).status_code == 413


def test_undo_is_ones_own_and_once(site):
    site.post(**answer())
    undo = {"client_id": "u", "annotator": "Ann", "undoes": "c0"}
    assert site.post("undo", **undo | {"undoes": "nothing"}).status_code == 422
    assert site.post("undo", **undo | {"annotator": "Bob"}).status_code == 422
    assert site.post("undo", **undo).status_code == 200
    assert site.post("undo", **undo).status_code == 200
    assert site.post("undo", **undo | {"client_id": "v"}).status_code == 200
    assert len(site.store.rows()) == 2
    assert site.store.live(1) == ()
    assert site.post("undo", **undo | {"client_id": "w", "undoes": "u"}).status_code == 422


def test_a_client_id_is_not_taken_over(site):
    site.post(**answer())
    assert site.post(**answer(annotator="Bob")).status_code == 409


def test_a_round_closes_and_its_answers_are_refused(store, dataset):
    site = Site(store, dataset, grace_seconds=0.0)
    with site.client:
        site.ask(store.freeze(make_questions("cluster", 1, 2, dataset)))
        finish = {"annotator": "Ann", "round": 1}
        assert site.post("finish", **finish).status_code == 409
        site.post(**answer(0))
        site.post(**answer(1))
        site.thread.join(5)
        late = site.post(**answer(1, client_id="late"))
        assert late.status_code == 409
        assert "closed" in late.json()["error"]
        assert site.post(**answer(1)).status_code == 200  # the same again: it was taken
        assert site.post("undo", client_id="u", annotator="Ann", undoes="c1").status_code == 409
        assert len(store.rows()) == 2


def test_a_full_disk_refuses_and_the_same_answer_is_taken_later(site):
    site.post(**answer(0))
    pages = site.store._db.execute("PRAGMA page_count").fetchone()[0]
    site.store._db.execute(f"PRAGMA max_page_count = {pages}")
    refused, number = None, 0
    while refused is None:
        number += 1
        assert number < 2000
        reply = site.post(**answer(1, client_id=f"{number:080d}"))
        refused = reply if reply.status_code != 200 else None
    assert refused.status_code == 503
    assert "full" in refused.json()["error"]
    assert len(site.store.rows()) == number
    site.store._db.execute("PRAGMA max_page_count = 100000")
    assert site.post(**answer(1, client_id=f"{number:080d}")).status_code == 200
    assert len(site.store.rows()) == number + 1


def test_a_locked_database_refuses_and_the_same_answer_is_taken_later(tmp_path, dataset):
    with Store(tmp_path / "answers.db", busy_seconds=0.05) as store:
        site = Site(store, dataset)
        with site.client:
            site.ask(store.freeze(make_questions("cluster", 1, 6, dataset)))
            with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                reply = site.post(**answer())
                assert reply.status_code == 503
                assert "locked" in reply.json()["error"]
                assert site.client.get("/api/state?annotator=Ann").json()["given"] == 0
                other.execute("ROLLBACK")
            assert site.post(**answer()).status_code == 200
            assert len(store.rows()) == 1


@pytest.mark.parametrize("votes", [1, 2])
def test_stopping_skips_what_is_left_and_closes_the_round(store, dataset, votes):
    site = Site(store, dataset, votes=votes, grace_seconds=600.0)
    with site.client:
        site.ask(store.freeze(make_questions("cluster", 1, 3, dataset)))
        site.post(**answer(1))
        assert store.stopped_by() is None
        assert site.post("stop", annotator="Ann", round=2).status_code == 503
        assert site.post("stop", annotator="Ann", round=1).status_code == 200
        site.thread.join(5)
    rows = store.live(1)
    assert len(rows) == 3 * votes
    assert [row.choice for row in rows if row.annotator == "Ann"] == [NONE_OF_THESE]
    assert {row.choice for row in rows if row.annotator != "Ann"} == {SKIP}
    assert not store.missing(1, votes).size
    assert store.stopped_by() == "Ann"
    # What nobody has said is no disagreement.
    assert disagreement(store, "majority") is None


def test_a_late_wish_to_start_is_no_error(store, dataset):
    site = Site(store, dataset, grace_seconds=0.0)
    with site.client:
        site.ask(store.freeze(make_questions("cluster", 1, 1, dataset)))
        site.post(**answer(0))
        site.thread.join(5)
        site.ask(store.freeze(make_questions("cluster", 2, 1, dataset)))
        assert site.post("finish", annotator="Ann", round=1).status_code == 200
        assert site.post("finish", annotator="Ann", round=2).status_code == 409


def test_what_is_on_its_way_counts_when_people_stop():
    given = Row("c0", 1, 0, "Ann", 3)
    undone = Row("u", 1, 1, "Bob", 0, undoes="c1")
    rows = left_out(1, [set(), {"Bob"}, {"Bob"}], 1, [given, undone], "Ann")
    assert [row.position for row in rows] == [1]
