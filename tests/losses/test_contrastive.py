import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from idc_jax.losses.contrastive import (
    assignment_agreement,
    contrastive_terms,
    instance_contrast,
)


def unit(key, *shape):
    x = jax.random.normal(jax.random.key(key), shape)
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def plain_nt_xent(first, second, temperature, ids=None):
    """The published loss, view by view."""
    items = np.concatenate([first, second]).astype(np.float64)
    count = len(items)
    ids = np.arange(count) if ids is None else np.asarray(ids)
    total = 0.0
    for u in range(count):
        partner = (u + count // 2) % count
        others = [v for v in range(count) if v != u and (v == partner or ids[v] != ids[u])]
        scores = [items[u] @ items[v] / temperature for v in others]
        total += np.log(np.sum(np.exp(scores))) - items[u] @ items[partner] / temperature
    return total / count


def test_two_orthogonal_samples_by_hand():
    # Each of the four views sees its partner at 1 and two negatives at 0: log(e + 2) - 1.
    views = jnp.eye(2)
    loss = instance_contrast(views, views, jnp.ones(2, bool), temperature=1.0)
    np.testing.assert_allclose(loss, np.log(np.e + 2) - 1, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
@pytest.mark.parametrize("ids", [None, [0, 1, 2, 3, 4, 1, 1, 0, 3, 2]])
def test_equals_the_plain_sum(temperature, ids):
    first, second = unit(0, 5, 7), unit(1, 5, 7)
    array = None if ids is None else jnp.array(ids)
    mask = jnp.ones(5, bool)
    got = instance_contrast(first, second, mask, temperature=temperature, ids=array)
    want = plain_nt_xent(first, second, temperature, ids)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    compiled = jax.jit(instance_contrast, static_argnames="temperature")
    same = compiled(first, second, mask, temperature=temperature, ids=array)
    np.testing.assert_allclose(same, got, rtol=1e-6)


def test_padding_equals_the_subset():
    first, second = unit(0, 6, 4), unit(1, 6, 4)
    mask = jnp.array([True, False, True, True, False, True])
    got = instance_contrast(first, second, mask, temperature=0.5)
    kept = np.flatnonzero(mask)
    want = plain_nt_xent(first[kept], second[kept], 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_agreement_by_hand_and_of_sure_pairs():
    first = jnp.array([[0.5, 0.5], [1.0, 0.0]])
    second = jnp.array([[0.2, 0.8], [1.0, 0.0]])
    got = assignment_agreement(first, second, jnp.array([True, True]))
    np.testing.assert_allclose(got, -np.log(0.5) / 2, rtol=1e-5)
    assert abs(float(assignment_agreement(first, second, jnp.array([False, True])))) < 1e-6


def test_gradients_are_the_finite_differences():
    # The differences are taken of NumPy arrays.
    arrays = lambda *views: map(jnp.asarray, views)  # noqa: E731
    mask = jnp.array([True, True, False, True])
    first, second = unit(0, 4, 3), unit(1, 4, 3)
    probs = jax.nn.softmax(first), jax.nn.softmax(second)
    check_grads(
        lambda a, b: instance_contrast(*arrays(a, b), mask, temperature=0.5),
        (first, second),
        order=1,
        modes=["rev"],
        rtol=2e-2,
    )
    check_grads(
        lambda a, b: assignment_agreement(*arrays(a, b), mask),
        probs,
        order=1,
        modes=["rev"],
        rtol=2e-2,
    )


def test_an_empty_batch_costs_nothing_and_has_finite_gradients():
    mask = jnp.zeros(4, bool)

    def total(first, second, a, b):
        terms = contrastive_terms(
            (first, second), (a, b), mask, instance_temperature=0.5, cluster_temperature=1.0
        )
        return sum(terms)

    arguments = (unit(0, 4, 3), unit(1, 4, 3), jnp.ones((4, 2)), jnp.ones((4, 2)))
    value, grads = jax.value_and_grad(total, argnums=(0, 1, 2, 3))(*arguments)
    assert value == 0.0
    assert all(bool(jnp.all(jnp.isfinite(grad))) for grad in grads)


def test_even_and_certain_clusters_have_the_least_loss():
    certain = 30.0 * jnp.eye(3)[jnp.arange(6) % 3]
    unsure = jnp.zeros((6, 3))
    collapsed = 30.0 * jnp.tile(jnp.eye(3)[:1], (6, 1))
    views = unit(0, 6, 4)

    def terms(logits):
        return contrastive_terms(
            (views, views),
            (logits, logits),
            jnp.ones(6, bool),
            instance_temperature=0.5,
            cluster_temperature=1.0,
        )

    good, flat, dead = terms(certain), terms(unsure), terms(collapsed)
    np.testing.assert_allclose([good.entropy, good.agreement], 0.0, atol=1e-5)
    np.testing.assert_allclose(flat.agreement, np.log(3), rtol=1e-5)
    np.testing.assert_allclose(dead.entropy, 2 * np.log(3), rtol=1e-5)
    assert good.cluster < flat.cluster
    np.testing.assert_allclose(good.instance, dead.instance)
