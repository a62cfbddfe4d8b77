"""IPC's pair loss against float64 NumPy written from the equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import losses

B, C = 7, 4


def _total(first, second, same, mask):
    found = losses.pair_loss(first, second, same, mask)
    return found.sum(), found


# Compiled once for all tests.
GRADS = jax.jit(jax.value_and_grad(_total, argnums=(0, 1), has_aux=True))


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        "first": rng.normal(size=(B, C)).astype(np.float32) * 2,
        "second": rng.normal(size=(B, C)).astype(np.float32) * 2,
        "same": np.array([1, 0, 1, 0, 0, 1, 0], bool),
        "mask": np.array([1, 1, 0, 1, 1, 1, 0], bool),
    }


def cost(batch):
    """The losses ``[b]``, and their gradients by either's logits."""
    (_, found), slopes = GRADS(*batch.values())
    return np.asarray(found), [np.asarray(slope) for slope in slopes]


def softmax(x):
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(first, second, same):
    found = []
    for p, q, one in zip(softmax(first), softmax(second), same, strict=True):
        terms = [
            p[k] * np.log(q[k] if one else 1 - q[k]) + q[k] * np.log(p[k] if one else 1 - p[k])
            for k in range(len(p))
        ]
        found.append(-sum(terms) / 2)
    return np.array(found)


def test_it_is_the_papers_formula(batch):
    expected = reference(batch["first"], batch["second"], batch["same"])
    got, _ = cost(batch)
    np.testing.assert_allclose(got, np.where(batch["mask"], expected, 0), rtol=2e-6)
    np.testing.assert_allclose(losses.pair_loss(**batch), got, rtol=1e-6)
    # Who is first does not matter.
    turned, _ = cost(batch | {"first": batch["second"], "second": batch["first"]})
    np.testing.assert_allclose(turned, got, rtol=1e-6)


def test_by_hand(batch):
    sure, even = np.eye(C)[np.zeros(B, int)] * 30, np.zeros((B, C))
    other = np.roll(sure, 1, axis=1)
    for first, second, same, expected in (
        (even, even, True, np.log(C)),
        (even, even, False, -np.log(1 - 1 / C)),
        (sure, sure, True, 0.0),
        (sure, other, False, 0.0),
        (sure, other, True, 30.0),
    ):
        logits = {"first": first.astype(np.float32), "second": second.astype(np.float32)}
        got, _ = cost(batch | logits | {"same": np.full(B, same)})
        np.testing.assert_allclose(got[batch["mask"]], expected, rtol=1e-5, atol=1e-5)


def test_its_gradient_is_that_of_its_value(batch):
    _, slopes = cost(batch)
    step = 1e-5
    for place, slope in enumerate(slopes):
        for row, k in np.ndindex(slope.shape):
            values = []
            for sign in (1, -1):
                moved = [batch[name].astype(np.float64) for name in ("first", "second")]
                moved[place][row, k] += sign * step
                values.append(reference(*moved, batch["same"])[row])
            numeric = batch["mask"][row] * (values[0] - values[1]) / (2 * step)
            np.testing.assert_allclose(slope[row, k], numeric, rtol=1e-4, atol=1e-6)


def test_a_wholly_wrong_pair_still_learns(batch):
    # Both are sure of one output to the last digit of float32, and were said to differ.
    logits = (np.eye(C)[np.zeros(B, int)] * 60).astype(np.float32)
    batch |= {"first": logits, "second": logits, "same": np.zeros(B, bool)}
    got, slopes = cost(batch)
    np.testing.assert_allclose(got[batch["mask"]], 60 - np.log(C - 1), rtol=1e-6)
    for slope in slopes:
        expected = [0.5, *[-0.5 / (C - 1)] * (C - 1)]
        np.testing.assert_allclose(slope[batch["mask"]], np.tile(expected, (5, 1)), rtol=1e-5)


def test_what_is_masked_may_be_anything(batch):
    kept = batch["mask"]
    expected, clean = cost(batch)
    dirty = {name: np.where(kept[:, None], batch[name], np.nan) for name in ("first", "second")}
    got, slopes = cost(batch | dirty)
    np.testing.assert_array_equal(got, expected)
    for slope, without in zip(slopes, clean, strict=True):
        np.testing.assert_array_equal(slope, without)
        np.testing.assert_array_equal(slope[~kept], 0)


def test_no_pair_costs_nothing(batch):
    got, slopes = cost(batch | {"mask": np.zeros(B, bool)})
    for value in (got, *slopes):
        np.testing.assert_array_equal(value, 0)


def test_vmap_equals_the_loop(batch):
    stacked = {name: np.stack([value, value[::-1]]) for name, value in batch.items()}
    together = jax.jit(jax.vmap(losses.pair_loss))(*map(jnp.asarray, stacked.values()))
    for i in range(2):
        alone, _ = cost({name: value[i] for name, value in stacked.items()})
        np.testing.assert_allclose(together[i], alone, rtol=1e-6)
