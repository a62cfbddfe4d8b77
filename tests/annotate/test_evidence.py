"""What people said, folded into arrays, by hand."""

import numpy as np
import pytest

from idc_jax.annotate.closure import CLUSTERS
from idc_jax.annotate.evidence import Ledger, gather, says_something
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    UNASKED,
    Questions,
    Role,
    answered,
    label_questions,
    pair_questions,
    plain_roles,
)
from idc_jax.errors import UserError

N = 8


def labels(round_, indices, choice, roles=None):
    questions = label_questions(round_, np.asarray(indices), np.zeros(len(indices)), roles)
    return questions, answered(questions, np.asarray(choice))


def pairs(round_, rows, choice):
    questions = pair_questions(round_, np.asarray(rows), np.zeros(len(rows)))
    return questions, answered(questions, np.asarray(choice))


def clusters(round_, indices, candidates, exemplars, choice):
    count = len(indices)
    questions = Questions(
        kind="cluster",
        round=round_,
        indices=np.asarray(indices, np.int32),
        candidates=np.asarray(candidates, np.int32),
        exemplars=np.asarray(exemplars, np.int32),
        members=np.zeros((len(exemplars), 0), np.int32),
        values=np.zeros(count, np.float32),
        roles=plain_roles(count),
    )
    return questions, answered(questions, np.asarray(choice))


def test_nothing_said_is_nothing_known():
    found = gather(N, [])
    assert (found.group == UNASKED).all()
    assert not found.asked.any()
    assert found.pairs.shape == (0, 3)
    assert found.excluded.shape == (0, 2)
    np.testing.assert_array_equal(found.closure.component, np.arange(N))


def test_labels_keep_their_round_their_role_and_their_weight():
    roles = np.array([Role.REPRESENTATIVE, Role.DIFFICULT, Role.DIFFICULT])
    questions, said = labels(2, [5, 1, 3], [7, SKIP, 7], roles)
    found = gather(N, [(questions, said._replace(weight=np.array([1.0, 1.0, 0.5])))])
    assert found.group.tolist() == [-3, SKIP, -3, 7, -3, 7, -3, -3]
    assert np.flatnonzero(found.asked).tolist() == [1, 3, 5]
    assert found.round[[1, 3, 5]].tolist() == [2, 2, 2]
    assert found.role[[1, 3, 5]].tolist() == [Role.DIFFICULT, Role.DIFFICULT, Role.REPRESENTATIVE]
    assert found.weight[3] == 0.5
    # Samples of one class are linked.
    assert found.closure.component[5] == found.closure.component[3] == 3


def test_clusters_that_were_offered_and_refused_are_excluded():
    asked = clusters(1, [0, 1], [[2, 0, -1], [1, 2, 0]], [4, 5, 6], [NONE_OF_THESE, 2])
    found = gather(N, [asked])
    assert found.group[:2].tolist() == [NONE_OF_THESE, CLUSTERS + 2]
    assert found.excluded.tolist() == [[0, CLUSTERS + 2], [0, CLUSTERS]]
    assert not len(found.closure.cannot)
    # For a method with other clusters it is what people saw that counts.
    shown = gather(N, [asked], shown=True).closure
    assert shown.component[1] == shown.component[6] == 1
    assert sorted(map(tuple, shown.cannot.tolist())) == [(0, 1), (0, 4)]


def test_classes_and_clusters_meet_where_a_sample_is_of_both():
    found = gather(N, [clusters(1, [0, 1], [[0], [0]], [2], [0, 0]), labels(2, [1, 4], [3, 3])])
    closure = found.closure
    assert closure.component[[0, 1, 4]].tolist() == [0, 0, 0]
    assert closure.label[[0, 1, 4]].tolist() == [3, 3, 3]
    assert closure.cluster[0] == CLUSTERS
    assert closure.label[2] == -1


def test_a_pair_may_join_a_class_and_never_two():
    found = gather(N, [labels(1, [0, 1], [0, 1]), pairs(2, [[0, 2], [2, 1], [1, 3]], [1, 1, 1])])
    closure = found.closure
    assert closure.conflicts.tolist() == [1]
    assert closure.label[:4].tolist() == [0, 1, 0, 1]
    # Said first to be one, they cannot be of two classes afterwards.
    refused = gather(N, [pairs(1, [[0, 1]], [SAME]), labels(2, [0, 1], [0, 1])])
    assert refused.closure.refused.tolist() == [1]
    # What was said about a sample itself stands.
    assert refused.group[:2].tolist() == [0, 1]


def test_a_later_answer_about_a_sample_stands():
    found = gather(N, [labels(1, [0], [SKIP]), labels(2, [0], [4])])
    assert found.group[0] == 4
    assert found.round[0] == 2


def test_growing_and_gathering_are_the_same():
    rounds = [
        labels(1, [0, 4], [1, 2]),
        pairs(2, [[0, 5], [4, 6], [1, 2]], [SAME, DIFFERENT, SKIP]),
        clusters(3, [3], [[1, 0]], [7, 2], [NONE_OF_THESE]),
    ]
    ledger = Ledger(N)
    for number, asked in enumerate(rounds, start=1):
        ledger.add(*asked)
        grown, whole = ledger.evidence(), gather(N, rounds[:number])
        for mine, theirs in zip(
            (*grown[:-1], *grown.closure), (*whole[:-1], *whole.closure), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    assert grown.pairs.tolist() == [[0, 5, SAME], [4, 6, DIFFERENT], [1, 2, SKIP]]
    assert grown.pair_round.tolist() == [2, 2, 2]


def test_what_was_folded_earlier_does_not_change():
    ledger = Ledger(N)
    before = ledger.evidence()
    ledger.add(*labels(1, [0], [1]))
    assert not before.asked.any()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (labels(1, [0, 1], [SKIP, SKIP]), False),
        (labels(1, [0, 1], [SKIP, 3]), True),
        (pairs(1, [[0, 1]], [SKIP]), False),
        (pairs(1, [[0, 1]], [DIFFERENT]), True),
        (clusters(1, [0], [[0]], [1], [NONE_OF_THESE]), True),
    ],
)
def test_skips_say_nothing(asked, expected):
    found = gather(N, [asked])
    assert says_something(found, 1) == expected
    assert not says_something(found, 2)


def test_a_group_has_a_number_that_fits():
    with pytest.raises(UserError, match="2000000000 is not a group; it must be below"):
        gather(N, [labels(1, [0], [2_000_000_000])])


def test_clusters_of_elsewhere_are_read_by_what_was_shown():
    shown = clusters(1, [3, 4], [[0, 1], [1, 0]], [7, 8], [1, NONE_OF_THESE])
    own, foreign, both = Ledger(9), Ledger(9), Ledger(9)
    own.add(*shown)
    foreign.add(*shown, elsewhere=2)
    here, there = own.evidence(), foreign.evidence()
    assert here.group[3] == CLUSTERS + 1 != there.group[3]
    assert (here.closure.component[8], there.closure.component[8]) == (8, 3)
    assert len(here.closure.cannot) == 0
    assert there.closure.cannot.tolist() == [[3, 4], [4, 7]]
    # Clusters of one number, of here and of there, are two.
    both.add(*shown, elsewhere=2)
    both.add(*clusters(2, [5], [[1, 0]], [0, 1], [1]))
    assert both.evidence().group[5] != both.evidence().group[3]
