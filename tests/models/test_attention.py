"""Attention over the batch against a plain NumPy loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import models
from idc_jax.errors import UserError
from idc_jax.models.attention import BatchAttention, with_attention


def np_attention(x, params, heads):
    width = x.shape[1]
    head = width // heads
    q, k, v = (x @ np.asarray(params[name]["kernel"]) for name in ("query", "key", "value"))
    out = np.zeros_like(x)
    for h in range(heads):
        part = slice(h * head, (h + 1) * head)
        for i in range(len(x)):
            scores = np.array([q[i, part] @ k[j, part] for j in range(len(x))]) / np.sqrt(head)
            weights = np.exp(scores - scores.max())
            out[i, part] = (weights / weights.sum()) @ v[:, part]
    return out


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


def test_matches_the_reference_and_has_no_biases(rows):
    attention = BatchAttention(num_heads=2)
    everyone = np.ones(5, bool)
    params = attention.init(jax.random.key(0), rows, everyone)["params"]
    assert all(set(layer) == {"kernel"} for layer in params.values())
    got = attention.apply({"params": params}, rows, everyone)
    np.testing.assert_allclose(got, np_attention(rows, params, 2), rtol=1e-4, atol=1e-5)


def test_padding_is_not_attended_to(rows):
    attention = BatchAttention(num_heads=4)
    mask = np.array([1, 1, 0, 1, 0], bool)
    params = attention.init(jax.random.key(0), rows, mask)["params"]
    whole = attention.apply({"params": params}, rows, mask)
    alone = attention.apply({"params": params}, rows[mask], np.ones(3, bool))
    np.testing.assert_allclose(whole[mask], alone, rtol=1e-5, atol=1e-6)
    empty = attention.apply({"params": params}, rows, np.zeros(5, bool))
    assert np.isfinite(empty).all()


def test_identity_start_averages_similar_rows():
    """Two far-apart pairs: each row becomes the mean of its own pair."""
    rows = jnp.array([[9.0, 0], [11.0, 0], [0, 9.0], [0, 11.0]])
    attention = BatchAttention(num_heads=1, start="identity")
    params = attention.init(jax.random.key(0), rows, jnp.ones(4, bool))["params"]
    got = attention.apply({"params": params}, rows, jnp.ones(4, bool))
    assert (got[:2, 0] > 9).all()
    assert (abs(got[:2, 1]) < 1e-3).all()


@pytest.fixture
def network():
    model = models.build(
        "mlp", num_clusters=3, input_shape=(8,), width=16, embedding_dim=8, head="plain"
    )
    return model, with_attention(model, num_heads=2)


def test_a_block_network_trains_and_predicts(network, rows):
    model, block = network
    variables = block.init(jax.random.key(0), rows)
    mask = jnp.array([True, True, True, True, False])
    outputs, moved = jax.jit(block.apply, static_argnums=2)(variables, rows, True, mask)
    assert outputs.logits.shape == (5, 3)
    np.testing.assert_allclose(np.linalg.norm(outputs.instance, axis=1), 1, rtol=1e-5)
    assert jax.tree.structure(moved) == jax.tree.structure(variables)
    evaluated, same = block.apply(variables, rows, False, mask)
    assert same["batch_stats"] is variables["batch_stats"]
    plain, _ = model.apply(variables, rows, False)
    assert not np.allclose(evaluated.logits, plain.logits)


def test_order_within_a_block_does_not_matter(network, rows):
    _, block = network
    variables = block.init(jax.random.key(0), rows)
    order = np.array([3, 0, 4, 1, 2])
    everyone = np.ones(5, bool)
    straight, _ = block.apply(variables, rows, False, everyone)
    shuffled, _ = block.apply(variables, rows[order], False, everyone)
    np.testing.assert_allclose(straight.logits[order], shuffled.logits, rtol=1e-4, atol=1e-5)


def test_no_mask_is_everyone(network, rows):
    _, block = network
    variables = block.init(jax.random.key(0), rows)
    for train in (False, True):
        want, _ = block.apply(variables, rows, train, np.ones(5, bool))
        got, _ = block.apply(variables, rows, train)
        np.testing.assert_allclose(got.logits, want.logits, rtol=1e-5, atol=1e-6)


def test_it_is_the_same_network_but_for_attention(network, rows):
    model, block = network
    variables = block.init(jax.random.key(0), rows)
    assert block == with_attention(model, num_heads=2)
    assert hash(block) == hash(with_attention(model, num_heads=2))
    assert block != model
    assert (block.num_clusters, block.head, block.instance_dim) == (3, "plain", 128)
    assert set(variables["params"]) - set(model.init(jax.random.key(0), rows)["params"]) == {
        "attention"
    }
    # Without attention, its parameters are nobody's.
    plain, same = model.apply(variables, rows, True)
    assert np.isfinite(plain.logits).all()
    assert jax.tree.structure(same) == jax.tree.structure(variables)


def test_padding_reaches_no_row_in_training(network, rows):
    _, block = network
    variables = block.init(jax.random.key(0), rows)
    mask = np.array([1, 1, 0, 1, 0], bool)
    whole, moved = block.apply(variables, np.where(mask[:, None], rows, 9.0), True, mask)
    alone, wanted = block.apply(variables, rows[mask], True)
    np.testing.assert_allclose(whole.logits[mask], alone.logits, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), moved, wanted)


def test_batches_in_one_attend_to_themselves(network, rows):
    _, block = network
    variables = block.init(jax.random.key(0), rows)
    member = np.array([[1, 0], [0, 1], [1, 0], [0, 0], [0, 1]], bool)
    whole, _ = block.apply(variables, rows, False, member)
    for group in member.T:
        alone, _ = block.apply(variables, rows[group], False)
        np.testing.assert_allclose(whole.logits[group], alone.logits, rtol=1e-4, atol=1e-5)


def test_impossible_networks_are_refused(network, rows):
    model, _ = network
    with pytest.raises(UserError, match="3 attention heads"):
        with_attention(model, num_heads=3).init(jax.random.key(0), rows)


def test_heads_with_batch_norm_attend_too(rows):
    model = models.build(
        "mlp", num_clusters=3, input_shape=(8,), width=16, embedding_dim=8, head="batch_norm"
    )
    block = with_attention(model, num_heads=2)
    variables = block.init(jax.random.key(0), rows)
    outputs, moved = block.apply(variables, rows, True, np.array([1, 1, 1, 1, 0], bool))
    assert np.isfinite(outputs.logits).all()
    norm = moved["batch_stats"]["cluster_head"]["norm_0"]
    assert not np.array_equal(norm["mean"], np.zeros(8))
