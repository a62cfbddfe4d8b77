"""The graph as a matrix, and its eigenvectors, beside dense ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.ops.edges import multiply, normalized_edges
from idc_jax.ops.graph import weights_and_degrees
from idc_jax.ops.spectral import leading_eigenpairs


def dense(neighbors):
    weights, indices = weights_and_degrees(neighbors)[0], np.asarray(neighbors.indices)
    matrix = np.zeros((len(indices), len(indices)))
    np.add.at(matrix, (np.arange(len(indices))[:, None], indices), np.asarray(weights, float))
    matrix += matrix.T
    root = 1 / np.sqrt(matrix.sum(1))
    return root[:, None] * matrix * root


@pytest.fixture(scope="module")
def neighbors():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 6))[np.arange(300) % 8] * 2 + rng.normal(size=(300, 6))
    return ops.knn(jnp.asarray(x, jnp.float32), 7)


def star():
    """Everybody's nearest neighbour is the first: a hub, far beyond its list."""
    rng = np.random.default_rng(1)
    others = np.stack([rng.choice(np.delete(np.arange(1, 60), i - 1), 2, False) for i in range(60)])
    indices = np.column_stack([np.zeros(60, int), others])
    indices[0, 0] = 59
    distances2 = np.sort(rng.uniform(0.1, 1, (60, 3)), axis=1)
    return ops.Neighbors(jnp.asarray(distances2, jnp.float32), jnp.asarray(indices, jnp.int32))


@pytest.mark.parametrize("graph", ["blobs", "star"])
def test_the_product_is_that_of_the_dense_matrix(neighbors, graph):
    near = neighbors if graph == "blobs" else star()
    edges, n = normalized_edges(near), len(near.indices)
    if graph == "star":
        assert (edges.further_weights > 0).any()
    x = np.random.default_rng(2).normal(size=(n, 5)).astype(np.float32)
    np.testing.assert_allclose(multiply(edges, jnp.asarray(x)), dense(near) @ x, atol=1e-5)
    np.testing.assert_allclose(edges.degrees, weights_and_degrees(near)[1])
    # The root of the degrees is the vector that the matrix leaves as it is.
    root = np.sqrt(np.asarray(edges.degrees))[:, None]
    np.testing.assert_allclose(multiply(edges, jnp.asarray(root)), root, rtol=1e-5)


def test_the_leading_eigenpairs_are_those_of_the_dense_matrix(neighbors):
    values, vectors = np.linalg.eigh(dense(neighbors))
    found = leading_eigenpairs(jax.random.key(0), normalized_edges(neighbors), 20)
    np.testing.assert_allclose(found.values, values[::-1][:20], atol=1e-4)
    overlap = np.linalg.svd(np.asarray(found.vectors).T @ vectors[:, ::-1][:, :20])[1]
    assert (overlap**2).mean() > 0.999


def test_more_eigenpairs_than_samples_are_all_of_them():
    found = leading_eigenpairs(jax.random.key(0), normalized_edges(star()), 100)
    assert found.values.shape == (60,)
    assert found.vectors.shape == (60, 60)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(dense(star()))[::-1], atol=1e-4)


def test_two_samples_have_the_eigenvalues_one_and_minus_one():
    near = ops.knn(jnp.eye(2), 1)
    found = leading_eigenpairs(jax.random.key(0), normalized_edges(near), 5)
    np.testing.assert_allclose(found.values, [1, -1], atol=1e-5)
    assert np.isfinite(found.vectors).all()


@pytest.mark.parametrize("graph", ["blobs", "star"])
def test_edges_sorted_a_few_at_a_time_are_those_sorted_at_once(neighbors, graph, monkeypatch):
    near = neighbors if graph == "blobs" else star()
    whole = normalized_edges(near)
    monkeypatch.setattr("idc_jax.ops.edges._ROWS", 16)
    for found, wanted in zip(normalized_edges(near), whole, strict=True):
        np.testing.assert_array_equal(found, wanted)
