"""The approximate search: rows of half precision, views along few axes, and its parts."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import ops
from idc_jax.errors import UserError
from idc_jax.ops import approximate, arrays, binned, parts, probing, views

N, D, K = 1500, 32, 5


def flat_points(noise=0.01):
    """Near a plane of four dimensions."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 4)) @ rng.standard_normal((4, D))
    return (x + noise * rng.standard_normal((N, D)) + 3.0).astype(np.float32)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_finds_what_a_float32_copy_does(kind):
    narrow = jnp.asarray(flat_points(), kind)
    wide = narrow.astype(jnp.float32)
    found, wanted = (ops.approximate_knn(x, K, recall=0.9, cell=32) for x in (narrow, wide))
    np.testing.assert_array_equal(found.indices, wanted.indices)
    # A GPU's compiler rounds the two programs differently.
    rounding = 0 if jax.default_backend() == "cpu" else 1e-6
    np.testing.assert_allclose(found.distances2, wanted.distances2, rtol=rounding)
    assert found.distances2.dtype == jnp.float32
    reached = [float(ops.recall(jax.random.key(0), x, wanted, 200)) for x in (narrow, wide)]
    assert reached[0] == reached[1] > 0.88


@pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="a GPU's products take more room than such a copy"
)
def test_no_float32_copy_of_rows_of_half_precision():
    x = jax.ShapeDtypeStruct((60_000, D), jnp.float16)
    program = jax.jit(lambda x: ops.approximate_knn(x, K, probes=2)).lower(x).compile()
    # The points of the cells, in float32, and less than once more for all the rest.
    assert program.memory_analysis().temp_size_in_bytes < 2 * 60_000 * D * 4 + approximate._KEPT * 4


def test_a_batch_is_no_larger_than_fills_the_products(monkeypatch):
    visits, found = [], approximate._found

    def counted(x, cells, own, **how):
        num_cells, size, _ = cells.points.shape
        visits.append(len(own) * size * how["probes"] / num_cells)
        return found(x, cells, own, **how)

    monkeypatch.setattr(approximate, "_found", counted)
    rng = np.random.default_rng(0)
    ops.approximate_knn(jnp.asarray(rng.normal(size=(12_000, 8)), jnp.float32), K, probes=24)
    # Half of a cell's visits are in one product.
    assert len(visits) > 1
    assert approximate._MOST / 2 <= max(visits) <= 1.1 * approximate._MOST


def test_nothing_of_a_search_is_kept():
    x = jnp.asarray(flat_points())
    held = lambda: sum(a.nbytes for a in jax.live_arrays() if a.size >= N)  # noqa: E731
    gc.collect()
    before = held()
    found = ops.approximate_knn(x, K, cell=32)
    gc.collect()
    assert held() - before == sum(a.nbytes for a in found)


def test_a_program_may_close_over_the_points():
    x = jnp.asarray(flat_points())
    found = jax.jit(lambda: ops.approximate_knn(x, K, cell=32).indices)()
    np.testing.assert_array_equal(found, ops.approximate_knn(x, K, cell=32).indices)


def test_half_precision_that_is_not_finite_is_refused():
    x = flat_points().astype(np.float16)
    x[7] = np.inf
    with pytest.raises(UserError, match=r"row\(s\) 7;"):
        ops.approximate_knn(x, K, cell=32)


def view_of_all(x):
    return views.View(jnp.mean(x, axis=0))


def test_a_view_keeps_the_axes_in_which_rows_differ():
    x = jnp.asarray(flat_points())
    (view,) = views.principal(view_of_all(x), x, near2=1.0)
    assert view.of(x).shape == (N, 16)
    gaps = lambda x: np.square(np.asarray(x[:50, None] - x[None, :50])).sum(-1)  # noqa: E731
    np.testing.assert_allclose(gaps(view.of(x)), gaps(x), atol=0.02)
    # As much in every direction: there is nothing to leave out.
    ball = jax.random.normal(jax.random.key(0), (N, D))
    assert not list(views.principal(view_of_all(ball), ball, near2=1.0))


def test_a_view_that_loses_neighbours_is_told_from_one_that_does_not():
    x, rows = jnp.asarray(flat_points()), jnp.arange(0, N, 10)
    view = view_of_all(x)
    true = probing.true_neighbors(x, view, rows, K)
    np.testing.assert_array_equal(true.indices, np.asarray(ops.knn(x, K).indices)[rows])
    axes = jnp.linalg.svd(view.of(x), full_matrices=False)[2].T
    assert probing.share_lost(x, view, rows, true.indices) == 0.0
    lost = [
        probing.share_lost(x, view._replace(axes=axes[:, :m]), rows, true.indices) for m in (4, 1)
    ]
    assert lost[0] < 0.01 < 0.5 < lost[1]


def test_a_search_along_few_axes_reaches_the_recall_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(
        approximate, "cut", lambda x, view, size: seen.append(view) or cut(x, view, size)
    )
    x = flat_points()
    found = ops.approximate_knn(x, K, recall=0.9, cell=32)
    assert seen[0].axes.shape == (D, 16)
    exact = np.asarray(ops.knn(x, K).indices)
    pairs = zip(exact, np.asarray(found.indices), strict=True)
    assert np.mean([np.isin(a, b).mean() for a, b in pairs]) >= 0.9
    gaps = np.square(x[:, None] - x[np.asarray(found.indices)]).sum(-1)
    np.testing.assert_allclose(found.distances2, gaps, rtol=1e-5)


cut = approximate.cut


def test_probes_of_five_significant_bits():
    share = np.tile(np.minimum(np.arange(1, 101) / 75, 1.0), (9, 1))
    assert probing.probes_for(share, 1.0) == 76
    assert probing.probes_for(share, 0.19) == 15
    assert probing.probes_for(0.5 * share, 0.9) == 100


def test_best_of_bins_by_the_definition():
    scores = np.random.default_rng(0).standard_normal((7, 64)).astype(np.float32)
    best = binned.best_of_bins(jnp.asarray(scores), 4)
    columns = binned.column_of(best, jnp.arange(16), 16, 4)
    bins = scores.reshape(7, 4, 16)
    np.testing.assert_array_equal(columns, bins.argmax(1) * 16 + np.arange(16))
    np.testing.assert_allclose(best, bins.max(1), rtol=1e-6)


def test_parts_are_collected_alike_traced_and_not():
    numbers = parts.cut_in_parts(10, 4)
    assert numbers.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]

    def squares(x):
        found = lambda part: (part, x[part] ** 2)  # noqa: E731
        return parts.collect(jax.jit(found), numbers, jnp.zeros(10), x)

    x = jnp.arange(10.0)
    assert squares(x).tolist() == jax.jit(squares)(x).tolist() == [i**2 for i in range(10)]


@pytest.mark.parametrize("row", [0, 5000, 8999])
@pytest.mark.parametrize("value", [np.nan, np.inf, -7.0])
def test_the_largest_of_many_narrow_rows_is_that_of_all(row, value):
    x = jnp.ones((9000, 2), jnp.bfloat16).at[row, 1].set(value)
    for rows in (x, x.astype(jnp.float32)):
        np.testing.assert_equal(
            arrays.largest_of(rows), abs(value) if np.isfinite(value) else np.nan
        )


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32])
def test_the_largest_of_rows_is_found_without_a_copy_of_them(dtype):
    rows = jax.ShapeDtypeStruct((10**6, 64), dtype)
    program = arrays._largest_by_blocks.lower(rows).compile()
    assert program.memory_analysis().temp_size_in_bytes < 2 * 10**6


def test_one_number_that_is_not_finite_among_many_is_refused():
    x = jnp.ones((9000, 64)).at[8999, 63].set(jnp.nan)
    with pytest.raises(UserError, match=r"row\(s\) 8999;"):
        ops.kmeans(jax.random.key(0), x, 3)
