"""DSAC end to end on a toy, and the pieces of class space by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import Game

from idc_jax import data, models
from idc_jax.annotate.closure import CLUSTERS
from idc_jax.annotate.questions import SKIP, UNASKED, Role
from idc_jax.errors import UserError
from idc_jax.methods.common.class_space import (
    around_answers,
    by_number,
    by_prediction,
    nearest_to_centers,
    representatives,
)
from idc_jax.methods.contract import Parts
from idc_jax.methods.dsac import method as dsac
from idc_jax.methods.dsac.picks import growing_groups
from idc_jax.methods.dsac.training import DsacTraining
from idc_jax.metrics import clustering_metrics

C = 3
BUDGET = 7


def test_groups_take_their_own_output_or_the_lowest_free_one():
    slots = by_number(np.full(3, -1), np.array([0, 2, 7]), np.zeros((3, 3)))
    np.testing.assert_array_equal(slots, [0, 7, 2])
    # None is left.
    np.testing.assert_array_equal(by_number(slots, np.array([1]), np.zeros((1, 3))), slots)


def test_classes_take_the_outputs_that_they_fit_best_and_clusters_their_own():
    mass = np.array([[0.0, 5.0, 4.0], [9.0, 8.0, 0.0], [0.0, 9.0, 0.0]])
    slots = by_prediction(np.full(3, -1), np.array([3, 4, CLUSTERS + 1]), mass)
    np.testing.assert_array_equal(slots, [4, CLUSTERS + 1, 3])


def test_a_representative_is_the_usable_answer_nearest_its_centre():
    assignments = np.array([0, 0, 1, 1, 2, 0])
    distances2 = np.array([3.0, 1.0, 2.0, 1.0, 0.0, 0.5])
    labels = np.array([1, 2, 0, SKIP, UNASKED, UNASKED])
    got = representatives(np.array([0, 1, 2, 3]), labels, assignments, distances2, 3)
    np.testing.assert_array_equal(got, [1, 2, -1])


def test_the_nearest_to_each_centre_are_capped_at_the_cluster():
    near = nearest_to_centers(np.array([0, 0, 0, 1]), np.array([2.0, 0.0, 1.0, 5.0]), 3, count=2)
    np.testing.assert_array_equal(near, [False, True, True, True])


def test_answers_speak_for_the_nearest_to_them():
    z = jnp.array([[0.0], [1.0], [2.0], [9.0], [10.0], [12.0]])
    labels = np.array([2, UNASKED, UNASKED, SKIP, 0, UNASKED])
    np.testing.assert_array_equal(around_answers(z, labels, 2), [2, 2, -1, 0, 0, -1])
    np.testing.assert_array_equal(around_answers(z, np.full(6, UNASKED), 2), np.full(6, -1))


def test_growing_groups_ask_where_nobody_has_asked():
    rng = np.random.default_rng(0)
    blob = np.repeat(np.arange(4), 10)
    z = jnp.asarray(10 * np.eye(4)[blob] + 0.1 * rng.normal(size=(40, 4)), jnp.float32)
    labelled = jnp.zeros(40, bool).at[jnp.array([0, 10])].set(True)
    _, allowed = growing_groups(jax.random.key(0), z, labelled, 2)
    np.testing.assert_array_equal(allowed, blob >= 2)


@pytest.fixture(scope="module")
def toy():
    """Three well-parted blobs, and the method's parts."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(C), 40)
    centers = 6 * np.eye(8)[:C]
    inputs = (centers[labels] + rng.normal(size=(120, 8))).astype(np.float32)
    network = models.build(
        "mlp", num_clusters=C, input_shape=(8,), width=32, embedding_dim=16, head="plain"
    )
    views = data.feature_views(
        weak_noise=0.2, strong_noise=0.2, weak_dropout=0.1, strong_dropout=0.1, scale=0.1
    )
    inputs = jnp.asarray(inputs)
    # Blobs so far apart stay so in an untrained network.
    variables = network.init(jax.random.key(0), inputs[:1])
    return network, views, inputs, labels, lambda key: variables


def build(toy, **options):
    network, views, inputs, _, begin = toy
    own = dsac.DsacOptions(
        **{"pseudo_start": 5, "pseudo_growth": 5, "normalized_compactness": True, **options}
    )
    training = DsacTraining(
        epochs=15, batch_size=40, labelled_batch=32, learning_rate=3e-3, unit_embeddings=True
    )
    parts = Parts(network, views, inputs, num_clusters=C, begin=begin)
    return dsac.build(parts, {"dsac": own, "dsac_training": training})


def accuracy(game, labels):
    return clustering_metrics(game.probabilities.argmax(1), labels, C)["acc"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pseudo_labels": "cluster"},
        {"pseudo_labels": "nearest", "groups": "growing"},
        {"pseudo_labels": "graph", "space": "input", "pseudo_start": 30},
        {"pseudo_labels": "none", "picks": "random"},
        {"picks": "margin", "groups": "growing"},
        {"picks": "representative"},
        {"picks": "difficult", "normalized_compactness": False},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "paper",
)
def test_rounds_of_answers_teach_the_classes(toy, options):
    labels = toy[3]
    game = Game(build(toy, **options), 120, 2 * BUDGET)
    asked = []
    for _ in range(2):
        questions = game.ask(BUDGET)
        assert questions.kind == "label"
        assert questions.count == BUDGET
        asked.extend(questions.indices.tolist())
        info = game.say(questions, labels[questions.indices])
        assert all(np.isfinite(value) for value in info.values())
    assert len(set(asked)) == 2 * BUDGET
    assert info["answered"] == 2 * BUDGET
    assert (info["pseudo_labelled"] == 0) == (options.get("pseudo_labels") == "none")
    np.testing.assert_allclose(game.probabilities.sum(1), 1, rtol=1e-5)
    assert game.embeddings.shape == (120, 8 if "space" in options else 16)
    # Outliers alone are a poor sample of their classes.
    least = 0.6 if options.get("picks") == "difficult" else 0.85
    assert accuracy(game, labels) > least


def test_every_network_sees_the_data_once(toy, monkeypatch):
    seen = []
    real = dsac.run_network
    monkeypatch.setattr(
        dsac, "run_network", lambda *args, **only: seen.append(0) or real(*args, **only)
    )
    game = Game(build(toy), 120, 2 * BUDGET)
    for _ in range(2):
        questions = game.ask(BUDGET)
        game.say(questions, toy[3][questions.indices])
    # The one before any answer, and one a round.
    assert len(seen) == 3


def test_the_first_prediction_is_the_clustering(toy):
    game = Game(build(toy), 120, BUDGET)
    np.testing.assert_array_equal(game.probabilities.argmax(1), game.state.assignments)


def test_skips_and_classes_beyond_the_outputs_teach_nothing_and_are_not_asked_again(toy):
    game = Game(build(toy), 120, 2 * BUDGET)
    questions = game.ask(BUDGET)
    info = game.say(questions, [0, 1, 2, 3, SKIP, SKIP, SKIP])
    assert info["answered"] == 3
    assert info["unusable"] == 4
    again = game.ask(BUDGET)
    assert not set(again.indices.tolist()) & set(questions.indices.tolist())


def test_nothing_but_skips_leaves_all_as_it_was(toy):
    game = Game(build(toy), 120, BUDGET)
    before = game.probabilities
    assert game.say(game.ask(BUDGET), np.full(BUDGET, SKIP)) == {}
    np.testing.assert_array_equal(game.probabilities, before)


def test_the_same_keys_give_the_same_run(toy):
    def run():
        game = Game(build(toy), 120, BUDGET, seed=5)
        questions = game.ask(BUDGET)
        game.say(questions, toy[3][questions.indices])
        return questions.indices, game.probabilities

    (first, first_probs), (second, second_probs) = run(), run()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first_probs, second_probs)


def test_the_graph_knows_answers_apart_from_skips_and_unnamed_classes(toy):
    """Class 2 stays unnamed: its cluster lives on, and a skip draws nobody."""
    labels = toy[3]
    game = Game(build(toy, pseudo_labels="graph", space="input", pseudo_start=40), 120, 4)
    info = game.say(game.next_labels([0, 40, 41, 80]), [0, 1, SKIP, SKIP])
    assert info["classes_named"] == 2
    assert info["pseudo_labelled"] == 118
    np.testing.assert_array_equal(game.state.slots, [0, 1, -1])
    assert (np.asarray(game.state.assignments) == labels).mean() > 0.95


def test_a_difficult_sample_never_speaks_for_its_cluster(toy):
    """The representatives were skipped: nobody stands for the clusters."""
    game = Game(build(toy, pseudo_start=40), 120, 2 * C)
    questions = game.ask(2 * C)
    speaks = questions.roles == Role.REPRESENTATIVE
    assert speaks.sum() == C
    assert (questions.roles[~speaks] == Role.DIFFICULT).all()
    info = game.say(questions, np.where(speaks, SKIP, toy[3][questions.indices]))
    assert info["answered"] == C
    assert info["pseudo_labelled"] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"picks": "best"},
        {"pseudo_labels": "all"},
        {"space": "outer"},
        {"shortlist": 0},
        {"spread": 1},
    ],
)
def test_unknown_options_are_refused(toy, options):
    with pytest.raises(
        UserError, match=rf"dsac.{next(iter(options))} is .*; (choose one of|it must be) "
    ):
        build(toy, **options)
