"""Rows and columns that are replaced a few at a time, and bases made by blocks of rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.ops import blocks, orthonormal, spectral
from idc_jax.ops.edges import normalized_edges
from idc_jax.ops.graph import distances2_along, smooth


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(0), (50, 7))


@pytest.fixture
def few_columns(monkeypatch):
    monkeypatch.setattr(blocks, "_COLUMNS", 0)
    monkeypatch.setattr(blocks, "_FEWEST", 3)
    monkeypatch.setattr(blocks, "_FOURS", 1)
    for program in (smooth, distances2_along, spectral.leading_eigenpairs):
        program.clear_cache()
    yield
    for program in (smooth, distances2_along, spectral.leading_eigenpairs):
        program.clear_cache()


@pytest.mark.parametrize("block", [8, 25, 50])
def test_every_row_is_replaced_once(x, block):
    def function(number, fresh, rows, more):
        del fresh
        return 2.0 * rows + more[number]

    more = jnp.arange(7.0)
    wanted = 2.0 * x + (jnp.arange(50) // block)[:, None]
    np.testing.assert_allclose(blocks.replace_rows(function, x, block, (more,)), wanted)


def test_columns_are_divided_evenly():
    wide = [blocks.num_columns(2**24, width) for width in (3, 16, 20, 36, 128)]
    assert wide == [3, 16, 12, 12, 16]
    assert blocks.num_columns(100, 36) == 36


@pytest.mark.usefixtures("few_columns")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_every_column_is_replaced_once_in_float32(x, dtype):
    widths = []

    def function(columns):
        widths.append(columns.shape[1])
        assert columns.dtype == jnp.float32
        return 2.0 * columns

    found = blocks.replace_columns(function, x.astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, 2.0 * x.astype(dtype))
    assert set(widths) == {3}


@pytest.mark.parametrize("widths", ["whole", "few_columns"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_distances_along_a_graph_are_added_up(x, dtype, widths, request):
    if widths == "few_columns":
        request.getfixturevalue(widths)
    x, near = x.astype(dtype), jax.random.randint(jax.random.key(1), (50, 4), 0, 50)
    wide = np.asarray(x, np.float64)
    wanted = np.square(wide[:, None] - wide[np.asarray(near)]).sum((1, 2))
    np.testing.assert_allclose(distances2_along(x, near), wanted, rtol=1e-5)


def test_a_basis_by_blocks_is_orthonormal_and_spans_the_same(x, monkeypatch):
    monkeypatch.setattr(orthonormal, "_ROWS", 16)
    # A GPU's own products are rounder than what is checked here.
    basis, x = np.asarray(orthonormal.orthonormal(x)), np.asarray(x)
    np.testing.assert_allclose(basis.T @ basis, np.eye(7), atol=1e-5)
    np.testing.assert_allclose(basis @ (basis.T @ x), x, atol=1e-5)


def test_eigenpairs_a_few_columns_at_a_time_are_those_of_all(request, monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(8, 6))[np.arange(300) % 8] * 2 + rng.normal(size=(300, 6))
    edges = normalized_edges(ops.knn(jnp.asarray(points, jnp.float32), 7))
    find = lambda: spectral.leading_eigenpairs(jax.random.key(0), edges, 8)  # noqa: E731
    whole = find()
    request.getfixturevalue("few_columns")
    monkeypatch.setattr(orthonormal, "_ROWS", 64)
    monkeypatch.setattr(spectral, "_ROWS", 64)
    found = find()
    np.testing.assert_allclose(found.values, whole.values, atol=1e-5)
    overlap = np.linalg.svd(np.asarray(found.vectors).T @ np.asarray(whole.vectors))[1]
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "atol", "spare"), [(jnp.float16, 1e-4, 5e-4), (jnp.bfloat16, 1e-3, 3e-3)]
)
def test_vectors_of_half_precision_are_nearly_those_of_float32(dtype, atol, spare, monkeypatch):
    # Many, over which the roundings of single numbers even out.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(8, 6))[np.arange(1200) % 8] * 2 + rng.normal(size=(1200, 6))
    edges = normalized_edges(ops.knn(jnp.asarray(points, jnp.float32), 7))
    monkeypatch.setattr(spectral, "_SPARE", 8)
    wanted, found = (
        spectral.leading_subspace(jax.random.key(0), edges, 8, rounds=8, dtype=kind)
        for kind in (jnp.float32, dtype)
    )
    assert found.vectors.dtype == dtype
    np.testing.assert_allclose(found.values[8:], wanted.values[8:], atol=atol)
    # The spare ones are not settled.
    np.testing.assert_allclose(found.values[:8], wanted.values[:8], atol=spare)
    vectors = [np.asarray(a.vectors, np.float32)[:, 8:] / 1200**0.5 for a in (wanted, found)]
    np.testing.assert_allclose(np.linalg.norm(vectors[1], axis=0), 1, atol=1e-3)
    overlap = np.linalg.svd(vectors[0].T @ vectors[1])[1]
    np.testing.assert_allclose(overlap, 1, atol=6 * atol)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_smoothing_a_few_columns_at_a_time_is_that_of_all(request, x, dtype):
    near = ops.knn(x, 4)
    whole = smooth(x, near, hops=2)
    request.getfixturevalue("few_columns")
    found = smooth(x.astype(dtype), near, hops=2)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, whole, atol=1e-6 if dtype == jnp.float32 else 2e-3)
