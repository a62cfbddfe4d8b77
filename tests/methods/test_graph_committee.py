"""The graph committee end to end on a toy, and its parts by hand or against a reference."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from playing import Game
from sklearn.linear_model import LogisticRegression

from idc_jax.annotate.questions import DIFFERENT, NONE_OF_THESE, SAME, SKIP
from idc_jax.errors import UserError
from idc_jax.methods.committee import method as graph_committee
from idc_jax.methods.committee.members import decide
from idc_jax.methods.committee.opening import first_picks
from idc_jax.methods.committee.options import CommitteeOptions, GraphCommitteeOptions
from idc_jax.methods.committee.regression import fit_planes, opinions
from idc_jax.methods.contract import Parts
from idc_jax.metrics import clustering_metrics
from idc_jax.ops.graph import decorrelate_neighbors

C = 3
N = 40 * C
BUDGET = 6
PLAIN = {"stacking": False, "prior": False, "student": False}
OPTIONS = GraphCommitteeOptions(reaches=((5, 0.9),), hop_neighbors=5, steps=50)
LABELS = np.repeat(np.arange(C), 40)


@pytest.fixture(scope="module")
def inputs():
    """Three well-parted blobs."""
    rng = np.random.default_rng(0)
    return jnp.asarray(6 * np.eye(8)[LABELS] + rng.normal(size=(N, 8)), jnp.float32)


def build(inputs, clusters=C, **options):
    parts = Parts(None, None, inputs, num_clusters=clusters, begin=lambda key: {})
    return graph_committee.build(parts, {"graph_committee": OPTIONS._replace(**options)})


@pytest.fixture
def game(inputs):
    return Game(build(inputs), N, N)


def labelled(game, indices, choice):
    return game.say(game.next_labels(indices), list(choice))


def one_of_each(game, choice=range(C)):
    return labelled(game, [40 * k for k in range(C)], choice)


def test_two_rounds_end_at_the_classes_and_ask_nothing_twice(game):
    asked = []
    for _ in range(2):
        questions = game.ask(BUDGET)
        assert questions.kind == "label"
        assert questions.count == BUDGET
        asked += questions.indices.tolist()
        info = game.say(questions, LABELS[questions.indices])
    assert len(set(asked)) == 2 * BUDGET
    np.testing.assert_allclose(game.probabilities.sum(1), 1, rtol=1e-5)
    assert clustering_metrics(game.probabilities.argmax(1), LABELS, C)["acc"] == 1
    assert info["answered"] == 2 * BUDGET
    assert info["classes_named"] == C
    assert 0.5 < info["expected_accuracy"] <= 1
    assert 0 <= info["expected_gain_of_50"] <= 0.5
    assert info["expected_groups"] == C


def test_the_first_round_asks_one_of_each_cluster_and_fills_up(inputs):
    density, nobody = jnp.zeros(N), jnp.zeros(N, bool)
    ask = partial(first_picks, jax.random.key(0), inputs, density, restarts=2)
    picks = ask(asked=nobody, budget=C)
    assert sorted(LABELS[picks.indices]) == [0, 1, 2]
    for label, sample in zip(LABELS[picks.indices], picks.indices, strict=True):
        members = np.asarray(inputs)[label == LABELS]
        distances = np.linalg.norm(members - members.mean(0), axis=1)
        assert sample == 40 * label + distances.argmin()
    # A sample in the midst of many is worth a way from the centre.
    dense = first_picks(jax.random.key(0), inputs, density.at[17].set(9.0), nobody, C, restarts=2)
    assert 17 in dense.indices
    # Two of the three clusters have been asked about whole.
    picks = ask(asked=jnp.asarray(LABELS != 1), budget=C)
    assert len(set(picks.indices.tolist())) == C
    assert set(LABELS[picks.indices]) == {1}
    short = ask(asked=jnp.arange(N) >= 2, budget=C)
    assert sorted(short.indices.tolist()) == [-1, 0, 1]
    assert len(ask(asked=nobody, budget=0).indices) == 0


def test_a_second_round_asks_where_nobody_was_asked_the_largest_first():
    rng = np.random.default_rng(0)
    sizes = [50, 30, 20, 10]
    x = np.repeat(4 * np.eye(4), sizes, axis=0) + 0.05 * rng.normal(size=(110, 4))
    x, of = jnp.asarray(x, jnp.float32), np.repeat(np.arange(4), sizes)
    asked = jnp.zeros(110, bool).at[jnp.array([3, 99])].set(True)
    picks = first_picks(jax.random.key(0), x, jnp.zeros(110), asked, 2, restarts=5)
    assert of[picks.indices].tolist() == [1, 3]


def test_the_opening_lasts_for_so_many_answers_and_then_value_asks(inputs):
    def second(opening):
        game = Game(build(inputs, opening=opening), N, N)
        questions = game.ask(24)
        game.say(questions, LABELS[questions.indices])
        return sorted(game.ask(BUDGET, seed=5).indices.tolist())

    # Eight answers for each of three clusters, and twenty in all at least.
    assert second(8.1) == second(9.0)
    assert second(8.0) == second(7.0) != second(9.0)


def test_of_few_columns_the_distance_from_the_mean_counts_too():
    """A ring around a ring: every direction holds samples of both."""
    angle = np.linspace(0, 2 * np.pi, N, endpoint=False)
    inner = np.arange(N) % 2 == 0
    x = np.where(inner, 1.0, 2.0)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    game = Game(build(jnp.asarray(x, jnp.float32), clusters=2), N, N)
    labelled(game, [0, 1, 60, 61], [1, 0, 1, 0])
    said = np.asarray(game.state.slots)[game.probabilities.argmax(1)]
    np.testing.assert_array_equal(said, inner)


def test_a_round_of_skips_changes_nothing_and_is_not_repeated(game):
    before = game.probabilities
    assert labelled(game, range(N - 4), [SKIP] * (N - 4)) == {}
    np.testing.assert_array_equal(game.probabilities, before)
    assert set(game.ask(BUDGET).indices.tolist()) == set(range(N - 4, N))


def test_a_wrong_answer_is_outvoted(game):
    labelled(game, range(0, N, 4), LABELS[::4])
    labelled(game, [1], [2])
    predicted = game.probabilities.argmax(1)
    assert (np.asarray(game.state.slots)[predicted] == LABELS)[np.arange(N) != 1].all()


def test_more_classes_than_clusters_get_outputs(inputs):
    game = Game(build(inputs, clusters=2), N, N)
    one_of_each(game, [7, 1, 4])
    assert game.probabilities.shape == (N, 3)
    named = np.asarray(game.state.slots)[game.probabilities.argmax(1)]
    np.testing.assert_array_equal(named, np.array([7, 1, 4])[LABELS])


def test_none_of_these_rules_out_what_was_offered(game):
    offered = np.argsort(-game.probabilities[:2], axis=1)[:, :1]
    exemplars = [-1, -1, -1]
    game.say(game.next_clusters([0, 1], offered, exemplars), [NONE_OF_THESE, NONE_OF_THESE])
    assert (game.probabilities[:2].argmax(1) != offered[:, 0]).all()
    game.say(game.next_clusters([2, 42, 82], [[2], [0], [1]], exemplars), [2, 0, 1])
    predicted = game.probabilities.argmax(1)[2:]
    np.testing.assert_array_equal(predicted, np.array([2, 0, 1])[LABELS][2:])


def test_pairs_carry_names_and_keep_apart(inputs):
    game, plain, apart = (Game(build(inputs), N, N) for _ in range(3))
    for one in (game, plain, apart):
        one_of_each(one)
    # 119 is in the last blob, yet somebody says that it belongs with sample 0.
    game.say(game.next_pairs([[0, 119], [5, 6]]), [SAME, SAME])
    assert game.probabilities[119].argmax() == game.probabilities[0].argmax()
    np.testing.assert_allclose(game.probabilities[5], game.probabilities[6], rtol=1e-6)
    apart.say(apart.next_pairs([[0, 3]]), [DIFFERENT])
    assert apart.probabilities[3, 0] < plain.probabilities[3, 0]


def test_an_answer_that_few_agree_on_is_believed_less(game):
    space = game.context.space
    choice = jnp.full(N, -3).at[jnp.array([0, 40, 80, 1])].set(jnp.array([0, 1, 2, 1]))
    given = (space, game.state.probabilities, choice, jnp.zeros((N, C), bool))
    options = CommitteeOptions(reaches=((5, 0.9),), steps=50)
    full = decide(*given, options)
    half = decide(*given, options, belief=jnp.full(N, 0.5))
    assert half[1, 1] < full[1, 1]
    np.testing.assert_allclose(half[2], full[2], rtol=1e-5)


def test_no_strength_of_the_penalty_makes_the_regression_diverge(inputs):
    x = inputs[:10] / jnp.linalg.norm(inputs[:10], axis=1, keepdims=True)
    named = jnp.ones(C, bool)
    for strength in (1e-4, 0.01, 0.05, 1.0):
        targets = jnp.eye(C)[np.arange(10) % C]
        found = opinions(x, fit_planes(x, targets, jnp.ones(10), named, strength, 400), named)
        assert np.isfinite(found).all()
        wanted = LogisticRegression(C=strength, tol=1e-8).fit(x, np.arange(10) % C)
        np.testing.assert_allclose(found, wanted.predict_proba(x), atol=2e-3)


def test_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = rng.integers(0, 3, 60)
    wanted = LogisticRegression(C=2.0, tol=1e-8, max_iter=1000).fit(x[:40], y[:40])
    weights = jnp.asarray(np.arange(60) < 40, jnp.float32)
    named = jnp.array([True, True, True, False])
    targets = jnp.asarray(np.eye(4, dtype=np.float32)[y])
    planes = fit_planes(jnp.asarray(x), targets, weights, named, 2.0, 800)
    found = opinions(jnp.asarray(x), planes, named)
    np.testing.assert_allclose(found[:, :3], wanted.predict_proba(x), atol=2e-4)
    assert (found[:, 3] == 0).all()


def test_regression_counts_in_proportion_to_the_answers(game):
    choice = jnp.full(N, -3).at[jnp.array([0, 40, 80, 81])].set(jnp.array([0, 1, 2, 2]))
    space = game.context.space
    given = (space, game.state.probabilities, choice, jnp.zeros((N, C), bool))
    options = CommitteeOptions(reaches=((5, 0.9),), steps=50, poisson=0, **PLAIN)
    spreading = decide(*given, options._replace(regression=0.0))
    alone = decide(*given, options._replace(reaches=()))
    both = decide(*given, options._replace(regression_from=4.0))
    # Four answers in three classes, where four per class would count in full.
    weight = 4 / 3 / 4
    wanted = (spreading + weight * alone) / (1 + weight)
    free = np.asarray(choice) < 0
    np.testing.assert_allclose(both[free], wanted[free], atol=2e-6)
    full = decide(*given, options._replace(regression_from=1.0))
    np.testing.assert_allclose(full[free], (spreading + alone)[free] / 2, atol=2e-6)


def test_neighbours_differ_equally_in_all_directions():
    x = np.random.default_rng(0).normal(size=(60, 4)) * [0.5, 1, 2, 4]
    z = x - x.mean(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    distances2 = np.square(z[:, None] - z[None]).sum(-1)
    np.fill_diagonal(distances2, np.inf)
    found = np.argsort(distances2, axis=1)[:, :5]
    differences = (z[:, None] - z[found]).reshape(-1, 4)
    covariance = differences.T @ differences / len(differences)
    covariance = 0.9 * covariance + 0.1 * np.trace(covariance) / 4 * np.eye(4)
    z = z - z.mean(0)
    # Lengths and angles under the inverse covariance, whichever way the axes point.
    wanted = z @ np.linalg.inv(covariance) @ z.T
    wanted /= np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    got = decorrelate_neighbors(jax.random.key(0), jnp.asarray(x, jnp.float32), shrinkage=0.1)
    np.testing.assert_allclose(got @ got.T, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picks": "best"}, "picks is 'best'"),
        ({"space": "pixels"}, "space is 'pixels'"),
        ({"reaches": (), "regression": 0.0}, "neither reaches nor regression"),
        ({"reaches": ((0, 0.5),)}, r"has \(0, 0.5\)"),
        ({"regression_from": 0.0}, "regression_from is 0.0"),
        ({"trust": 1.0}, "trust is 1.0"),
        ({"opening": -1.0}, "opening is -1.0"),
        ({"opening": float("nan")}, "opening is nan"),
        ({"coordinates": -1}, "coordinates is -1"),
        ({"poisson": -5}, "poisson is -5"),
        ({"regression": -1.0}, "regression is -1.0"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(inputs, options, message):
    with pytest.raises(UserError, match=message):
        build(inputs, **options)


def test_what_is_expected_is_told_with_its_interval(game):
    info = one_of_each(game, [0, 1, 2])
    assert info["answered"] == info["classes_named"] == C
    for name in ("expected_accuracy", "expected_groups", "expected_gain_of_50"):
        assert info[f"{name}_low"] <= info[name] <= info[f"{name}_high"]
    assert info["expected_groups_low"] == C


def test_a_group_without_a_name_lowers_the_expectation(inputs):
    named = {}
    for choice in ([0, 1, 2], [0, 1, 1]):
        game = Game(build(inputs), N, N)
        info = one_of_each(game, choice)
        named[int(info["classes_named"])] = info["expected_accuracy"]
    assert named[2] < named[3]


def test_a_cluster_that_nobody_has_said_anything_of_stays_one(game):
    before = game.probabilities.argmax(1)
    told = labelled(game, [0, 1], [0, 0])
    np.testing.assert_array_equal(_pairs(game.probabilities.argmax(1)), _pairs(before))
    # It is asked about next, and lost nobody's trust.
    assert set(LABELS[game.ask(2).indices]) == {1, 2}
    assert told["expected_groups"] >= 1
    # Many answers about one class change nothing of the others.
    labelled(game, range(2, 12), [0] * 10)
    np.testing.assert_array_equal(_pairs(game.probabilities.argmax(1)), _pairs(before))
    # Once each has an answer the committee decides, whatever the clusters were.
    one_of_each(game, [0, 1, 1])
    assert len(set(game.probabilities.argmax(1).tolist())) == 2


def _pairs(clusters):
    return clusters[:, None] == clusters[None]
