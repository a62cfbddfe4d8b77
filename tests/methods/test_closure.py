"""The link closure against a brute-force one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idc_jax.annotate.closure import asked_pairs, block_links, close_links
from idc_jax.annotate.questions import DIFFERENT, SAME, SKIP
from idc_jax.errors import UserError


def matrix(num_samples, pairs, choice):
    """The whole q in one block."""
    closure = close_links(num_samples, np.reshape(pairs, (-1, 2)), np.asarray(choice))
    return block_links(closure, np.arange(num_samples)[None])[0], closure


def brute_force(num_samples, pairs, choice):
    """Transitive closure by Floyd-Warshall after every answer; contradictions left out."""
    same = np.eye(num_samples, dtype=bool)
    different = np.zeros((num_samples, num_samples), bool)
    accepted = []
    for (a, b), said in zip(pairs, choice, strict=True):
        ok = (said == SAME and not different[a, b]) or (said == DIFFERENT and not same[a, b])
        accepted.append(ok)
        if not ok:
            continue
        (same if said == SAME else different)[[a, b], [b, a]] = True
        for k in range(num_samples):
            same |= same[:, [k]] & same[[k], :]
        different = (same.astype(int) @ different @ same.astype(int)) > 0
    q = same.astype(int) - different.astype(int)
    np.fill_diagonal(q, 0)
    return q, np.asarray(accepted, bool)


def test_by_hand():
    """0=1, 1=2, 3=4, 2≠3 gives six cannot-links and a free must-link 0=2."""
    q, closure = matrix(6, [(0, 1), (1, 2), (4, 3), (2, 3)], [SAME, SAME, SAME, DIFFERENT])
    expected = np.zeros((6, 6), int)
    expected[:3, :3] = expected[3:5, 3:5] = 1
    expected[:3, 3:5] = expected[3:5, :3] = -1
    np.fill_diagonal(expected, 0)
    np.testing.assert_array_equal(q, expected)
    np.testing.assert_array_equal(closure.component, [0, 0, 0, 3, 3, 5])
    np.testing.assert_array_equal(closure.cannot, [[0, 3]])


def test_cannot_links_follow_a_later_merge():
    q, _ = matrix(4, [(0, 1), (2, 3), (0, 2)], [DIFFERENT, DIFFERENT, SAME])
    assert q[2, 1] == q[0, 3] == q[2, 3] == -1
    assert q[1, 3] == 0


def test_a_later_contradiction_is_rejected_and_reported():
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3)]
    q, closure = matrix(4, pairs, [SAME, SAME, DIFFERENT, DIFFERENT, SAME])
    np.testing.assert_array_equal(closure.conflicts, [2, 4])
    np.testing.assert_array_equal(closure.accepted, [True, True, False, True, False])
    assert q[0, 2] == 1
    assert q[0, 3] == -1


def test_a_skip_says_nothing_and_is_no_conflict():
    q, closure = matrix(3, [(0, 1)], [SKIP])
    assert not q.any()
    assert not closure.accepted.any()
    assert not len(closure.conflicts)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from([SAME, DIFFERENT, SKIP])),
        max_size=20,
    )
)
def test_equals_brute_force(answers):
    pairs = [(a, b) for a, b, _ in answers if a != b]
    choice = [said for a, b, said in answers if a != b]
    q, closure = matrix(8, pairs, choice)
    expected, accepted = brute_force(8, pairs, choice)
    np.testing.assert_array_equal(q, expected)
    np.testing.assert_array_equal(closure.accepted, accepted)


def test_a_truthful_person_is_never_contradicted():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 30)
    pairs = rng.integers(0, 30, (200, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    q, closure = matrix(30, pairs, labels[pairs[:, 0]] == labels[pairs[:, 1]])
    assert closure.accepted.all()
    truth = np.where(labels[:, None] == labels[None], 1, -1)
    assert (q != 0).mean() > 0.5
    np.testing.assert_array_equal(q[q != 0], truth[q != 0])


def test_blocks_see_only_their_own_samples():
    closure = close_links(5, np.array([[0, 3], [3, 1], [2, 4]]), np.array([SAME, DIFFERENT, SAME]))
    q = block_links(closure, np.array([[3, 1, 0], [4, 2, -1]]))
    np.testing.assert_array_equal(q[0], [[0, -1, 1], [-1, 0, -1], [1, -1, 0]])
    np.testing.assert_array_equal(q[1], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


def test_asked_pairs_are_marked_whatever_the_answer():
    asked = asked_pairs(np.array([[0, 1], [2, 0], [4, 2]]), np.array([[2, 1, 0], [4, 3, -1]]))
    expected = np.zeros((2, 3, 3), bool)
    expected[0, [2, 1, 0, 2], [1, 2, 2, 0]] = True
    np.testing.assert_array_equal(asked, expected)
    assert not asked_pairs(np.zeros((0, 2), int), np.array([[0, 1]])).any()


@pytest.mark.parametrize(
    ("pairs", "choice", "message"),
    [([[0, 9]], [SAME], "samples"), ([[0, 1]], [SAME, SAME], "fit")],
)
def test_bad_input_is_one_clear_line(pairs, choice, message):
    with pytest.raises(UserError, match=message):
        close_links(3, np.asarray(pairs), np.asarray(choice))
