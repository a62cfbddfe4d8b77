"""How the committee weighs its members, and what becomes of clusters without a name."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from idc_jax import ops
from idc_jax.annotate.questions import UNASKED
from idc_jax.methods.committee.left_out import PROBES, own_influence, placed
from idc_jax.methods.committee.poisson import poisson
from idc_jax.methods.committee.silent import keep_unnamed, trust_in_unnamed
from idc_jax.methods.committee.spreading import spreading
from idc_jax.methods.committee.stacking import folds, sharpened, stack
from idc_jax.ops.edges import normalized_edges

C, M = 4, 60
NAMED = jnp.asarray([True, True, True, False])
EVEN = jnp.full(3, 1 / 3)


@pytest.fixture(scope="module")
def answers():
    """Sixty answers about three of four classes, and three rows of padding."""
    said = np.zeros((M + 3, C), np.float32)
    said[np.arange(M), np.arange(M) % 3] = 1
    return jnp.asarray(said)


@pytest.fixture(scope="module")
def held_out(answers):
    """One is right and unsure, one guesses and is sure, and one says nothing."""
    rng = np.random.default_rng(0)
    knows = 0.25 * np.asarray(answers) + 0.25
    guesses = 0.97 * np.eye(C)[rng.integers(0, 3, M + 3)] + 0.01
    opinions = np.stack([knows, guesses, np.ones((M + 3, C))]) * np.asarray(NAMED)
    return jnp.asarray(opinions / opinions.sum(2, keepdims=True), jnp.float32)


def test_the_member_that_knows_is_heard_and_made_as_sure_as_it_may_be(held_out, answers):
    powers, weights = stack(held_out, answers, NAMED, EVEN)
    assert powers[0] > 5 > 1 > powers[1]
    assert weights[0] > 0.9
    np.testing.assert_allclose(weights.sum(), 1, atol=1e-5)


def test_the_weights_come_near_the_most_likely_ones(held_out, answers):
    rng = np.random.default_rng(1)
    noisy = jnp.asarray(rng.dirichlet(np.ones(3), (3, M + 3)), jnp.float32)
    mixed = 0.4 * held_out.at[..., :3].add(0.6 / 0.4 * noisy)
    powers, weights = stack(mixed, answers, NAMED, EVEN)
    right = (sharpened(mixed, NAMED, powers[:, None, None]) * answers).sum(2)[:, :M]
    likely = np.asarray(0.98 * right + 0.02 / 3, float)

    def cost(weights):
        return -(np.log(weights @ likely).sum() + 3.0 * np.log(weights).mean())

    best = minimize(lambda a: cost(np.exp(a) / np.exp(a).sum()), np.zeros(3)).fun
    assert best < cost(np.asarray(weights, float)) < best + 0.05 * (cost(EVEN) - best)


def test_classes_with_one_answer_change_nothing(held_out):
    said = jnp.zeros((M + 3, C)).at[jnp.arange(3), jnp.arange(3)].set(1)
    powers, weights = stack(held_out, said, NAMED, EVEN)
    np.testing.assert_allclose(powers, 1, rtol=0.1)
    np.testing.assert_allclose(weights, EVEN, atol=1e-6)


def test_each_class_is_spread_over_the_folds():
    said = np.zeros((12, C), np.float32)
    said[np.arange(11), [0] * 7 + [1, 1] + [2, 2]] = 1
    found = np.asarray(folds(jnp.asarray(said), 5))
    assert sorted(np.bincount(found[:7], minlength=5)) == [1, 1, 1, 2, 2]
    assert len(set(found[7:9])) == len(set(found[9:11])) == 2


@pytest.fixture(scope="module")
def blobs():
    """Three blobs of which some samples were asked about, one of them wrongly answered."""
    rng = np.random.default_rng(0)
    x = np.eye(3, 6)[np.arange(90) // 30] + 0.35 * rng.normal(size=(90, 6))
    near = ops.knn(ops.normalize(jnp.asarray(x, jnp.float32)), 8)
    rows = np.array([0, 4, 9, 12, 31, 35, 40, 62, 66, 70])
    classes = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    return normalized_edges(near), rows, classes


def said_of(rows, classes, padding=2):
    said = np.zeros((len(rows) + padding, C), np.float32)
    said[np.arange(len(rows)), classes] = 1
    return jnp.asarray([*rows, *[0] * padding]), jnp.asarray(said)


def test_spreading_without_an_answer_is_that_of_the_others(blobs):
    edges, rows, classes = blobs

    def spread(rows, classes):
        at, said = said_of(rows, classes)
        choice = np.full(90, UNASKED)
        choice[rows] = classes
        told = jnp.full((90, C), 1 / C), choice, np.zeros((90, C), bool)
        return spreading((edges,), told, at, said, NAMED, (0.9,), 30, held_out=True)

    _, found = spread(rows, classes)
    for k, row in enumerate(rows):
        others, _ = spread(np.delete(rows, k), np.delete(classes, k))
        np.testing.assert_allclose(found[k], others[row], atol=1e-4)


def test_currents_without_an_answer_are_nearly_those_of_the_others(blobs):
    edges, rows, classes = blobs
    _, found = poisson(edges, *said_of(rows, classes), NAMED, 200, held_out=True)
    whole, nothing = poisson(edges, *said_of(rows, classes), NAMED, 200)
    assert nothing is None
    for k, row in enumerate(rows):
        others, _ = poisson(edges, *said_of(np.delete(rows, k), np.delete(classes, k)), NAMED, 200)
        # The classes' shares of the answers are still those of all.
        np.testing.assert_allclose(found[k], others[row], atol=0.12)
    # No answer speaks for itself any more.
    before = np.asarray(whole)[rows, classes]
    assert (np.asarray(found)[np.arange(len(rows)), classes] < before).all()


def test_probes_find_each_samples_own_influence():
    rng = np.random.default_rng(0)
    inverse = np.linalg.inv(np.eye(200) * 3 + rng.uniform(-0.01, 0.01, (200, 200)))
    for count, error in ((PROBES, 1e-6), (150, 0.01)):
        rows = jnp.asarray(rng.choice(200, count, replace=False))
        there = jnp.asarray(inverse, jnp.float32) @ placed(rows, jnp.ones(count), 200)
        wanted = np.diag(inverse)[np.asarray(rows)]
        np.testing.assert_allclose(own_influence(there[rows]), wanted, atol=error)


def test_unnamed_clusters_are_kept_the_less_the_more_answers_name_nothing_new():
    before = np.eye(4)[np.arange(40) % 4]
    slots = np.array([7, -1, -1, -1])

    def trust(*answered):
        choice = np.full(40, UNASKED)
        choice[list(answered)] = 0
        return trust_in_unnamed(slots, before, choice)

    # Samples 4k + j are of cluster j. One answer for four clusters, then three.
    np.testing.assert_allclose(trust(0), [0, 0.55, 0.55, 0.55])
    np.testing.assert_allclose(trust(0, 1, 2), [0, 1.4 / 3, 1.4 / 3, 0.55], rtol=1e-6)
    np.testing.assert_allclose(trust(*range(8)), [0, *[0.175] * 3], rtol=1e-6)
    # Nobody has said anything of most samples, however often the others were asked about.
    np.testing.assert_allclose(trust(*range(0, 40, 4)), [0, 0.55, 0.55, 0.55])
    assert trust_in_unnamed(np.full(4, -1), before, np.full(40, UNASKED)).tolist() == [0] * 4


def test_of_an_unnamed_cluster_the_sure_go_and_the_others_stay():
    before = jnp.asarray([[0, 1.0, 0], [0, 1.0, 0], [1.0, 0, 0], [0, 1.0, 0]])
    now = jnp.asarray([[0.9, 0, 0.1], [0.4, 0, 0.6], [1.0, 0, 0], [0.4, 0, 0.6]])
    rejected = jnp.zeros((4, 3), bool).at[3, 1].set(True)
    found = np.asarray(keep_unnamed(now, before, jnp.asarray([0, 0.45, 0]), rejected))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert found.argmax(1).tolist() == [0, 1, 0, 2]
