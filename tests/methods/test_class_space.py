"""What evidence says in outputs, by hand."""

import numpy as np
from playing import Game

from idc_jax.annotate.closure import CLUSTERS
from idc_jax.annotate.evidence import gather
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    UNASKED,
    answered,
    label_questions,
    pair_questions,
)
from idc_jax.methods.common.class_space import by_number, by_prediction, hear, missing_outputs

N, C = 6, 3
FREE = np.full(C, -1, np.int32)
EVEN = np.full((N, C), 1 / C)


def labels(round_, indices, choice):
    questions = label_questions(round_, np.asarray(indices), np.zeros(len(indices)))
    return questions, answered(questions, np.asarray(choice))


def pairs(round_, rows, choice):
    questions = pair_questions(round_, np.asarray(rows), np.zeros(len(rows)))
    return questions, answered(questions, np.asarray(choice))


def clusters(round_, indices, candidates, choice):
    game = Game.__new__(Game)
    game.number = round_ - 1
    questions = game.next_clusters(indices, candidates, [-1] * C)
    return questions, answered(questions, np.asarray(choice))


def heard(*rounds, slots=FREE, probabilities=EVEN, place=by_number):
    return hear(gather(N, rounds), slots, probabilities, place=place)


def test_labels_by_number_and_beyond_the_outputs():
    found = heard(labels(1, [0, 1, 2, 3, 4], [1, 9, 5, 7, SKIP]))
    assert found.slots.tolist() == [5, 1, 7]
    # There is no output left for class 9.
    assert found.choice.tolist() == [1, SKIP, 0, 2, SKIP, UNASKED]
    assert found.linked is None
    assert not found.rejected.any()
    assert missing_outputs(gather(N, [labels(1, [0, 1, 2, 3], [1, 9, 5, 7])]), FREE, EVEN) == 1


def test_outputs_stay_with_their_groups():
    first = heard(labels(1, [0], [7]))
    again = heard(labels(1, [0], [7]), labels(2, [1], [0]), slots=first.slots)
    assert again.slots[first.choice[0]] == 7
    assert again.choice[1] != again.choice[0]


def test_labels_by_what_was_predicted():
    probs = np.eye(C)[[2, 2, 0, 1, 1, 0]]
    asked = labels(1, [0, 1, 2], [0, 0, 1])
    found = heard(asked, probabilities=probs, place=by_prediction)
    assert found.choice[:3].tolist() == [2, 2, 0]


def test_links_carry_names_over_and_rule_them_out():
    said = labels(1, [0], [1]), pairs(2, [[0, 1], [1, 2], [3, 4]], [SAME, DIFFERENT, SAME])
    found = heard(*said)
    assert found.choice.tolist() == [1, 1, UNASKED, UNASKED, UNASKED, UNASKED]
    assert np.argwhere(found.rejected).tolist() == [[2, 1]]
    assert found.linked[3] == found.linked[4]


def test_links_without_a_name_go_where_they_are_likeliest():
    probs = np.tile([0.2, 0.7, 0.1], (N, 1))
    said = pairs(
        1, [[0, 1], [0, 2], [3, 4], [4, 0], [5, 3]], [SAME, SAME, SAME, DIFFERENT, DIFFERENT]
    )
    found = heard(said, probabilities=probs)
    # The larger component chooses first; the other one differs from it.
    assert found.choice.tolist() == [1, 1, 1, 0, 0, UNASKED]
    assert (found.slots < 0).all()
    assert found.rejected[5].tolist() == [True, False, False]


def test_none_of_these_rules_out_the_clusters_of_ones_own():
    found = heard(clusters(1, [0, 1], [[2, 0], [1, 0]], [NONE_OF_THESE, 1]))
    assert found.choice[:2].tolist() == [NONE_OF_THESE, 1]
    assert found.slots.tolist() == [-1, CLUSTERS + 1, -1]
    assert found.rejected[0].tolist() == [True, False, True]


def test_a_cluster_and_a_class_that_are_one_have_one_output():
    first = heard(clusters(1, [0, 1], [[2], [2]], [2, 2]))
    assert first.slots.tolist() == [-1, -1, CLUSTERS + 2]
    said = clusters(1, [0, 1], [[2], [2]], [2, 2]), labels(2, [1, 3], [0, 0])
    found = heard(*said, slots=first.slots)
    assert found.slots.tolist() == [-1, -1, 0]
    assert found.choice[[0, 1, 3]].tolist() == [2, 2, 2]


def test_clusters_are_the_classes_that_their_samples_look_like():
    # Samples 0 and 1 look alike, 2 and 3, 4 and 5.
    looks = np.repeat(np.eye(C), 2, axis=0) * 0.7 + 0.1
    shown = clusters(1, [0, 2, 4], [[0, 1, 2]] * 3, [2, 0, 1])
    named = labels(2, [1, 3], [7, 8])
    found = heard(shown, named, probabilities=looks)
    assert found.choice[0] == found.choice[1]
    assert found.choice[2] == found.choice[3] != found.choice[0]
    assert sorted(found.slots.tolist()) == [7, 8, CLUSTERS + 1]
    assert missing_outputs(gather(N, [shown, named]), FREE, looks) == 0
    # Where all look alike, nobody can tell.
    assert missing_outputs(gather(N, [shown, named]), FREE, EVEN) == 2
    # What is known is not guessed: sample 0 of cluster 2 is of class 8.
    told = heard(shown, named, labels(3, [0], [8]), probabilities=looks)
    assert told.choice[0] == told.choice[3] != told.choice[1]
