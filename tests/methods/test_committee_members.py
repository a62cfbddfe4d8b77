"""Poisson learning, the classes' shares and the student, beside dense algebra and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.methods.committee import members
from idc_jax.methods.committee.members import decide
from idc_jax.methods.committee.options import CommitteeOptions, GraphCommitteeOptions
from idc_jax.methods.committee.poisson import poisson
from idc_jax.methods.committee.prior import class_prior, share_factors, with_factors
from idc_jax.methods.committee.space import compare
from idc_jax.ops.edges import normalized_edges
from idc_jax.ops.graph import weights_and_degrees

N, C = 90, 4


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    x = np.eye(3, 6)[np.arange(N) * 3 // N] + 0.35 * rng.normal(size=(N, 6))
    return ops.normalize(jnp.asarray(x, jnp.float32))


def told(rows, classes, padding=3):
    said = np.zeros((len(rows) + padding, C), np.float32)
    said[np.arange(len(rows)), classes] = 1
    named = said.sum(0) > 0
    return jnp.asarray([*rows, *[0] * padding]), jnp.asarray(said), jnp.asarray(named)


def test_poisson_learning_solves_its_equation(features):
    near = ops.knn(features, 8)
    weights, degrees = (np.asarray(a, float) for a in weights_and_degrees(near))
    matrix = np.zeros((N, N))
    np.add.at(matrix, (np.arange(N)[:, None], np.asarray(near.indices)), weights)
    matrix = matrix + matrix.T
    rows, said, named = told([0, 1, 40, 80], [0, 0, 1, 2])
    y = np.asarray(said, float)
    share = y.sum(0) / y.sum()
    charge = np.zeros((N, C))
    np.add.at(charge, np.asarray(rows), y - share * y.sum(1, keepdims=True))
    laplacian = np.diag(degrees * (1 + 1e-4)) - matrix
    u = np.linalg.solve(laplacian, charge)
    u -= (degrees[:, None] * u).sum(0) / degrees.sum()
    u = np.where(named, u / np.maximum(share, 1e-12), 0)
    sharp = 5 * u / np.sqrt((u**2).sum() / (N * 3))
    wanted = np.exp(sharp) * np.asarray(named)
    wanted /= wanted.sum(1, keepdims=True)
    found, _ = poisson(normalized_edges(near), rows, said, named, 300)
    np.testing.assert_allclose(found, wanted, atol=0.01)
    assert (np.asarray(found)[:, 3] == 0).all()


def test_poisson_learning_of_one_class_is_that_class(features):
    found, _ = poisson(normalized_edges(ops.knn(features, 8)), *told([5], [2]), 50)
    np.testing.assert_allclose(found, np.eye(C)[np.full(N, 2)], atol=1e-6)


def test_the_prior_is_drawn_to_even_shares_as_far_as_they_are_noise():
    x = np.zeros((100, 3), np.float32)
    x[:70, 0], x[70:90, 1], x[90:, 2] = 1, 1, 1
    rows, said, named = told([0, 75, 95], [0, 1, 2])
    logs = np.log([0.7, 0.2, 0.1])
    logs -= logs.mean()
    kept = max(0, 1 - 0.64 / (1.0 * (logs**2).mean()))
    wanted = np.exp(kept * logs) / np.exp(kept * logs).sum()
    found = class_prior(jnp.asarray(x), rows, said, named)
    np.testing.assert_allclose(found, [*wanted, 0], atol=1e-5)
    # Shares that differ by less than one answer for each class explains.
    even = np.full((90, 3), 0.0, np.float32)
    even[np.arange(90), np.arange(90) % 3] = 1
    rows, said, named = told([0, 1, 2], [0, 1, 2])
    np.testing.assert_allclose(
        class_prior(jnp.asarray(even), rows, said, named)[:3], 1 / 3, atol=1e-5
    )


def test_a_prediction_is_brought_to_the_shares():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 500).astype(np.float32)
    prior = jnp.asarray([0.6, 0.3, 0.1])
    found = np.asarray(with_factors(probs, share_factors(jnp.asarray(probs), prior, 30)))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found.mean(0), prior, atol=5e-3)
    # What one sample is more likely than another stays so within a class.
    ratio = found / probs
    ratio /= ratio[:, :1]
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape), rtol=1e-3)


def test_factors_do_what_steps_on_all_rows_do():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(5, 0.2), 300)
    # Nobody is of the fourth class, and nobody has named the fifth.
    probs[:, 3] = 0
    probs /= probs.sum(1, keepdims=True)
    prior = np.array([0.4, 0.3, 0.2, 0.1, 0.0])
    wanted = probs
    for _ in range(5):
        wanted = wanted * prior / np.maximum(wanted.mean(0), 1e-12)
        wanted /= np.maximum(wanted.sum(1, keepdims=True), 1e-12)
    given = jnp.asarray(probs, jnp.float32)
    found = with_factors(given, share_factors(given, jnp.asarray(prior, jnp.float32)))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    "part", ["poisson", "stacking", "views", "prior", "student", "coordinates"]
)
def test_each_part_changes_the_opinion_and_keeps_it_one(features, part):
    options = GraphCommitteeOptions(coordinates=20)
    choice = np.full(N, -3)
    choice[[0, 1, 40, 80]] = [0, 0, 1, 2]
    before = jnp.full((N, C), 0.25)

    def opinion(options):
        own = CommitteeOptions(*(getattr(options, name) for name in CommitteeOptions._fields))
        space = compare(jax.random.key(0), features, options)
        return decide(space, before, choice, np.zeros((N, C), bool), own)

    whole, without = opinion(options), opinion(options._replace(**{part: 0}))
    for found in (whole, without):
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
        assert (np.asarray(found).argmax(1) == np.arange(N) * 3 // N).mean() > 0.9
    assert np.abs(np.asarray(whole) - np.asarray(without)).max() > 1e-3


def test_members_are_heard_by_blocks_of_rows(features, monkeypatch):
    options = GraphCommitteeOptions(coordinates=20)
    own = CommitteeOptions(*(getattr(options, name) for name in CommitteeOptions._fields))
    space = compare(jax.random.key(0), features, options)
    choice = np.full(N, -3)
    choice[[0, 1, 40, 80]] = [0, 0, 1, 2]
    given = (space, jnp.full((N, C), 0.25), choice, np.zeros((N, C), bool))
    whole = decide(*given, own)
    monkeypatch.setattr(members, "_BLOCK", 32)
    # What was compiled has the larger block.
    for program in (members._decide_at_once, members._weighed):
        program.clear_cache()
    np.testing.assert_allclose(decide(*given, own), whole, atol=1e-6)
    # So are the parts of the program, where samples are many.
    monkeypatch.setattr(members, "_AT_ONCE", 0)
    np.testing.assert_allclose(decide(*given, own), whole, atol=1e-6)
    lesson = members._lesson(*given[1:], *members._answered(choice, 0), num_rows=N)
    flows = members._flows(space, lesson, own, True)
    text = members._weighed.lower(space, lesson, flows, np.ones(N), own, N, True).as_text()
    # Two that follow the graph and five that draw planes.
    assert f"tensor<7x32x{C}xf32>" in text
    assert f"tensor<7x{N}x{C}xf32>" not in text
