import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import shape_checks

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


# One shape for as many tests as possible: compiling is most of what they cost.
N, K = 60, 5


def test_four_points_by_hand():
    found = ops.knn(jnp.array([[0.0], [1.0], [3.0], [7.0]]), 9)
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
    assert found.distances2.tolist() == [[1, 9, 49], [1, 4, 36], [4, 9, 16], [16, 36, 49]]


def test_self_is_left_out_by_index_and_duplicates_stay():
    found = ops.knn(jnp.ones((4, 1)), 9)
    assert found.distances2.tolist() == [[0.0] * 3] * 4
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_against_the_definition_also_far_from_the_origin(offset):
    x = points(N) + np.float32(offset)
    distances2, indices = exact(x, K)
    found = ops.knn(x, K)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances2, distances2, rtol=1e-5)


def test_queries_of_their_own():
    x, q = points(N), points(9, seed=1)
    found = ops.knn(x, K, queries=q)
    np.testing.assert_array_equal(found.indices, exact(x, K, q)[1])
    assert ops.knn(x[:4], 200, queries=q[:1]).indices.shape == (1, 4)


def test_cosine_is_of_directions():
    x = points(N)
    found = ops.knn(x * np.arange(1, N + 1)[:, None], K, metric="cosine")
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = z @ z.T - 2.0 * np.eye(N)
    np.testing.assert_array_equal(found.indices, np.argsort(-cosines, 1)[:, :K])
    np.testing.assert_allclose(found.distances2, 1 - -np.sort(-cosines, 1)[:, :K], atol=1e-5)


def test_symmetric_tiles_against_the_definition():
    # Several tiles, a ragged last one, and neighbours that come in order of index.
    nearest = jax.jit(lambda x: jnp.sort(symmetric.nearest(x, 6, tile=64), axis=1))
    x = points(230, d=3)
    np.testing.assert_array_equal(nearest(x), np.sort(exact(x, 6)[1], 1))
    line = jnp.arange(230.0)[:, None] * jnp.array([1.0, 0.0, 0.0])
    assert nearest(line)[100].tolist() == [97, 98, 99, 101, 102, 103]
    # As many neighbours among duplicates as elsewhere, and never the point itself.
    same = np.asarray(nearest(jnp.ones((230, 3))))
    assert (np.diff(same, axis=1) > 0).all()
    assert not (same == np.arange(230)[:, None]).any()


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


def counted(x, found):
    """Share of the true neighbours found, by the definition."""
    pairs = zip(exact(x, K)[1], np.asarray(found.indices).tolist(), strict=True)
    return np.mean([len(set(a) & set(b)) / K for a, b in pairs])


def test_approximate_reaches_the_recall_asked_for():
    x = points(900, d=3)
    some = ops.approximate_knn(x, K, recall=0.8, cell=20)
    reached = counted(x, some)
    assert 0.8 <= reached < 1.0
    assert abs(float(ops.recall(jax.random.key(0), x, some, 900)) - reached) < 0.03
    own = np.arange(900)[:, None]
    assert not (np.asarray(some.indices) == own).any()
    # Each is a neighbour once, and its distance is exact.
    assert all(len(set(row)) == K for row in np.asarray(some.indices).tolist())
    gaps = ((x[:, None] - x[np.asarray(some.indices)]) ** 2).sum(-1)
    np.testing.assert_allclose(some.distances2, gaps, rtol=1e-4)


def test_approximate_is_exact_where_that_is_no_dearer():
    x = points(N)
    found = ops.approximate_knn(x, K, cell=20)
    np.testing.assert_array_equal(found.indices, ops.knn(x, K).indices)


def test_approximate_asks_for_probes_under_jit():
    with pytest.raises(UserError, match="give probes"):
        jax.jit(lambda x: ops.approximate_knn(x, K))(points(N))
    with pytest.raises(UserError, match="recall is 1"):
        ops.approximate_knn(points(N), K, recall=1.5)


def test_jit_equals_eager():
    x = points(N)
    np.testing.assert_array_equal(
        jax.jit(lambda x: ops.knn(x, K).indices)(x), ops.knn(x, K).indices
    )


def test_distances_are_differentiable():
    x = jnp.asarray(points(12))
    jax.test_util.check_grads(
        lambda x: ops.knn(x, 3).distances2, (x,), 1, ["rev"], atol=0.05, rtol=0.05
    )


def test_bad_input():
    with shape_checks.off(), pytest.raises(UserError, match="euclid"):
        ops.knn(points(5), 2, metric="euclid")
    with pytest.raises(UserError, match=r"shape \[5\]"):
        ops.knn(jnp.ones(5), 2)
    with pytest.raises(UserError, match=r"row\(s\) 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"):
        ops.knn(jnp.full((12, 2), jnp.nan), 2)
