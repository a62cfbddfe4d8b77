import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.errors import UserError
from idc_jax.ops import grouped, symmetric, topk


def points(n, d=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def exact(x, k, queries=None):
    """Distances and indices in float64, by the definition."""
    q = x if queries is None else queries
    distances2 = ((q[:, None].astype(np.float64) - x[None]) ** 2).sum(-1)
    if queries is None:
        np.fill_diagonal(distances2, np.inf)
    indices = np.argsort(distances2, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances2, indices, 1), indices


def test_four_points_by_hand():
    found = ops.knn(jnp.array([[0.0], [1.0], [3.0], [7.0]]), 2)
    assert found.indices.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert found.distances2.tolist() == [[1, 9], [1, 4], [4, 9], [16, 36]]


def test_against_the_definition():
    x = points(150)
    distances2, indices = exact(x, 7)
    found = ops.knn(x, 7)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances2, distances2, rtol=1e-5)


def test_far_from_the_origin_loses_nothing():
    x = points(60) + 1000.0
    np.testing.assert_array_equal(ops.knn(x, 5).indices, exact(x, 5)[1])


def test_queries_of_their_own():
    x, q = points(80), points(9, seed=1)
    found = ops.knn(x, 4, queries=q)
    np.testing.assert_array_equal(found.indices, exact(x, 4, q)[1])
    assert ops.knn(x, 200, queries=q).indices.shape == (9, 80)


def test_cosine_is_of_directions():
    x = points(50)
    found = ops.knn(x * np.arange(1, 51)[:, None], 3, metric="cosine")
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = z @ z.T - 2.0 * np.eye(50)
    np.testing.assert_array_equal(found.indices, np.argsort(-cosines, 1)[:, :3])
    np.testing.assert_allclose(found.distances2, 1 - -np.sort(-cosines, 1)[:, :3], atol=1e-5)


def test_self_is_left_out_by_index_and_duplicates_stay():
    found = ops.knn(jnp.ones((4, 2)), 9)
    assert found.distances2.tolist() == [[0.0] * 3] * 4
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_symmetric_tiles_against_the_definition():
    # Several tiles, a ragged last one, and neighbours that come in order of index.
    x = points(230, d=3)
    np.testing.assert_array_equal(
        np.sort(symmetric.nearest(jnp.asarray(x), 6, tile=64), 1), np.sort(exact(x, 6)[1], 1)
    )
    line = np.arange(200, dtype=np.float32)[:, None]
    found = np.sort(symmetric.nearest(jnp.asarray(line), 2, tile=64), 1)
    assert found[100].tolist() == [99, 101]


def test_two_stage_top_k_is_top_k():
    scores = jnp.asarray(points(5, 1024))
    values, positions = topk.top_k(scores, 3, chunk=32)
    expected, places = jax.lax.top_k(scores, 3)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(positions, places)


def test_in_group():
    x, groups = points(90), np.random.default_rng(2).integers(0, 4, 90)
    found = grouped.nearest_in_group(jnp.asarray(x), jnp.asarray(groups), 3)
    distances2 = ((x[:, None] - x[None]) ** 2).sum(-1)
    distances2[(groups[:, None] != groups[None]) | np.eye(90, dtype=bool)] = np.inf
    np.testing.assert_allclose(found, np.sort(distances2, 1)[:, :3], rtol=1e-4)


def test_approximate_is_exact_with_all_leaves_and_close_with_a_few():
    x = jnp.asarray(points(600, d=3))
    every = ops.approximate_knn(x, 5, probes=1000, leaf=32)
    np.testing.assert_array_equal(every.indices, ops.knn(x, 5).indices)
    few = ops.approximate_knn(x, 5, probes=8, leaf=32)
    measured = float(ops.recall(jax.random.key(0), x, few, 600))
    true = exact(np.asarray(x), 5)[1]
    counted = np.mean(
        [len(set(a) & set(b)) / 5 for a, b in zip(true, few.indices.tolist(), strict=True)]
    )
    assert 0.8 < measured < 1.0
    assert abs(measured - counted) < 0.05


def test_jit_equals_eager():
    x = points(40)
    np.testing.assert_array_equal(
        jax.jit(lambda x: ops.knn(x, 3).indices)(x), ops.knn(x, 3).indices
    )


def test_distances_are_differentiable():
    x = jnp.asarray(points(12))
    jax.test_util.check_grads(
        lambda x: ops.knn(x, 3).distances2, (x,), 1, ["rev"], atol=0.05, rtol=0.05
    )


def test_bad_input():
    with pytest.raises(UserError, match="euclid"):
        ops.knn(points(5), 2, metric="euclid")
    with pytest.raises(UserError, match=r"shape \(5,\)"):
        ops.knn(jnp.ones(5), 2)
    with pytest.raises(UserError, match=r"row\(s\) 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"):
        ops.knn(jnp.full((12, 2), jnp.nan), 2)
