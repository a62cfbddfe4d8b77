"""Gestures as rows of the store: what they say, what they take back, and what undoing leaves."""

import numpy as np
import pytest

from idc_jax.annotate import NONE_OF_THESE, Annotator, Row, Store, gather, label_questions
from idc_jax.annotate.annotator import all_said
from idc_jax.annotate.volunteered import Hand, gestures, volunteered_rounds
from idc_jax.errors import UserError

N = 20


def say(store: Store, gesture: str, samples, group: int, who: str = "Ann", seconds=0.0) -> None:
    with store.whole():
        hand = Hand(store, gesture, who, seconds)
        hand.say(samples, group)
        hand.end()


def undo(store: Store, gesture: str, what: str, who: str = "Ann") -> None:
    with store.whole():
        hand = Hand(store, gesture, who, 0.0)
        hand.undo(what)
        hand.end()


def groups(store: Store) -> dict[int, int]:
    """What every sample was said to be of, as methods hear it."""
    said = gather(N, all_said(store, Annotator("x", lambda *_: None))).group
    return {sample: int(said[sample]) for sample in np.flatnonzero(said >= 0).tolist()}


@pytest.fixture
def asked(store: Store) -> Store:
    """Round 1 asked about samples 0 to 2; Ann said 5 of the first two."""
    store.freeze(label_questions(1, np.arange(3), np.zeros(3)))
    store.add(Row(f"a{at}", 1, at, "Ann", 5) for at in range(2))
    return store


def test_a_gesture_corrects_what_was_asked_and_adds_a_round_for_the_rest(asked: Store) -> None:
    say(asked, "g", [1, 2, 7, 8], 6, seconds=8.0)
    assert groups(asked) == {0: 5, 1: 6, 2: 6, 7: 6, 8: 6}
    assert volunteered_rounds(asked) == {2: 2}
    assert [asked.questions(number).volunteered for number in (1, 2)] == [False, True]
    # It answered the open question, too, and its seconds are those of all.
    assert asked.missing(1).size == 0
    assert sum(row.seconds for row in asked.rows()) == pytest.approx(8.0)


def test_undo_brings_back_what_was_said_before_and_undoing_that_the_gesture(asked: Store) -> None:
    before = groups(asked)
    say(asked, "g", [0, 7], 6)
    after = groups(asked)
    undo(asked, "u", "g")
    assert groups(asked) == before
    undo(asked, "v", "u")
    assert groups(asked) == after
    undo(asked, "w", "v")
    undo(asked, "x", "g")  # twice is once
    assert groups(asked) == before


def test_undo_leaves_alone_what_was_said_since(asked: Store) -> None:
    say(asked, "g", [7, 8], 6)
    say(asked, "h", [7], 4)
    undo(asked, "u", "g")
    # Of sample 7 the latest word stands, of sample 8 nothing is left.
    assert groups(asked) == {0: 5, 1: 5, 7: 4}


def test_what_is_ruled_out_is_of_no_group_until_somebody_says_which(asked: Store) -> None:
    with asked.whole():
        hand = Hand(asked, "g", "Ann", 0.0)
        hand.rule_out([0, 7], 5)
        hand.end()
    evidence = gather(N, all_said(asked, Annotator("x", lambda *_: None)))
    assert evidence.group[[0, 7]].tolist() == [NONE_OF_THESE] * 2
    assert evidence.excluded.tolist() == [[0, 5], [7, 5]]
    say(asked, "h", [0, 7], 5)  # a change of mind
    evidence = gather(N, all_said(asked, Annotator("x", lambda *_: None)))
    assert evidence.group[[0, 7]].tolist() == [5, 5]
    assert evidence.excluded.tolist() == []


def test_ruling_out_one_group_keeps_another(asked: Store) -> None:
    with asked.whole():
        hand = Hand(asked, "g", "Bob", 0.0)
        hand.rule_out([0], 9)
        hand.end()
    assert groups(asked)[0] == 5


def test_the_same_again_writes_nothing(asked: Store) -> None:
    say(asked, "g", [0, 7], 5)
    rows = len(asked.rows())
    say(asked, "h", [0, 7], 5)
    assert len(asked.rows()) == rows
    assert [gesture.id for gesture in gestures(asked)] == ["g"]


def test_merged_groups_are_one_until_they_are_parted(asked: Store) -> None:
    cats = asked.name_group("k", "cats", 0)
    dogs = asked.name_group("l", "dogs", 7)
    fox = asked.name_group("m", "fox", 9)
    for gesture, sample, group in (("a", 7, cats), ("b", 8, dogs), ("c", 9, fox)):
        say(asked, gesture, [sample], group.id)
    asked.enter_group("k", dogs.id, "dogs")
    asked.enter_group("l", fox.id, "fox")  # and with it what it has taken in
    assert [group.name for group in asked.groups()] == ["fox"]
    assert {groups(asked)[sample] for sample in (7, 8, 9)} == {fox.id}
    assert asked.name_group("k", "cats", 0).id == fox.id  # of a page that had not heard
    asked.enter_group("l", dogs.id, "dogs")
    asked.enter_group("k", cats.id, "cats")
    assert [groups(asked)[sample] for sample in (7, 8, 9)] == [cats.id, dogs.id, fox.id]


def test_no_two_groups_bear_one_name(asked: Store) -> None:
    asked.name_group("k", "cats", 0)
    dogs = asked.name_group("l", "dogs", 7)
    with pytest.raises(UserError, match="another group is called 'cats' already: merge the two"):
        asked.enter_group("l", dogs.id, "Cats")


def test_a_group_goes_when_it_is_empty_and_comes_back(asked: Store) -> None:
    cats = asked.name_group("k", "cats", 0)
    say(asked, "g", [7], cats.id)
    with pytest.raises(UserError, match="not empty"):
        asked.enter_group("k", -1, "cats")
    undo(asked, "u", "g")
    asked.enter_group("k", -1, "cats")
    assert asked.groups() == ()
    assert asked.name_group("l", "dogs", 1).id != cats.id  # its number stays its own
    assert asked.name_group("k", "cats", 0).id == cats.id


def test_rounds_are_numbered_as_they_come(asked: Store) -> None:
    say(asked, "g", [7], 6)
    questions = asked.append(label_questions(2, np.array([9]), np.zeros(1)))
    assert questions.round == 3
    assert asked.questions(3).indices.tolist() == [9]
