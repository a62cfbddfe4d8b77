"""Which kind a round asks, and about whom, on a prediction made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from idc_jax.annotate.evidence import gather
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SKIP,
    Role,
    answered,
    label_questions,
    pair_questions,
    screens,
)
from idc_jax.asking import Budget, Known, ask
from idc_jax.asking.clusters import ask_clusters
from idc_jax.asking.grids import ask_grids
from idc_jax.asking.pairs import ask_pairs
from idc_jax.outlook import GRID_SIZE, SECONDS

CLASSES, EACH = 3, 40
N = CLASSES * EACH
LABELS = np.repeat(np.arange(CLASSES), EACH)
# What outputs stand for: classes of other numbers.
SLOTS = np.array([7, 5, 9], np.int32)


def known(doubt: float, rounds=(), *, slots=SLOTS) -> Known:
    """A prediction that is right, sure but for ``doubt`` that it is the next class."""
    probs = np.full((N, CLASSES), 0.001)
    probs[np.arange(N), LABELS] = 1 - doubt
    probs[np.arange(N), (LABELS + 1) % CLASSES] += doubt
    probs[:, :] += np.linspace(0, 1e-3, N)[:, None] * np.eye(CLASSES)[LABELS]
    probs /= probs.sum(1, keepdims=True)
    embeddings = np.eye(CLASSES)[LABELS] + 1e-3 * np.arange(N)[:, None] / N
    return Known(probs, slots, embeddings, gather(N, rounds, shown=True))


def names(samples) -> tuple:
    """The samples' right names, as a first round."""
    asked = label_questions(1, np.asarray(samples), np.zeros(len(samples)))
    return asked, answered(asked, SLOTS[LABELS[samples]])


def skipped(samples) -> tuple:
    asked = label_questions(2, np.asarray(samples), np.zeros(len(samples)))
    return asked, answered(asked, np.full(len(samples), SKIP))


OPENED = names([0, 1, 40, 41, 80, 81])


def own(count: int):
    """The method asks about the first that nobody was asked about."""
    free = np.setdiff1d(np.arange(N), OPENED[0].indices)
    return label_questions(4, free[: max(count, 0)], np.zeros(max(count, 0)))


KINDS = ("label", "pair", "cluster", "grid")


def test_the_usual_kind_opens_and_is_asked_alone():
    budget = Budget(8, SECONDS)
    assert ask(known(0.4), KINDS, own, "label", budget).kind == "label"
    alone = ask(known(0.4, [OPENED]), ("label",), own, "label", budget)
    np.testing.assert_array_equal(alone.indices, own(8).indices)


def test_names_are_asked_as_long_as_a_group_seems_to_have_none():
    seconds = {**SECONDS, "label": 100.0}
    two = known(0.4, [names([0, 1, 40, 41]), skipped([80, 81])])
    assert ask(two, KINDS, own, "label", Budget(8, seconds)).kind == "label"
    # Who may ask no name asks what there is.
    assert ask(two, ("pair", "grid"), own, "label", Budget(8, seconds)).kind == "pair"
    # So many answers name so few groups that there are hardly others.
    many = known(0.4, [names([*range(30), *range(40, 70)])])
    assert ask(many, KINDS, own, "label", Budget(8, seconds)).kind != "label"


def test_what_is_quick_is_asked_and_what_is_slow_is_not():
    there = known(0.4, [OPENED])
    for kind in KINDS:
        seconds = {other: 1e-3 if other == kind else 100.0 for other in KINDS}
        if kind == "grid":  # of the samples nobody is sure enough
            there = known(0.2, [OPENED])
        asked = ask(there, KINDS, own, "label", Budget(24, seconds))
        assert (asked.kind, asked.round) == (kind, 4)
        assert 0 < asked.count <= 24


def test_a_budget_of_time_holds_more_of_what_is_quick():
    there = known(0.4, [OPENED])
    budget = Budget(10, {**SECONDS, "label": 5.0, "pair": 2.5}, by_time=True)
    assert ask(there, ("pair",), own, "label", budget).count == 20
    assert ask(there, ("label", "pair"), own, "label", budget._replace(by_time=False)).count == 10


def test_without_a_group_that_has_a_name_there_is_no_grid():
    there = known(0.2, [OPENED], slots=np.full(3, -1, np.int32))
    assert ask(there, ("grid",), own, "label", Budget(8, SECONDS)).kind == "label"


def test_grids_are_of_one_group_each_and_of_those_that_are_nearly_sure():
    there = known(0.2, [OPENED])
    grids = ask_grids(there, 2 * GRID_SIZE)
    assert grids.count == 2 * GRID_SIZE
    assert (grids.roles == Role.CHECK).all()
    for screen in screens(grids):
        assert len(np.unique(grids.candidates[screen])) == 1
    np.testing.assert_array_equal(grids.candidates[:, 0], SLOTS[LABELS[grids.indices]])
    assert not np.isin(grids.indices, OPENED[0].indices).any()
    # Nobody is sure enough of any.
    assert ask_grids(known(0.4, [OPENED]), 32).count == 0


def test_a_grid_is_shown_in_parts_that_fit():
    grids = ask_grids(known(0.2, [OPENED]), 100)
    parts = screens(grids)
    assert max(map(len, parts)) <= 24
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(grids.count))
    assert [part.tolist() for part in screens(own(3))] == [[0], [1], [2]]


def test_pairs_are_with_whom_people_named_and_never_the_same_twice():
    there = known(0.4, [OPENED])
    pairs = ask_pairs(there, np.array([2, 50]))
    assert set(pairs.indices[:, 1].tolist()) <= set(OPENED[0].indices.tolist())
    np.testing.assert_array_equal(LABELS[pairs.indices[:, 0]], LABELS[pairs.indices[:, 1]])
    asked = pair_questions(2, pairs.indices, np.zeros(2))
    again = ask_pairs(
        known(0.4, [OPENED, (asked, answered(asked, np.full(2, DIFFERENT)))]), np.array([2, 50])
    )
    assert not {tuple(p) for p in again.indices.tolist()} & {
        tuple(p) for p in pairs.indices.tolist()
    }
    # The next likeliest.
    np.testing.assert_array_equal(
        LABELS[again.indices[:, 1]], (LABELS[again.indices[:, 0]] + 1) % CLASSES
    )


def test_clusters_are_shown_by_whom_people_named():
    offers = ask_clusters(known(0.4, [OPENED]), np.array([2, 50]))
    assert set(offers.exemplars.tolist()) <= set(OPENED[0].indices.tolist())
    np.testing.assert_array_equal(offers.candidates[:, 0], [0, 1])
    shown = {*offers.exemplars.tolist(), *offers.members.reshape(-1).tolist()}
    assert not shown & {2, 50}
    # Read by what was shown, the answer is a name.
    said = answered(offers, offers.candidates[:, 0])
    closure = gather(N, [OPENED, (offers._replace(round=2), said)], shown=True).closure
    np.testing.assert_array_equal(closure.label[[2, 50]], SLOTS[[0, 1]])


def test_strangers_are_named_first():
    grids = ask_grids(known(0.2, [OPENED]), GRID_SIZE)._replace(round=2)
    choice = grids.candidates[:, 0].copy()
    choice[:3] = NONE_OF_THESE
    choice[3] = SKIP
    there = known(0.2, [OPENED, (grids, answered(grids, choice))])

    def others(count: int):
        return label_questions(4, np.flatnonzero(~there.asked)[:count], np.zeros(count))

    asked = ask(there, ("label", "grid"), others, "label", Budget(8, {**SECONDS, "label": 1e-3}))
    assert len(np.unique(asked.indices)) == 8
    assert set(asked.indices[:3].tolist()) == set(grids.indices[:3].tolist())
    assert grids.indices[3] not in asked.indices


@pytest.mark.parametrize("count", [1, 5, 17])
def test_no_kind_asks_more_than_it_may(count):
    there = known(0.25, [OPENED])
    for kind in KINDS:
        asked = ask(there, (kind,), own, "label", Budget(count, SECONDS))
        assert 0 < asked.count <= count
