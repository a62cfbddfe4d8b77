"""A session that nobody tells how many groups there are, and what it expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idc_jax import Session
from idc_jax.errors import UserError

N, C = 90, 3
LABELS = np.repeat(np.arange(C), N // C)
NAMES = np.array(["cat", "dog", "ship"])
QUICK = {"graph_committee.steps": 30}


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (4 * np.eye(C, 6)[LABELS] + rng.normal(size=(N, 6))).astype(np.float32)


@pytest.fixture
def session(blobs: np.ndarray) -> Session:
    return Session(blobs, options=QUICK)


def test_the_number_of_groups_narrows_and_people_name_what_they_meet(
    session: Session, tmp_path: Path
) -> None:
    before = session.number_of_groups_
    assert session.outlook_ is None
    assert before.low <= C <= before.high
    for _ in range(3):
        session.answer({i: NAMES[LABELS[i]] for i in session.ask(8).ids})
    told = session.outlook_
    assert told is not None
    assert (told["groups"], told["named"]) == (C, C)
    assert told["accuracy_low"] <= told["accuracy"] == session.expected_accuracy_
    assert told["told"].startswith("Expected: ")
    now = session.number_of_groups_
    assert now.low == C
    assert now.high - now.low < before.high - before.low
    # There is always room for one more.
    things = {i: f"thing {i}" for i in session.ask(12).ids}
    session.answer(things)
    assert {group.name for group in session.groups_ if group.answered} >= set(things.values())
    assert session.number_of_groups_.low >= C + 12
    # It is all there when it goes on.
    session.save(tmp_path / "kept")
    kept = session.outlook_
    session._leave()
    again = Session.load(tmp_path / "kept")
    assert again.outlook_ == kept
    assert again.number_of_groups_ == session.number_of_groups_


def test_every_answer_a_skip(session: Session) -> None:
    before = session.number_of_groups_
    session.answer(dict.fromkeys(session.ask(10).ids))
    assert session.outlook_ is None
    assert session.number_of_groups_ == before


def test_one_group_only(session: Session) -> None:
    session.answer(dict.fromkeys(session.ask(20).ids, "thing"))
    told = session.outlook_
    assert told is not None
    assert told["named"] == 1
    assert told["groups_low"] >= 1
    assert 0 <= told["accuracy_low"] <= told["accuracy"] <= told["accuracy_high"] <= 1


def test_answers_that_contradict_one_another(blobs: np.ndarray) -> None:
    # Each sample twice, once called this and once that.
    twins = Session(np.repeat(blobs[::3], 2, axis=0), 2, options=QUICK)
    twins.answer({i: ("this", "that")[i % 2] for i in range(40)})
    told = twins.outlook_
    assert told is not None
    assert told["named"] == 2
    assert all(np.isfinite(told[name]) for name in ("accuracy", "gain", "groups"))
    # A correction takes the place of what it corrects.
    twins.answer(dict.fromkeys(range(40), "this"))
    corrected = twins.outlook_
    assert corrected is not None
    assert corrected["accuracy"] > told["accuracy"]


def test_as_many_groups_as_samples() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    alone = Session(x, 4, options=QUICK)
    alone.answer({0: "a", 1: "b", 2: "c", 3: "d"})
    assert alone.number_of_groups_ == (4, 4, 4)
    assert len(set(alone.labels_.tolist())) == 4


@pytest.mark.parametrize(
    ("x", "number", "message"),
    [
        (np.zeros((5, 2)), 1, "num_clusters is 1; it must be at least 2: 0 has the number found"),
        (np.zeros((5, 2)), -1, "num_clusters is -1"),
        (np.eye(4), 5, "5 clusters of 4 samples are impossible"),
    ],
)
def test_numbers_that_mean_nothing(x: np.ndarray, number: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Session(x, number, options=QUICK)
