"""DSAC end to end on a toy, and the pieces of class space by hand."""

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import data, models
from idc_jax.annotate.questions import SKIP, Answers
from idc_jax.errors import UserError
from idc_jax.methods.common.class_space import (
    UNASKED,
    UNUSABLE,
    allocate_slots,
    around_answers,
    nearest_to_centers,
    representatives,
)
from idc_jax.methods.dsac import method as dsac
from idc_jax.methods.dsac.picks import growing_groups
from idc_jax.methods.dsac.training import DsacTraining
from idc_jax.metrics import clustering_metrics

C = 3
BUDGET = 7


def test_classes_take_their_own_output_or_the_lowest_free_one():
    slots, placed = allocate_slots(np.full(3, -1), np.array([2, 7, 2, SKIP, 0]))
    np.testing.assert_array_equal(slots, [7, 0, 2])
    # Class 7 took output 0, so class 0 gets output 1.
    slots, more = allocate_slots(slots, np.array([0, 9, 7]))
    np.testing.assert_array_equal(placed, [2, 0, 2, UNUSABLE, 1])
    np.testing.assert_array_equal(more, [1, UNUSABLE, 0])
    np.testing.assert_array_equal(slots, [7, 0, 2])


def test_a_representative_is_the_usable_answer_nearest_its_centre():
    assignments = np.array([0, 0, 1, 1, 2, 0])
    distances2 = np.array([3.0, 1.0, 2.0, 1.0, 0.0, 0.5])
    labels = np.array([1, 2, 0, UNUSABLE, UNASKED, UNASKED])
    got = representatives(np.array([0, 1, 2, 3]), labels, assignments, distances2, 3)
    np.testing.assert_array_equal(got, [1, 2, -1])


def test_the_nearest_to_each_centre_are_capped_at_the_cluster():
    near = nearest_to_centers(np.array([0, 0, 0, 1]), np.array([2.0, 0.0, 1.0, 5.0]), 3, count=2)
    np.testing.assert_array_equal(near, [False, True, True, True])


def test_answers_speak_for_the_nearest_to_them():
    z = jnp.array([[0.0], [1.0], [2.0], [9.0], [10.0], [12.0]])
    labels = np.array([2, UNASKED, UNASKED, UNUSABLE, 0, UNASKED])
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
    return dsac.build(
        network,
        views,
        inputs,
        num_clusters=C,
        options=dsac.DsacOptions(
            **{"pseudo_start": 5, "pseudo_growth": 5, "normalized_compactness": True, **options}
        ),
        training=DsacTraining(
            epochs=15, batch_size=40, labelled_batch=32, learning_rate=3e-3, unit_embeddings=True
        ),
        begin=begin,
        log=lambda info: None,
        progress=False,
    )


def answer(questions, labels):
    choice = labels[questions.indices].astype(np.int32)
    return Answers("label", questions.round, questions.indices, questions.candidates, choice)


def accuracy(method, state, labels):
    predictions = np.asarray(method.predict(state)).argmax(1)
    return clustering_metrics(predictions, labels, C)["acc"]


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
    method = build(toy, **options)
    state = method.init(jax.random.key(0))
    asked = []
    for round_ in (1, 2):
        state, questions = method.ask(jax.random.key(round_), state, round_, BUDGET)
        assert questions.kind == "label"
        assert questions.count == BUDGET
        asked.extend(questions.indices.tolist())
        state, info = method.learn(jax.random.key(10 + round_), state, answer(questions, labels))
        assert all(np.isfinite(value) for value in info.values())
    assert len(set(asked)) == 2 * BUDGET
    assert info["answered"] == 2 * BUDGET
    assert (info["pseudo_labelled"] == 0) == (options.get("pseudo_labels") == "none")
    probabilities = method.predict(state)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert method.embed(state).shape == (120, 8 if "space" in options else 16)
    # Outliers alone are a poor sample of their classes.
    least = 0.6 if options.get("picks") == "difficult" else 0.85
    assert accuracy(method, state, labels) > least


def test_the_first_prediction_is_the_clustering(toy):
    method = build(toy)
    state = method.init(jax.random.key(0))
    np.testing.assert_array_equal(method.predict(state).argmax(1), state.assignments)


def test_skips_and_classes_beyond_the_outputs_teach_nothing_and_are_not_asked_again(toy):
    method = build(toy)
    state = method.init(jax.random.key(0))
    state, questions = method.ask(jax.random.key(1), state, 1, BUDGET)
    choice = np.array([0, 1, 2, 3, SKIP, SKIP, SKIP], np.int32)
    answers = Answers("label", 1, questions.indices, questions.candidates, choice)
    state, info = method.learn(jax.random.key(2), state, answers)
    assert info["answered"] == 3
    assert info["unusable"] == 4
    _, again = method.ask(jax.random.key(3), state, 2, BUDGET)
    assert not set(again.indices.tolist()) & set(questions.indices.tolist())


def test_nothing_but_skips_still_trains(toy):
    method = build(toy)
    state = method.init(jax.random.key(0))
    state, questions = method.ask(jax.random.key(1), state, 1, BUDGET)
    answers = Answers(
        "label", 1, questions.indices, questions.candidates, np.full(BUDGET, SKIP, np.int32)
    )
    state, info = method.learn(jax.random.key(2), state, answers)
    assert info["class"] == 0.0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.variables))


def test_a_checkpoint_gives_the_state_back(toy):
    method = build(toy)
    state = method.init(jax.random.key(0))
    back = method.restore(flax.serialization.to_state_dict(state))
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)


def test_the_same_keys_give_the_same_run(toy):
    method = build(toy)

    def run():
        state = method.init(jax.random.key(5))
        state, questions = method.ask(jax.random.key(6), state, 1, BUDGET)
        state, _ = method.learn(jax.random.key(7), state, answer(questions, toy[3]))
        return questions.indices, method.predict(state)

    (first, first_probs), (second, second_probs) = run(), run()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first_probs, second_probs)


def test_the_graph_knows_answers_apart_from_skips_and_unnamed_classes(toy):
    """Class 2 stays unnamed: its cluster lives on, and a skip draws nobody."""
    labels = toy[3]
    method = build(toy, pseudo_labels="graph", space="input", pseudo_start=40)
    state = method.init(jax.random.key(0))
    asked = np.array([0, 40, 41, 80])
    answers = Answers("label", 1, asked, np.zeros((4, 0)), np.array([0, 1, SKIP, SKIP], np.int32))
    state, info = method.learn(jax.random.key(1), state, answers)
    assert info["classes_named"] == 2
    assert info["pseudo_labelled"] == 118
    np.testing.assert_array_equal(state.slots, [0, 1, -1])
    assert (np.asarray(state.assignments) == labels).mean() > 0.95


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
    with pytest.raises(UserError, match="would do"):
        build(toy, **options)
