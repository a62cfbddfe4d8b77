"""DSAC's losses against plain NumPy written from the equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import losses


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    return {
        "embeddings": rng.normal(size=(8, 4)).astype(np.float32),
        "centers": rng.normal(size=(8, 4)).astype(np.float32),
        "logits": rng.normal(size=(8, 3)).astype(np.float32),
        "targets": rng.integers(0, 3, 8),
        "weights": rng.uniform(0.1, 2, 8).astype(np.float32),
        "mask": np.array([1, 1, 0, 1, 0, 1, 1, 0], bool),
    }


def np_self_paced(embeddings, centers, scale):
    total = 0.0
    for row, center in zip(embeddings, centers, strict=True):
        d = ((row - center) ** 2).sum()
        total += max(1 - d / scale, 0) * d
    return total / len(embeddings)


def test_self_paced_matches_the_reference(batch):
    kept = batch["mask"]
    expected = np_self_paced(batch["embeddings"][kept], batch["centers"][kept], 9.0)
    got = losses.self_paced(batch["embeddings"], batch["centers"], jnp.float32(9.0), kept)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_self_paced_by_hand():
    """d = 1, 4, 16 with λ = 8: w = 7/8, 1/2, 0; the gradient is 2 w x / 3."""
    x = jnp.array([[1.0], [2.0], [4.0]])
    zeros = jnp.zeros((3, 1))
    value, slope = jax.value_and_grad(losses.self_paced)(
        x, zeros, jnp.float32(8.0), jnp.ones(3, bool)
    )
    np.testing.assert_allclose(value, (7 / 8 + 2) / 3, rtol=1e-6)
    np.testing.assert_allclose(slope[:, 0], [2 * 7 / 8 / 3, 2 * 0.5 * 2 / 3, 0], rtol=1e-6)


def test_self_paced_gradient_is_that_of_the_full_objective(batch):
    """w d + λ(w²/2 − w) at its minimising w has the gradient w ∇d: finite differences agree."""

    def full(embeddings):
        d = ((embeddings - batch["centers"].astype(np.float64)) ** 2).sum(1)
        w = np.maximum(1 - d / 9.0, 0)
        return np.mean(w * d + 9.0 * (w**2 / 2 - w))

    x = batch["embeddings"].astype(np.float64)
    numeric = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-5
        numeric[place] = (full(x + step) - full(x - step)) / 2e-5
    slope = jax.grad(losses.self_paced)(
        batch["embeddings"], batch["centers"], jnp.float32(9.0), np.ones(8, bool)
    )
    np.testing.assert_allclose(slope, numeric, rtol=1e-3, atol=1e-5)


def test_self_paced_with_zero_scale_counts_only_rows_on_their_centre():
    x = jnp.array([[0.0], [2.0]])
    value, slope = jax.value_and_grad(losses.self_paced)(
        x, jnp.zeros((2, 1)), jnp.float32(0.0), jnp.ones(2, bool)
    )
    assert value == 0.0
    np.testing.assert_array_equal(slope, 0.0)


def test_weighted_class_matches_the_reference(batch):
    expected = []
    for i in np.flatnonzero(batch["mask"]):
        row = batch["logits"][i]
        expected.append(
            batch["weights"][i] * -np.log(np.exp(row[batch["targets"][i]]) / np.exp(row).sum())
        )
    got = losses.weighted_class(batch["logits"], batch["targets"], batch["weights"], batch["mask"])
    np.testing.assert_allclose(got, np.mean(expected), rtol=1e-5)


def test_weighted_center_matches_the_reference(batch):
    kept, targets = np.flatnonzero(batch["mask"]), batch["targets"]
    means, counts = losses.class_means(batch["embeddings"], targets, batch["mask"], 3)
    expected = []
    for i in kept:
        same = [j for j in kept if targets[j] == targets[i]]
        center = batch["embeddings"][same].mean(0)
        np.testing.assert_allclose(means[targets[i]], center, rtol=1e-5)
        assert counts[targets[i]] == len(same)
        expected.append(batch["weights"][i] * ((batch["embeddings"][i] - center) ** 2).sum())
    got = losses.weighted_center(
        batch["embeddings"], means[targets], batch["weights"], batch["mask"]
    )
    np.testing.assert_allclose(got, np.mean(expected), rtol=1e-5)


def loss_cases(batch):
    b = batch
    return {
        "class": (
            b["logits"],
            lambda x, m: losses.weighted_class(x, b["targets"], b["weights"], m),
        ),
        "center": (
            b["embeddings"],
            lambda x, m: losses.weighted_center(x, b["centers"], b["weights"], m),
        ),
        "self-paced": (
            b["embeddings"],
            lambda x, m: losses.self_paced(x, b["centers"], jnp.float32(9.0), m),
        ),
    }


@pytest.mark.parametrize("name", ["class", "center"])
def test_gradients_match_finite_differences(batch, name):
    x, loss = loss_cases(batch)[name]
    slope_of = jax.jit(jax.value_and_grad(loss))
    _, slope = slope_of(x, batch["mask"])
    for direction in np.random.default_rng(3).normal(size=(3, *x.shape)).astype(np.float32):
        step = 1e-2 * direction
        numeric = slope_of(x + step, batch["mask"])[0] - slope_of(x - step, batch["mask"])[0]
        np.testing.assert_allclose(2 * np.vdot(slope, step), numeric, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", ["class", "center", "self-paced"])
def test_padding_may_hold_anything(batch, name):
    x, loss = loss_cases(batch)[name]
    dirty = np.where(batch["mask"][:, None], x, np.nan)
    compiled = jax.jit(jax.value_and_grad(loss))
    clean = compiled(x, batch["mask"])
    np.testing.assert_allclose(clean[0], loss(x, batch["mask"]), rtol=1e-6)
    value, slope = compiled(dirty, batch["mask"])
    np.testing.assert_allclose(value, clean[0], rtol=1e-5)
    np.testing.assert_allclose(slope, clean[1], rtol=1e-4, atol=1e-6)
    empty, slope = compiled(x, np.zeros(8, bool))
    assert empty == 0.0
    np.testing.assert_array_equal(slope, 0.0)


def test_class_without_rows_has_a_zero_mean():
    means, counts = losses.class_means(
        jnp.ones((2, 3)), jnp.array([1, 1]), jnp.array([True, False]), 3
    )
    np.testing.assert_array_equal(counts, [0, 1, 0])
    np.testing.assert_array_equal(means, [[0, 0, 0], [1, 1, 1], [0, 0, 0]])
