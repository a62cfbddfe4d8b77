import itertools

import numpy as np
import pytest

from idc_jax.annotate import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    Store,
    aligned,
    collect,
    exemplar,
    label_questions,
    match_classes,
    pair_questions,
)
from idc_jax.annotate.questions import grid_questions
from idc_jax.errors import UserError
from idc_jax.outlook import SECONDS, grid_seconds

LABELS = np.asarray([0, 1, 2, 3, 0, 1, 2, 3, 0, 0])


def test_aligned_by_hand(store, cluster_questions):
    # Clusters are the classes shifted by one: class 0 -> 1, 1 -> 2, 2 -> 3, 3 -> 0.
    annotator = aligned(LABELS, (LABELS + 1) % 4, 4, seed=0)
    questions = cluster_questions(
        [0, 1, 2, 3], candidates=[[1, 2, 3], [0, 1, 3], [3, 0, -1], [0, 1, 2]]
    )
    answers = collect(store, questions, annotator)
    np.testing.assert_array_equal(answers.choice, [1, NONE_OF_THESE, 3, 0])
    np.testing.assert_array_equal(answers.candidates, questions.candidates)


def test_exemplar_by_hand(store, cluster_questions):
    # Exemplars are samples 0..3, of classes 0..3; sample 8 is of class 0, so cluster 0 matches.
    questions = cluster_questions([8, 5, 7], candidates=[[2, 0, 1], [0, 2, 3], [-1, 3, -1]])
    answers = collect(store, questions, exemplar(LABELS, seed=0))
    np.testing.assert_array_equal(answers.choice, [0, NONE_OF_THESE, 3])


def test_exemplar_takes_the_first_of_two_clusters_of_one_class(store, cluster_questions):
    questions = cluster_questions([8], candidates=[[3, 1, 2]])._replace(
        exemplars=np.asarray([1, 4, 2, 0], np.int32)  # of classes 1, 0, 2, 0
    )
    assert collect(store, questions, exemplar(LABELS, seed=0)).choice.tolist() == [3]


def test_exemplar_ignores_a_cluster_without_exemplar(store, cluster_questions):
    questions = cluster_questions([9], candidates=[[0, 1, 2]])._replace(
        exemplars=np.asarray([-1, 1, 2, 3], np.int32)  # the last sample is of class 0 too
    )
    assert collect(store, questions, exemplar(LABELS, seed=0)).choice.tolist() == [NONE_OF_THESE]


def test_pairs_and_labels(store):
    pairs = pair_questions(1, np.asarray([[0, 4], [0, 1], [7, 3]]), np.zeros(3))
    labels = label_questions(2, np.asarray([3, 6]), np.zeros(2))
    annotator = exemplar(LABELS, seed=0)
    assert collect(store, pairs, annotator).choice.tolist() == [SAME, DIFFERENT, SAME]
    assert collect(store, labels, annotator).choice.tolist() == [3, 2]


def test_unknown_labels_are_skipped(store, cluster_questions):
    labels = np.where(LABELS == 0, -1, LABELS)
    answers = collect(store, cluster_questions([0, 1]), aligned(labels, LABELS, 4, seed=0))
    assert answers.choice.tolist() == [SKIP, 1]
    pairs = pair_questions(2, np.asarray([[0, 4], [1, 5]]), np.zeros(2))
    assert collect(store, pairs, exemplar(labels, seed=0)).choice.tolist() == [SKIP, SAME]


@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 5), (5, 3)])
def test_matching_is_the_best_of_all_permutations(classes, clusters):
    rng = np.random.default_rng(classes)
    labels, assignments = rng.integers(0, classes, 60), rng.integers(0, clusters, 60)
    labels[0], assignments[0] = classes - 1, clusters - 1
    matched = match_classes(labels, assignments, clusters)
    assert len(set(matched.tolist())) == classes
    best = max(
        np.sum(np.asarray(order)[labels] == assignments)
        for order in itertools.permutations(range(max(classes, clusters)), classes)
    )
    assert np.sum(matched[labels] == assignments) == best


def test_matching_never_shifts_ids():
    # Cluster 1 is empty; classes 0 and 1 sit in clusters 0 and 2.
    assert match_classes(np.asarray([0, 0, 1]), np.asarray([0, 0, 2]), 3).tolist() == [0, 2]


def test_more_classes_than_clusters_leaves_some_without(store, cluster_questions):
    labels = np.asarray([0, 0, 0, 1, 2, 2])
    annotator = aligned(labels, np.asarray([0, 0, 0, 0, 1, 1]), 2, seed=0)
    questions = cluster_questions([0, 3, 4], num_clusters=2)
    assert collect(store, questions, annotator).choice.tolist() == [0, NONE_OF_THESE, 1]


def test_rates(store, cluster_questions):
    labels = np.tile(np.arange(4), 500)
    questions = cluster_questions(np.arange(2000))
    truth = np.where(labels < 3, labels, NONE_OF_THESE)
    choice = collect(
        store, questions, exemplar(labels, seed=3, error_rate=0.3, skip_rate=0.2)
    ).choice
    skipped = choice == SKIP
    assert abs(skipped.mean() - 0.2) < 0.03
    wrong = (choice != truth) & ~skipped
    assert abs(wrong.sum() / (~skipped).sum() - 0.3) < 0.04
    for right in (0, 1, 2, NONE_OF_THESE):  # errors fall on all the other answers alike
        _, counts = np.unique(choice[wrong & (truth == right)], return_counts=True)
        assert len(counts) == 3
        assert counts.min() > 20


def test_always_wrong_pairs_and_labels(store):
    annotator = exemplar(LABELS, seed=0, error_rate=1.0)
    pairs = pair_questions(1, np.asarray([[0, 4], [0, 1]]), np.zeros(2))
    assert collect(store, pairs, annotator).choice.tolist() == [DIFFERENT, SAME]
    labels = label_questions(2, np.arange(10), np.zeros(10))
    said = collect(store, labels, annotator).choice
    assert np.all(said != LABELS)
    assert np.all((said >= 0) & (said < 4))


def test_draws_depend_on_seed_and_sample_alone(tmp_path, cluster_questions):
    def ask(name, indices, seed):
        with Store(tmp_path / name) as store:
            annotator = exemplar(np.arange(200) % 4, seed=seed, error_rate=0.5, skip_rate=0.2)
            return collect(store, cluster_questions(indices), annotator).choice

    forward = ask("a", np.arange(200), 1)
    np.testing.assert_array_equal(forward[::-1], ask("b", np.arange(200)[::-1], 1))
    assert np.any(forward != ask("c", np.arange(200), 2))


def test_a_pair_is_answered_alike_in_both_orders(tmp_path):
    pairs = np.random.default_rng(0).integers(0, 10, (40, 2))
    annotator = exemplar(LABELS, seed=0, error_rate=0.5)
    both = []
    for name, order in (("a", pairs), ("b", pairs[:, ::-1])):
        with Store(tmp_path / name) as store:
            both.append(collect(store, pair_questions(1, order, np.zeros(40)), annotator).choice)
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("rates", [{"error_rate": -0.1}, {"skip_rate": 1.5}])
def test_impossible_rates(rates):
    with pytest.raises(UserError, match="it must be from 0 to 1"):
        exemplar(LABELS, seed=0, **rates)


def test_labels_of_another_length():
    with pytest.raises(UserError, match="10 labels but 3 assignments"):
        aligned(LABELS, np.zeros(3, int), 2, seed=0)
    with pytest.raises(UserError, match=r"0\.\.2"):
        match_classes(LABELS, LABELS, 3)


def test_a_grid_is_answered_sample_by_sample_with_errors_of_its_own(tmp_path):
    labels = np.repeat(np.arange(4), 500)
    groups = np.repeat([0, 1, 2, 3], 500)
    thought = np.where(np.arange(2000) % 5 == 0, (groups + 1) % 4, groups)
    asked = grid_questions(1, np.arange(2000), thought, np.zeros(2000), np.zeros(2000))
    with Store(tmp_path / "right.db") as store:
        said = collect(store, asked, exemplar(labels, seed=0)).choice
    np.testing.assert_array_equal(said, np.where(labels == thought, thought, NONE_OF_THESE))
    with Store(tmp_path / "wrong.db") as store:
        wrong = collect(store, asked, exemplar(labels, seed=0, error_rate=0.1)).choice
        unknown = np.full(2000, -1)
    assert 0.07 < np.mean(wrong != said) < 0.13
    with Store(tmp_path / "unknown.db") as store:
        assert set(collect(store, asked, exemplar(unknown, seed=0)).choice) == {SKIP}


def test_answers_take_the_usual_time_of_their_kind(tmp_path):
    groups = np.repeat([0, 1], 12)
    samples = np.concatenate([np.flatnonzero(LABELS == 0)[:1].repeat(12), np.ones(12, int)])
    with Store(tmp_path / "answers.db") as store:
        collect(store, label_questions(1, np.arange(3), np.zeros(3)), exemplar(LABELS, seed=0))
        grid = grid_questions(2, samples, groups, np.zeros(24), np.zeros(24))
        wrong = grid._replace(candidates=np.zeros_like(grid.candidates))
        collect(store, wrong, exemplar(LABELS, seed=0))
        assert {row.seconds for row in store.live(1)} == {SECONDS["label"]}
        # One screen of 24, half of them strangers.
        total = sum(row.seconds for row in store.live(2))
        assert total == pytest.approx(grid_seconds(24, 12))
