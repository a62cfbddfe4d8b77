import itertools

import numpy as np
import pytest

from idc_jax import metrics
from idc_jax.errors import UserError


def brute_force_accuracy(predictions, labels, side):
    return max(
        np.mean(np.asarray(order)[predictions] == labels)
        for order in itertools.permutations(range(side))
    )


def test_hand_case():
    predictions = np.array([0, 0, 1, 1, 2, 2])
    labels = np.array([1, 1, 0, 0, 0, 2])
    scores = metrics.clustering_metrics(predictions, labels, 3)
    assert scores["acc"] == pytest.approx(5 / 6)
    # Pairs: 2 together in both (1-1 and 0-0); 3 together by cluster, 4 by class.
    assert scores["fmi"] == pytest.approx(2 / np.sqrt(3 * 4))


def test_perfect_up_to_names():
    labels = np.array([2, 2, 0, 1, 1])
    scores = metrics.clustering_metrics(np.array([0, 0, 1, 2, 2]), labels, 3)
    assert scores == pytest.approx({"acc": 1.0, "nmi": 1.0, "ari": 1.0, "fmi": 1.0})


@pytest.mark.parametrize(("clusters", "classes"), [(4, 4), (5, 3), (2, 5), (1, 4), (4, 1)])
def test_accuracy_matches_brute_force(clusters, classes):
    rng = np.random.default_rng(clusters * 10 + classes)
    predictions, labels = rng.integers(0, clusters, 40), rng.integers(0, classes, 40)
    expected = brute_force_accuracy(predictions, labels, max(clusters, classes))
    assert metrics.clustering_metrics(predictions, labels, clusters)["acc"] == pytest.approx(
        expected
    )


def test_nmi_is_normalised_by_the_arithmetic_mean():
    predictions, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    # I = log 2, H(clusters) = log 2, H(classes) = log 4: 2 / 3, not 1 / sqrt(2).
    score = metrics.clustering_metrics(predictions, labels, 2)["nmi"]
    assert score == pytest.approx(2 / 3)


def test_missing_ids_do_not_shift_the_matching():
    predictions, labels = np.array([5, 5, 5, 2]), np.array([3, 3, 3, 0])
    matching = metrics.match_clusters(predictions, labels, 7)
    assert matching.class_of_cluster[5] == 3
    assert matching.class_of_cluster[2] == 0
    assert matching.cluster_of_class[3] == 5
    assert metrics.clustering_metrics(predictions, labels, 7)["acc"] == 1.0


def test_surplus_clusters_and_classes_stay_unmatched():
    more_clusters = metrics.match_clusters(np.array([0, 1, 1, 2]), np.array([0, 0, 0, 0]), 3)
    np.testing.assert_array_equal(more_clusters.class_of_cluster, [-1, 0, -1])
    more_classes = metrics.match_clusters(np.array([0, 0, 0]), np.array([2, 2, 1]), 1)
    np.testing.assert_array_equal(more_classes.cluster_of_class, [-1, -1, 0])


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        ([], [], "non-empty"),
        ([0, 1], [0], "equally long"),
        ([0, 3], [0, 1], r"0\.\.2"),
        ([0, -1], [0, 1], r"0\.\.2"),
        ([0, 1], [0, -1], "classes from -1"),
    ],
)
def test_bad_ids_are_refused(predictions, labels, message):
    with pytest.raises(UserError, match=message):
        metrics.clustering_metrics(np.array(predictions, int), np.array(labels, int), 3)


def test_health_of_even_and_collapsed_clusters():
    even = metrics.cluster_health(np.eye(4)[np.arange(8) % 4])
    assert even["live_clusters"] == 4
    assert even["assignment_entropy"] == pytest.approx(np.log(4))
    assert even["assignment_entropy_normalised"] == pytest.approx(1)
    assert even["confident_share"] == 1
    assert metrics.collapse_warning(even, 4) is None

    collapsed = metrics.cluster_health(np.tile([0.9, 0.1, 0, 0], (8, 1)))
    assert collapsed["live_clusters"] == 1
    assert collapsed["assignment_entropy"] == 0
    assert collapsed["confident_share"] == 0
    assert "only 1 of 4 clusters" in metrics.collapse_warning(collapsed, 4)


def test_a_nearly_empty_cluster_counts_as_dead():
    assignments = np.zeros(1000, int)
    assignments[500:] = 1
    assignments[0] = 2  # one sample, where the even share is 333
    assert metrics.cluster_health(np.eye(3)[assignments])["live_clusters"] == 2


def test_one_cluster_is_not_a_collapse():
    health = metrics.cluster_health(np.ones((5, 1)))
    assert health["assignment_entropy_normalised"] == 1
    assert metrics.collapse_warning(health, 1) is None
