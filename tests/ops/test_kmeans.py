import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

from idc_jax import ops
from idc_jax.errors import UserError

# The module, whose name in the package is taken by its function.
lloyds = importlib.import_module("idc_jax.ops.kmeans")

KEY = 3


def blobs(n=240, clusters=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, clusters, n)
    centers = 8.0 * rng.standard_normal((clusters, 5))
    return (centers[labels] + rng.standard_normal((n, 5))).astype(np.float32), labels


def test_two_pairs_by_hand():
    found = ops.kmeans(jax.random.key(0), jnp.array([[0.0], [1.0], [10.0], [11.0]]), 2)
    assert sorted(found.centers[:, 0].tolist()) == [0.5, 10.5]
    assert float(found.inertia) == pytest.approx(1.0)


def test_inertia_is_no_worse_than_sklearn():
    # Without any structure, so that starts matter.
    x = np.random.default_rng(1).standard_normal((240, 5)).astype(np.float32)
    ours = ops.kmeans(jax.random.key(KEY), x, 4)
    theirs = KMeans(4, n_init=10, random_state=0).fit(x).inertia_
    assert float(ours.inertia) <= theirs * 1.01
    own = np.asarray(ours.centers)[np.asarray(ours.assignments)]
    assert float(ours.inertia) == pytest.approx(((x - own) ** 2).sum(), rel=1e-4)


def test_sums_by_product_and_by_scattering_agree(monkeypatch):
    x, labels = blobs()
    dense = lloyds.cluster_sums(jnp.asarray(x), jnp.asarray(labels), 5)
    monkeypatch.setattr(lloyds, "_DENSE_SUMS", 0)
    scattered = lloyds.cluster_sums(jnp.asarray(x), jnp.asarray(labels), 5)
    for a, b in zip(dense, scattered, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_starts_from_a_sample_on_many_points(monkeypatch):
    x, _ = blobs()
    expected = ops.kmeans(jax.random.key(KEY), x, 4).inertia
    monkeypatch.setattr(lloyds, "_SAMPLE", 60)
    part = lloyds.sample_of(jax.random.key(0), jnp.asarray(x), 1)
    assert part.shape == (60, 5)
    # Another number of iterations compiles anew, with the smaller sample.
    found = ops.kmeans(jax.random.key(KEY), x, 4, max_iterations=99)
    assert float(found.inertia) == pytest.approx(float(expected), rel=1e-3)


def test_mini_batches_come_close():
    x, _ = blobs()
    full = ops.kmeans(jax.random.key(KEY), x, 4)
    small = ops.kmeans(jax.random.key(KEY), x, 4, batch_size=64)
    assert float(full.inertia) <= float(small.inertia) * 1.001
    assert float(small.inertia) <= 1.1 * float(full.inertia)


def test_no_cluster_stays_empty():
    x = jnp.asarray(blobs()[0])
    # All centres but one start where no point is nearest.
    far = jnp.full((5, 5), 1e3).at[0].set(0.0)
    found = lloyds.lloyd(x, far, 50, 1e-4)
    assert (np.bincount(found.assignments, minlength=5) > 0).all()


def test_as_many_clusters_as_points():
    assert float(ops.kmeans(jax.random.key(0), jnp.arange(4.0)[:, None], 4).inertia) < 1e-6


def test_constant_points():
    assert float(ops.kmeans(jax.random.key(0), jnp.ones((4, 1)), 2).inertia) == 0.0


def test_number_of_clusters_is_checked():
    with pytest.raises(UserError, match="num_clusters is 7; it must be from 1 to 5"):
        ops.kmeans(jax.random.key(0), jnp.ones((5, 2)), 7)


def test_labelled_points_stay_and_name_their_clusters():
    x, truth = blobs()
    labels = np.where(np.arange(len(x)) < 40, truth, -1)
    labels[truth == 3] = -1  # a class that no label names
    labels[0] = (truth[0] + 1) % 3  # a wrong label is obeyed
    found = ops.semi_supervised_kmeans(jax.random.key(0), x, 4, labels)
    known = labels >= 0
    np.testing.assert_array_equal(np.asarray(found.assignments)[known], labels[known])
    assert (np.asarray(found.assignments) == truth).mean() > 0.98


def test_no_labels_is_kmeans():
    x, _ = blobs()
    found = ops.semi_supervised_kmeans(jax.random.key(KEY), x, 4, jnp.full(len(x), -1))
    assert float(found.inertia) == pytest.approx(
        float(ops.kmeans(jax.random.key(KEY), x, 4).inertia), rel=1e-3
    )


def test_labels_are_checked():
    with pytest.raises(UserError, match="labels are -1 to 4"):
        ops.semi_supervised_kmeans(jax.random.key(0), jnp.ones((3, 1)), 2, jnp.array([-1, 0, 4]))


def test_spherical_looks_at_directions_only():
    rng = np.random.default_rng(0)
    angles = np.repeat([0.0, 2.0, 4.0], 20) + 0.1 * rng.standard_normal(60)
    x = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.1, 10, (60, 1))
    found = ops.spherical_kmeans(jax.random.key(0), x, 3)
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1.0, rtol=1e-5)
    groups = np.asarray(found.assignments).reshape(3, 20)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0])) == 3


def test_contingency_counts_and_passes_over_unknown():
    table = ops.contingency(jnp.array([0, 0, 1, -1]), jnp.array([1, 1, 0, 0]), 3, 2)
    assert table.tolist() == [[0, 2], [1, 0], [0, 0]]


def test_normalize_has_a_gradient_at_zero():
    gradient = jax.grad(lambda x: ops.normalize(x).sum())(jnp.zeros((2, 3)))
    assert bool(jnp.isfinite(gradient).all())
    np.testing.assert_allclose(ops.normalize(jnp.array([[3.0, 4.0]])), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("clusters", [4, 150])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_clustered_as_its_float32_copy(dtype, clusters):
    x = jnp.asarray(blobs(20_000)[0], dtype)
    found, wanted = (
        ops.kmeans(jax.random.key(KEY), rows, clusters, restarts=2, max_iterations=5)
        for rows in (x, x.astype(jnp.float32))
    )
    assert found.centers.dtype == jnp.float32
    np.testing.assert_allclose(found.inertia, wanted.inertia, rtol=1e-3)
    np.testing.assert_allclose(found.centers, wanted.centers, atol=0.05)


def test_half_precision_is_never_all_float32():
    x = jnp.zeros((40_000, 64), jnp.float16)
    run = lambda x: ops.kmeans(jax.random.key(KEY), x, 8)  # noqa: E731
    plan = jax.jit(run).lower(x).compile().memory_analysis()
    assert plan.temp_size_in_bytes < 0.9 * 4 * x.size
