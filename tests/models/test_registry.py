from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import models
from idc_jax.errors import UserError

CASES = [
    ("resnet_small", (8, 8, 1), "relu_first"),
    ("resnet18", (16, 16, 3), "batch_norm"),
    ("mlp", (12,), "plain"),
    ("mlp", (12,), "linear"),
]


def build(name, shape, head, **options):
    return models.build(name, num_clusters=4, input_shape=shape, head=head, width=4, **options)


@partial(jax.jit, static_argnums=(0, 3))
def run(model, variables, x, train, mask=None):
    return model.apply(variables, x, train, mask)


def filled(leaf):
    """Random numbers of a size that keeps the outputs of a deep network finite."""
    draw = np.random.default_rng(leaf.size).uniform(0.5, 1.5, leaf.shape)
    if len(leaf.shape) > 1:
        draw = (draw - 1) * np.sqrt(12 / np.prod(leaf.shape[:-1]))
    return jnp.asarray(draw, leaf.dtype)


@pytest.mark.parametrize(("name", "shape", "head"), CASES)
def test_shapes_lengths_and_collections(name, shape, head):
    model = build(name, shape, head)
    x = jax.random.normal(jax.random.key(0), (6, *shape))
    # Compiling the initialisation of a deep network takes longer than all else.
    shapes = jax.eval_shape(model.init, jax.random.key(1), x)
    variables = jax.tree.map(filled, shapes)
    assert set(variables["params"]) == {"backbone", "instance_head", "cluster_head"}
    outputs, same = run(model, variables, x, False)
    jax.tree.map(np.testing.assert_array_equal, same, variables)
    assert outputs.instance.shape == (6, 128)
    assert outputs.logits.shape == (6, 4)
    np.testing.assert_allclose(np.linalg.norm(outputs.instance, axis=1), 1.0, rtol=1e-5)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves((outputs, variables)))


def test_equal_networks_are_one_static_argument():
    first, second = (build("resnet_small", (8, 8, 1), "plain") for _ in range(2))
    assert first is not second
    assert first == second
    assert hash(first) == hash(second)
    assert (first.num_clusters, first.head, first.instance_dim) == (4, "plain", 128)
    for other in ("relu_first", "linear"):
        assert first != build("resnet_small", (8, 8, 1), other)
    traced = []

    @partial(jax.jit, static_argnums=0)
    def compiled(model):
        traced.append(model)
        return 0

    compiled(first), compiled(second)
    assert len(traced) == 1


def test_training_moves_the_averages_by_a_tenth():
    model = build("mlp", (3,), "linear")
    x = 5 + jax.random.normal(jax.random.key(0), (64, 3))
    variables = model.init(jax.random.key(1), x)
    outputs, moved = run(model, variables, x, True)
    kernel = variables["params"]["backbone"]["dense_0"]["kernel"]
    hidden = np.asarray(x @ kernel)
    stats = moved["batch_stats"]["backbone"]["bn_0"]
    np.testing.assert_allclose(stats["mean"], 0.1 * hidden.mean(0), rtol=1e-4)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * hidden.var(0, ddof=1), rtol=1e-4)
    assert jax.tree.structure(moved) == jax.tree.structure(variables)
    evaluated, _ = run(model, variables, x, False)
    assert not np.allclose(outputs.embedding, evaluated.embedding)


def test_bfloat16_computes_near_float32_with_float32_parameters():
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
    full = build("resnet_small", (8, 8, 1), "relu_first")
    half = build("resnet_small", (8, 8, 1), "relu_first", dtype=jnp.bfloat16)
    variables = half.init(jax.random.key(1), x)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(variables))
    exact, _ = run(full, variables, x, False)
    rough, moved = run(half, variables, x, True)
    assert rough.embedding.dtype == jnp.float32
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(moved))
    rough, _ = run(half, variables, x, False)
    assert not np.array_equal(rough.embedding, exact.embedding)
    np.testing.assert_allclose(rough.instance, exact.instance, atol=0.05)


@pytest.mark.parametrize("blocks", [18, 34])
def test_parameter_counts_are_the_published_ones(blocks):
    # Contrastive Clustering's networks for ten clusters; running statistics are not counted.
    model = models.build(
        f"resnet{blocks}", num_clusters=10, input_shape=(224, 224, 3), head="plain"
    )
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    total = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert total == {18: 11_772_618, 34: 21_880_778}[blocks]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet99"}, "unknown network 'resnet99'"),
        ({"num_clusters": 0}, "num_clusters is 0"),
        ({"input_shape": (12,)}, "takes images"),
        ({"head": "deep"}, "unknown head layout 'deep'"),
        ({"stem": "large"}, "unknown stem 'large'"),
    ],
)
def test_bad_requests_are_user_errors(options, message):
    good = {"name": "resnet18", "num_clusters": 3, "input_shape": (32, 32, 3)}
    merged = {**good, **options}
    with pytest.raises(UserError, match=message):
        models.build(merged.pop("name"), **merged)
