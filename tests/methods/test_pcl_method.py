"""PCL end to end on a toy, and its blocks by hand."""

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import data, models
from idc_jax.annotate.closure import asked_pairs
from idc_jax.annotate.questions import SKIP, Answers
from idc_jax.errors import UserError
from idc_jax.methods.pcl import method as pcl
from idc_jax.methods.pcl.pairs import keep_pairs
from idc_jax.methods.pcl.training import PclTraining, scatter_blocks, surest_pair
from idc_jax.metrics import clustering_metrics

C = 2
SIZE = 32
BUDGET = 120


def test_pairs_share_no_sample_while_that_can_be_helped():
    pairs = np.array([[0, 1], [1, 2], [4, 5], [2, 3], [-1, -1], [0, 2]])
    np.testing.assert_array_equal(keep_pairs(pairs, 4, 9, 9, distinct=True), [0, 2, 3, 1, 5])
    np.testing.assert_array_equal(keep_pairs(pairs, 4, 9, 9, distinct=False), [0, 1, 2, 3, 5])
    np.testing.assert_array_equal(keep_pairs(pairs, 4, 2, 9, distinct=True), [0, 2])
    np.testing.assert_array_equal(keep_pairs(pairs, 4, 9, 1, distinct=True), [0, 2])


@pytest.fixture(scope="module")
def toy():
    """Four blobs; the person groups them across what is nearest."""
    rng = np.random.default_rng(0)
    blob = rng.integers(0, 4, 150)
    centers = 3 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) @ rng.normal(size=(2, 8))
    inputs = (centers[blob] + 0.5 * rng.normal(size=(150, 8))).astype(np.float32)
    network = models.build(
        "mlp", num_clusters=C, input_shape=(8,), width=32, embedding_dim=16, head="plain"
    )
    views = data.feature_views(
        weak_noise=0.1, strong_noise=0.1, weak_dropout=0.0, strong_dropout=0.0, scale=0.1
    )
    labels = np.array([0, 1, 1, 0])[blob]
    inputs = jnp.asarray(inputs)
    variables = network.init(jax.random.key(0), inputs[:1])
    return network, views, inputs, labels, np.arange(150) < 110, lambda key: variables


def build(toy, attention="identity", epochs=60, total_budget=BUDGET, train_options=None, **options):
    network, views, inputs, _, train, begin = toy
    return pcl.build(
        network,
        views,
        inputs,
        train,
        options=pcl.PclOptions(**{"attention": attention, "num_heads": 2, **options}),
        training=PclTraining(
            **{
                "block_size": SIZE,
                "warmup_epochs": 1,
                "epochs": epochs,
                "final_epochs": 0,
                "learning_rate": 1e-3,
                **(train_options or {}),
            }
        ),
        num_clusters=C,
        total_budget=total_budget,
        begin=begin,
        log=lambda info: None,
        progress=False,
    )


def answer(questions, labels):
    first, second = questions.indices.T
    same = (labels[first] == labels[second]).astype(np.int32)
    return Answers("pair", questions.round, questions.indices, questions.candidates, same)


def test_blocks_hold_every_sample_once_training_first():
    train = np.arange(10) % 3 > 0
    blocks = pcl.make_blocks(jax.random.key(0), train, 4)
    assert blocks.shape == (3, 4)
    np.testing.assert_array_equal(np.sort(blocks[blocks >= 0]), np.arange(10))
    assert train[blocks[:2][blocks[:2] >= 0]].all()
    assert not train[blocks[2]].any()
    values = jnp.asarray(np.where(blocks >= 0, blocks, 99)[:, :, None])
    np.testing.assert_array_equal(scatter_blocks(values, jnp.asarray(blocks), 10)[:, 0], range(10))


@pytest.mark.parametrize("attention", ["identity", "none"])
def test_answers_turn_the_clusters_towards_the_person(toy, attention):
    labels = toy[3]
    method = build(toy, attention)
    state = method.init(jax.random.key(0))
    asked = set()
    for round_ in (1, 2):
        state, questions = method.ask(jax.random.key(round_), state, round_, BUDGET // 2)
        assert questions.kind == "pair"
        pairs = {tuple(sorted(pair)) for pair in questions.indices.tolist()}
        assert len(pairs) == questions.count == BUDGET // 2
        assert not pairs & asked
        asked |= pairs
        state, info = method.learn(jax.random.key(9 + round_), state, answer(questions, labels))
        assert all(np.isfinite(value) for value in info.values())
    assert info["answered"] == BUDGET
    assert info["contradictions"] == 0
    assert info["must_links"] >= info["same"]
    probabilities = np.asarray(method.predict(state))
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert method.embed(state).shape == (150, 16)
    assert clustering_metrics(probabilities.argmax(1), labels, C)["acc"] > 0.9


@pytest.mark.parametrize("picks", ["both", "uncertain", "hard", "random"])
def test_questions_stay_within_training_blocks_and_are_unknown(toy, picks):
    method = build(toy, "none", epochs=0, picks=picks)
    state = method.init(jax.random.key(0))
    known = []
    for round_ in range(1, 4):
        state, questions = method.ask(jax.random.key(round_), state, round_, 20)
        assert toy[4][questions.indices].all()
        blocks = np.asarray(state.blocks)
        inside = asked_pairs(questions.indices, blocks)
        assert inside.sum() == 2 * questions.count == 40
        pairs = [tuple(sorted(pair)) for pair in questions.indices.tolist()]
        closed = pcl.block_links(pcl.closure_of(state, 150), blocks)
        assert not (closed[inside] != 0).any()
        assert not set(pairs) & set(known)
        known.extend(pairs)
        state, _ = method.learn(jax.random.key(0), state, answer(questions, toy[3]))


def test_one_pair_per_block_is_the_papers_schedule(toy):
    method = build(toy, "none", epochs=0, per_block=1, picks="random")
    state = method.init(jax.random.key(0))
    state, questions = method.ask(jax.random.key(1), state, 1, 100)
    # 110 training samples make 4 blocks of 32.
    assert questions.count == 4


def test_skipped_and_contradictory_answers_are_kept_apart(toy):
    method = build(toy, "none", epochs=1, picks="random")
    state = method.init(jax.random.key(0))
    block = np.asarray(state.blocks)[0]
    pairs = np.stack([block[[0, 1, 0, 3]], block[[1, 2, 2, 4]]], axis=1)
    choice = np.array([1, 1, 0, SKIP], np.int32)
    answers = Answers("pair", 1, pairs, np.zeros((4, 0), np.int32), choice)
    state, info = method.learn(jax.random.key(1), state, answers)
    assert info["contradictions"] == 1
    assert info["must_links"] == 3
    assert info["cannot_links"] == 0
    _, questions = method.ask(jax.random.key(2), state, 2, 2000)
    again = {tuple(sorted(pair)) for pair in questions.indices.tolist()}
    assert tuple(sorted(pairs[3])) not in again


def test_more_answers_than_planned_are_kept(toy):
    method = build(toy, "none", epochs=0, total_budget=3, picks="random")
    state = method.init(jax.random.key(0))
    state, questions = method.ask(jax.random.key(1), state, 1, 5)
    state, info = method.learn(jax.random.key(2), state, answer(questions, toy[3]))
    assert info["answered"] == 5
    np.testing.assert_array_equal(state.pairs, questions.indices)


def test_a_checkpoint_gives_the_state_back(toy):
    method = build(toy, "none", epochs=1)
    state = method.init(jax.random.key(0))
    back = method.restore(flax.serialization.to_state_dict(state))
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)


def test_prediction_is_deterministic_and_the_same_keys_give_the_same_run(toy):
    method = build(toy, epochs=2)

    def run():
        state = method.init(jax.random.key(3))
        state, questions = method.ask(jax.random.key(4), state, 1, 20)
        state, _ = method.learn(jax.random.key(5), state, answer(questions, toy[3]))
        return questions.indices, method.predict(state), method.predict(state)

    (first, predicted, again), (second, repeated, _) = run(), run()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(predicted, again)
    np.testing.assert_array_equal(predicted, repeated)


def test_the_surest_pair_of_a_cluster_is_the_most_similar_unlinked_one():
    angles = jnp.array([0.0, 0.01, 0.03, 0.031, 1.0])
    z = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    probs = jnp.array([[0.99, 0.01]] * 3 + [[0.01, 0.99], [0.99, 0.01]])
    links = jnp.zeros((5, 5), jnp.int8)
    mask = jnp.ones(5, bool)

    def pairs(links, mask, threshold):
        found = np.asarray(surest_pair(z, probs, links, mask, threshold))
        np.testing.assert_array_equal(found, found.T)
        return np.argwhere(np.triu(found)).tolist()

    # 2 and 3 are nearer, but of two clusters.
    assert pairs(links, mask, 0.95) == [[0, 1]]
    assert pairs(links.at[0, 1].set(1).at[1, 0].set(1), mask, 0.95) == [[1, 2]]
    assert pairs(links, mask.at[1].set(False), 0.95) == [[0, 2]]
    assert pairs(links, mask, 0.995) == []
    assert pairs(links, mask[:1].repeat(5) & False, 0.5) == []


def test_the_last_epochs_may_add_links_that_nobody_confirmed(toy):
    """A threshold of 1 leaves the stage out; one of 0 pulls a pair in every block."""

    def embedded(threshold):
        options = {"final_epochs": 1, "pseudo_threshold": threshold}
        method = build(toy, "none", epochs=0, total_budget=20, train_options=options)
        state = method.init(jax.random.key(0))
        state, questions = method.ask(jax.random.key(1), state, 1, 20)
        state, _ = method.learn(jax.random.key(2), state, answer(questions, toy[3]))
        return np.asarray(method.embed(state))

    assert np.abs(embedded(1.0) - embedded(0.0)).max() > 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picks": "best"}, "pcl.picks"),
        ({"attention": "some"}, "pcl.attention"),
        ({"per_block": -1}, "pcl.per_block"),
        ({"train_options": {"block_size": 1}}, "pcl_training.block_size"),
    ],
)
def test_options_that_mean_nothing_are_refused(toy, options, message):
    with pytest.raises(UserError, match=message):
        build(toy, **options)


def test_without_a_training_split_there_is_nothing_to_ask_about(toy):
    with pytest.raises(UserError, match="training split"):
        build((*toy[:4], np.zeros(150, bool), toy[5]))
