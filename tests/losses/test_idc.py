"""IDC's losses against plain NumPy written from the equations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from idc_jax import losses

C = 5


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        "logits": rng.normal(size=(9, C)).astype(np.float32) * 2,
        "targets": rng.integers(0, C, 9),
        "mask": np.array([1, 0, 1, 1, 0, 1, 1, 1, 0], bool),
        "candidates": np.stack([rng.permutation(C)[:3] for _ in range(9)]),
    }


def np_softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def np_ce(logits, targets):
    return np.array([-np.log(np_softmax(row)[t]) for row, t in zip(logits, targets, strict=True)])


def np_balanced(values, targets):
    return np.mean([values[targets == k].mean() for k in np.unique(targets)])


@pytest.mark.parametrize("balanced", [False, True])
def test_positive_is_the_mean_over_the_masked_rows(batch, balanced):
    kept = batch["mask"]
    values = np_ce(batch["logits"][kept], batch["targets"][kept])
    expected = np_balanced(values, batch["targets"][kept]) if balanced else values.mean()
    got = losses.positive(batch["logits"], batch["targets"], kept, balanced=balanced)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_class_balanced_equals_torch_weighted_cross_entropy(batch):
    """Weights n/n_c in a weighted mean make every present class count the same."""
    targets = batch["targets"]
    values = np_ce(batch["logits"], targets)
    weights = len(targets) / np.bincount(targets, minlength=C).clip(1)[targets]
    got = losses.positive(batch["logits"], targets, np.ones(9, bool), balanced=True)
    np.testing.assert_allclose(got, (weights * values).sum() / weights.sum(), rtol=1e-5)


def test_negative_without_a_key_averages_the_rejected(batch):
    candidates = batch["candidates"].copy()
    candidates[0, 2] = candidates[2, 1] = -1
    probs = np_softmax(batch["logits"])
    rows = [
        np.mean([-np.log(max(1 - probs[i, j], 1e-5)) for j in candidates[i] if j >= 0])
        for i in np.flatnonzero(batch["mask"])
    ]
    got = losses.negative(batch["logits"], candidates, batch["mask"], key=None)
    np.testing.assert_allclose(got, np.mean(rows), rtol=1e-5)


def test_drawn_negative_averages_to_the_expectation(batch):
    candidates = batch["candidates"].copy()
    candidates[0, 2] = -1
    keys = jax.random.split(jax.random.key(0), 4000)
    draw = jax.vmap(
        lambda key: losses.negative(batch["logits"], candidates, batch["mask"], key=key)
    )
    expected = losses.negative(batch["logits"], candidates, batch["mask"], key=None)
    np.testing.assert_allclose(draw(keys).mean(), expected, rtol=0.02)


def test_negative_is_floored_at_certainty():
    logits = jnp.array([[80.0, 0.0]])
    ones = jnp.ones(1, bool)
    value, slope = jax.value_and_grad(losses.negative)(logits, jnp.array([[0]]), ones, key=None)
    np.testing.assert_allclose(value, -math.log(1e-5), rtol=1e-5)
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("balanced", [False, True])
def test_regularisation_counts_only_pseudo_labels(batch, balanced):
    pseudo = np.where(np.arange(9) % 3 == 0, -1, batch["targets"])
    kept = batch["mask"] & (pseudo >= 0)
    values = np_ce(batch["logits"][kept], pseudo[kept])
    paper = values.sum() / batch["mask"].sum()
    expected = np_balanced(values, pseudo[kept]) if balanced else paper
    got = losses.regularisation(batch["logits"], pseudo, batch["mask"], balanced=balanced)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def loss_cases(batch):
    t, c = batch["targets"], batch["candidates"]
    key = jax.random.key(1)
    return {
        "positive": lambda x, m: losses.positive(x, t[: len(x)], m, balanced=False),
        "positive-balanced": lambda x, m: losses.positive(x, t[: len(x)], m, balanced=True),
        "negative": lambda x, m: losses.negative(x, c[: len(x)], m, key=None),
        "negative-drawn": lambda x, m: losses.negative(x, c[: len(x)], m, key=key),
        "regularisation": lambda x, m: losses.regularisation(x, t[: len(x)], m, balanced=False),
        "reg-balanced": lambda x, m: losses.regularisation(x, t[: len(x)], m, balanced=True),
    }


CASES = list(loss_cases({"targets": None, "candidates": None}))


@pytest.mark.parametrize("name", CASES)
def test_gradients_match_finite_differences(batch, name):
    loss = loss_cases(batch)[name]
    check_grads(
        lambda x: loss(x, batch["mask"]), (batch["logits"],), 1, ["rev"], atol=1e-2, rtol=1e-2
    )


@pytest.mark.parametrize("name", CASES)
def test_padding_may_hold_anything(batch, name):
    """NaN outside the mask changes neither value nor gradient, and empty gives 0."""
    loss = loss_cases(batch)[name]
    dirty = np.where(batch["mask"][:, None], batch["logits"], np.nan)
    clean = jax.value_and_grad(loss)(batch["logits"], batch["mask"])
    value, slope = jax.jit(jax.value_and_grad(loss))(dirty, batch["mask"])
    np.testing.assert_allclose(value, clean[0], rtol=1e-5)
    np.testing.assert_allclose(slope, clean[1], rtol=1e-4, atol=1e-6)
    empty, slope = jax.value_and_grad(loss)(batch["logits"], np.zeros(9, bool))
    assert empty == 0.0
    np.testing.assert_array_equal(slope, 0.0)


def test_masked_rows_equal_the_subset(batch):
    mask = np.arange(9) < 6
    for name in ("positive", "positive-balanced", "negative", "regularisation", "reg-balanced"):
        loss = loss_cases(batch)[name]
        whole = loss(batch["logits"], mask)
        np.testing.assert_allclose(whole, loss(batch["logits"][:6], mask[:6]), rtol=1e-5)


def np_store_step(store, indices, probs, fraction, threshold):
    store = store.copy()
    quota = math.ceil(fraction * len(indices) / probs.shape[1])
    labels, confidence = probs.argmax(1), probs.max(1)
    proposals = {}
    for k in range(probs.shape[1]):
        members = sorted(np.flatnonzero(labels == k), key=lambda i: -confidence[i])[:quota]
        proposals.update({i: k for i in members if confidence[i] > threshold})
    for row, index in enumerate(indices):
        if store[index] == -1 and row in proposals:
            store[index] = proposals[row]
        if confidence[row] < threshold:
            store[index] = -1
    return store


def test_store_follows_the_reference_over_many_steps():
    rng = np.random.default_rng(3)
    step = jax.jit(losses.update_pseudo_labels, static_argnames=("fraction", "threshold"))
    expected = np.full(40, -1, np.int32)
    got = jnp.asarray(expected)
    for _ in range(8):
        indices = rng.permutation(40)[:20]
        probs = np_softmax(rng.normal(size=(20, 3)).astype(np.float32) * 5)
        expected = np_store_step(expected, indices, probs, 0.2, 0.9)
        got = step(got, indices, probs, np.ones(20, bool), fraction=0.2, threshold=0.9)
        np.testing.assert_array_equal(got, expected)
    assert (expected >= 0).any()
    assert (expected < 0).any()


def test_store_keeps_a_label_whose_prediction_changed_and_ignores_padding():
    probs = jnp.array([[0.001, 0.999], [0.999, 0.001], [0.5, 0.5]])
    store = jnp.array([0, -1, 1], jnp.int32)
    mask = jnp.array([True, False, True])
    got = losses.update_pseudo_labels(
        store, jnp.array([0, 1, 2]), probs, mask, fraction=1.0, threshold=0.99
    )
    np.testing.assert_array_equal(got, [0, -1, -1])


def test_confident_labels_need_more_than_the_threshold():
    probs = jnp.array([[0.995, 0.005], [0.5, 0.5], [0.2, 0.8]])
    np.testing.assert_array_equal(losses.confident_labels(probs, threshold=0.75), [0, -1, 1])
