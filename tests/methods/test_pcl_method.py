"""PCL end to end on a toy, and its blocks by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import Game

from idc_jax import data, models
from idc_jax.annotate.closure import asked_pairs, block_links
from idc_jax.annotate.questions import SKIP
from idc_jax.errors import UserError
from idc_jax.methods.contract import Parts
from idc_jax.methods.pcl import method as pcl
from idc_jax.methods.pcl.blocks import in_order
from idc_jax.methods.pcl.pairs import Unknown, keep_pairs, pick_pairs, turning_point
from idc_jax.methods.pcl.training import PclTraining, surest_pair
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


def test_pairs_go_either_way_at_the_turning_point():
    """Twenty groups around their middles: of the paper's pairs, hardly any is of one group."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 20, (4, 64))
    spread = rng.normal(size=(20, 32))[groups] + 0.8 * rng.normal(size=(4, 64, 32))
    views = tuple(jnp.asarray(spread + 0.1 * rng.normal(size=(4, 64, 32))) for _ in range(2))
    valid = jnp.asarray(np.arange(64) < 60) & jnp.ones((4, 64), bool)
    nothing = jnp.zeros((4, 64, 64), jnp.int8)
    unknown = Unknown(nothing, nothing.astype(bool), valid)
    flat = groups.reshape(-1)

    def share_of_one_group(**uncertain):
        pairs, _ = pick_pairs(
            jax.random.key(0), "both", views, unknown, 60, left=jnp.ones(4), per_block=0,
            distinct=True, **uncertain,
        )  # fmt: skip
        assert len(pairs) == 60
        return np.mean(flat[pairs[:, 0]] == flat[pairs[:, 1]])

    middle = turning_point(views, jnp.asarray(groups), valid)
    assert share_of_one_group() < 0.1
    assert 0.3 <= share_of_one_group(uncertain_at=middle) <= 0.7


def test_the_turning_point_by_hand():
    # Similarities 1 (0, 1), 0 (0, 2) and (1, 2); padding takes no part.
    views = (jnp.asarray([[[1.0, 0], [1, 0], [0, 1], [1, 0]]]),) * 2
    valid = jnp.asarray([[True, True, True, False]])
    assert turning_point(views, jnp.asarray([[0, 0, 1, 1]]), valid) == 0
    # One group, or all apart: no similarity is even; the least or the greatest is taken.
    assert turning_point(views, jnp.zeros((1, 4), int), valid) == 0
    assert turning_point(views, jnp.arange(4)[None], valid) == 1


@pytest.mark.parametrize("kinds", [1, 3, 12])
def test_the_turning_point_is_where_a_sorted_list_turns(kinds):
    rng = np.random.default_rng(kinds)
    # Of few directions, so that many pairs are alike to the bit, and some point the other way.
    views = [jnp.asarray(rng.integers(-1, 2, (3, 20, 2)) + 0.5, jnp.float32) for _ in range(2)]
    valid, groups = rng.random((3, 20)) < 0.8, rng.integers(0, kinds, (3, 20))
    z = [view / np.linalg.norm(view, axis=2, keepdims=True) for view in views]
    similar = sum(np.einsum("gid,gjd->gij", one, one) for one in z) / 2
    counted = np.triu(valid[:, :, None] & valid[:, None, :], 1)
    alike = (groups[:, :, None] == groups[:, None, :])[counted]
    order = np.argsort(similar[counted])
    below, apart = np.cumsum(alike[order]), ~alike[order]
    wanted = similar[counted][order][np.argmax(below >= apart.sum() - np.cumsum(apart))]
    found = turning_point(tuple(views), jnp.asarray(groups), jnp.asarray(valid))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


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


def build(toy, attention="identity", epochs=60, train_options=None, **options):
    network, views, inputs, _, train, begin = toy
    own = pcl.PclOptions(**{"attention": attention, "num_heads": 2, **options})
    training = {
        "block_size": SIZE,
        "warmup_epochs": 1,
        "epochs": epochs,
        "final_epochs": 0,
        "learning_rate": 1e-3,
        **(train_options or {}),
    }
    parts = Parts(network, views, inputs, num_clusters=C, begin=begin, train=train)
    return pcl.build(parts, {"pcl": own, "pcl_training": PclTraining(**training)})


def begin(toy, *args, total=BUDGET, **options):
    return Game(build(toy, *args, **options), 150, total)


def same(questions, labels):
    first, second = questions.indices.T
    return (labels[first] == labels[second]).astype(np.int32)


def test_blocks_hold_every_sample_once_training_first():
    train = np.arange(10) % 3 > 0
    blocks = pcl.make_blocks(jax.random.key(0), train, 4)
    assert blocks.shape == (3, 4)
    np.testing.assert_array_equal(np.sort(blocks[blocks >= 0]), np.arange(10))
    assert train[blocks[:2][blocks[:2] >= 0]].all()
    assert not train[blocks[2]].any()
    values = jnp.asarray(np.where(blocks >= 0, blocks, 99)[:, :, None])
    np.testing.assert_array_equal(in_order(values, blocks, 10, None)[:, 0], range(10))


@pytest.mark.parametrize("attention", ["identity", "none"])
def test_answers_turn_the_clusters_towards_the_person(toy, attention):
    labels = toy[3]
    game = begin(toy, attention)
    asked = set()
    for _ in range(2):
        questions = game.ask(BUDGET // 2)
        assert questions.kind == "pair"
        pairs = {tuple(sorted(pair)) for pair in questions.indices.tolist()}
        assert len(pairs) == questions.count == BUDGET // 2
        assert not pairs & asked
        asked |= pairs
        info = game.say(questions, same(questions, labels))
        assert all(np.isfinite(value) for value in info.values())
    assert info["answered"] == BUDGET
    assert info["contradictions"] == 0
    assert info["must_links"] >= info["same"]
    np.testing.assert_allclose(game.probabilities.sum(1), 1, rtol=1e-5)
    assert game.embeddings.shape == (150, 16)
    assert clustering_metrics(game.probabilities.argmax(1), labels, C)["acc"] > 0.9


@pytest.mark.parametrize("uncertain", ["fixed", "even"])
@pytest.mark.parametrize("picks", ["both", "uncertain", "hard", "random"])
def test_questions_stay_within_training_blocks_and_are_unknown(toy, picks, uncertain):
    game = begin(toy, "none", epochs=0, picks=picks, uncertain=uncertain)
    known = []
    for _ in range(3):
        questions = game.ask(20)
        assert toy[4][questions.indices].all()
        blocks = np.asarray(game.context.blocks)
        inside = asked_pairs(questions.indices, blocks)
        assert inside.sum() == 2 * questions.count == 40
        pairs = [tuple(sorted(pair)) for pair in questions.indices.tolist()]
        closed = block_links(game.ledger.evidence().closure, blocks)
        assert not (closed[inside] != 0).any()
        assert not set(pairs) & set(known)
        known.extend(pairs)
        game.say(questions, same(questions, toy[3]))


def test_one_pair_per_block_is_the_papers_schedule(toy):
    # 110 training samples make 4 blocks of 32.
    assert begin(toy, "none", epochs=0, per_block=1, picks="random").ask(100).count == 4


def test_skipped_and_contradictory_answers_are_kept_apart(toy):
    game = begin(toy, "none", epochs=1, picks="random")
    block = np.asarray(game.context.blocks)[0]
    pairs = np.stack([block[[0, 1, 0, 3]], block[[1, 2, 2, 4]]], axis=1)
    info = game.say(game.next_pairs(pairs), [1, 1, 0, SKIP])
    assert info["contradictions"] == 1
    assert info["must_links"] == 3
    assert info["cannot_links"] == 0
    again = {tuple(sorted(pair)) for pair in game.ask(2000).indices.tolist()}
    assert tuple(sorted(pairs[3])) not in again


def test_prediction_is_deterministic_and_the_same_keys_give_the_same_run(toy):
    def run():
        game = Game(build(toy, epochs=2), 150, 20, seed=3)
        questions = game.ask(20)
        game.say(questions, same(questions, toy[3]))
        return questions.indices, game.probabilities

    (first, predicted), (second, repeated) = run(), run()
    np.testing.assert_array_equal(first, second)
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
        game = begin(toy, "none", epochs=0, total=20, train_options=options)
        questions = game.ask(20)
        game.say(questions, same(questions, toy[3]), last=True)
        return game.embeddings

    assert np.abs(embedded(1.0) - embedded(0.0)).max() > 1e-4


def test_the_last_stage_runs_once_whatever_the_rounds_hold(toy):
    """Told that a round is the last; also where people stopped, or nothing was left to ask."""
    options = {"final_epochs": 2, "pseudo_threshold": 1.0}
    steps = []
    network, views, inputs, _, train, start = toy
    method = pcl.build(
        Parts(network, views, inputs, C, start, train=train, log=steps.append),
        {
            "pcl": pcl.PclOptions(attention="none", picks="random"),
            "pcl_training": PclTraining(block_size=SIZE, warmup_epochs=0, epochs=1, **options),
        },
    )
    game = Game(method, 150, 30)
    for count, last in ((12, False), (17, False), (1, True)):
        questions = game.ask(count)
        game.say(questions, same(questions, toy[3]), last=last)
        assert len(steps) == (1 + 2 * last)
        steps.clear()
    stopped = Game(method, 150, 30)
    nothing = stopped.next_pairs(np.zeros((0, 2), int))
    stopped.say(nothing, np.zeros(0, int), last=True)
    assert len(steps) == 2


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
