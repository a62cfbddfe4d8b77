"""The neighbour graph at work, against plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.ops import graph
from idc_jax.ops.edges import normalized_edges, propagate
from idc_jax.ops.graph import smooth, weights_and_degrees


@pytest.fixture
def points() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (30, 4))


def dense_average(neighbors: ops.Neighbors) -> np.ndarray:
    indices = np.asarray(neighbors.indices)
    n, k = indices.shape
    matrix = np.eye(n)
    for i in range(n):
        matrix[i, indices[i]] += 1
    return matrix / (k + 1)


def dense_weights(neighbors: ops.Neighbors) -> np.ndarray:
    distances2, indices = np.asarray(neighbors.distances2), np.asarray(neighbors.indices)
    n, k = indices.shape
    matrix = np.zeros((n, n))
    for i in range(n):
        for j in range(k):
            other = indices[i, j]
            scale = np.sqrt(distances2[i, -1] * distances2[other, -1])
            matrix[i, other] = np.exp(-distances2[i, j] / scale)
    symmetric = matrix + matrix.T
    root = 1 / np.sqrt(symmetric.sum(1))
    return root[:, None] * symmetric * root


@pytest.fixture(params=[1 << 20, 0], ids=["at once", "in turn"])
def _gathered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neighbours' rows are gathered at once, as of few, and in turn, as of many."""
    monkeypatch.setattr(graph, "_GATHERED_WHOLE", request.param)
    for program in (smooth, propagate):
        program.clear_cache()
    yield
    for program in (smooth, propagate):
        program.clear_cache()


@pytest.mark.usefixtures("_gathered")
@pytest.mark.parametrize("hops", [0, 1, 3])
def test_smoothing_is_repeated_averaging(points: jax.Array, hops: int) -> None:
    neighbors = ops.knn(points, 3)
    expected = np.linalg.matrix_power(dense_average(neighbors), hops) @ np.asarray(points)
    np.testing.assert_allclose(smooth(points, neighbors, hops=hops), expected, atol=1e-5)


@pytest.mark.usefixtures("_gathered")
def test_spreading_solves_its_fixed_point(points: jax.Array) -> None:
    neighbors = ops.knn(points, 4)
    seeds = np.zeros((30, 2), np.float32)
    seeds[0, 0] = seeds[7, 1] = 1
    alpha = 0.8
    edges = normalized_edges(neighbors)
    spread = propagate(jnp.asarray(seeds), edges, alpha=alpha, iterations=120)
    expected = (1 - alpha) * np.linalg.inv(np.eye(30) - alpha * dense_weights(neighbors)) @ seeds
    np.testing.assert_allclose(spread, expected, atol=1e-5)


def test_an_answer_stays_in_its_own_component() -> None:
    # Two far groups: evidence cannot cross from one to the other.
    x = jnp.concatenate([jnp.arange(5.0), 100 + jnp.arange(5.0)])[:, None]
    neighbors = ops.knn(x, 2)
    seeds = jnp.zeros((10, 1)).at[0, 0].set(1.0)
    spread = propagate(seeds, normalized_edges(neighbors), alpha=0.9)
    assert np.all(np.asarray(spread[:5]) > 0)
    assert np.all(np.asarray(spread[5:]) == 0)


def test_duplicates_give_finite_weights() -> None:
    neighbors = ops.knn(jnp.ones((6, 3)), 3)
    edges = normalized_edges(neighbors)
    assert np.isfinite(edges.weights).all()
    assert np.isfinite(edges.named_weights).all()


def test_eager_equals_jit(points: jax.Array) -> None:
    neighbors = ops.knn(points, 3)
    with jax.disable_jit():
        eager = weights_and_degrees(neighbors)
    for found, wanted in zip(eager, weights_and_degrees(neighbors), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
