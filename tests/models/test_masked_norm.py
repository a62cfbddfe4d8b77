"""BatchNorm over a padded batch against the same batch without its padding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax.models import Model
from idc_jax.models.efficientnet import EfficientNetLite, Stage
from idc_jax.models.heads import ClusterNet
from idc_jax.models.layers import groups_of
from idc_jax.models.mlp import MLP
from idc_jax.models.resnet import ResNet

MASK = np.array([1, 1, 0, 1, 0, 1, 1, 0], bool)
STAGES = (Stage(1, 3, 1, 1, 8), Stage(1, 3, 1, 2, 8))
CASES = {
    "mlp": (MLP((7, 6), 5), (4,), "relu_first"),
    "resnet": (ResNet((1, 1), 4, "small"), (6, 6, 2), "plain"),
    "efficientnet": (EfficientNetLite(STAGES, embedding_dim=5), (6, 6, 3), "linear"),
    "head": (MLP((), 5), (4,), "batch_norm"),
}


@partial(jax.jit, static_argnums=0)
def step(model, variables, x, mask):
    """Outputs, moved averages, and gradients of a loss over the rows in ``mask``."""

    def loss(params):
        outputs, moved = model.apply({**variables, "params": params}, x, True, mask)
        kept = jnp.ones(x.shape[0]) if mask is None else groups_of(mask).any(1)
        rows = jnp.sum(jnp.sin(outputs.logits), 1) + jnp.sum(outputs.instance[:, :3], 1)
        return jnp.sum(rows * kept), (outputs, moved["batch_stats"])

    grads, (outputs, stats) = jax.grad(loss, has_aux=True)(variables["params"])
    return outputs, stats, grads


@pytest.fixture(scope="module", params=CASES)
def case(request):
    backbone, shape, head = CASES[request.param]
    model = Model(ClusterNet(backbone, 3, instance_dim=6, head=head))
    x = jax.random.normal(jax.random.key(0), (8, *shape))
    x = jnp.where(MASK.reshape(-1, *(1,) * len(shape)), x, 5 * x + 3)
    return model, model.init(jax.random.key(1), x), x


def close(got, want):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-4), got, want)


def test_padding_changes_nothing(case):
    model, variables, x = case
    outputs, stats, grads = step(model, variables, x, jnp.asarray(MASK))
    wanted, wanted_stats, wanted_grads = step(model, variables, x[MASK], None)
    close(jax.tree.map(lambda rows: rows[MASK], outputs), wanted)
    close(stats, wanted_stats)
    close(grads, wanted_grads)
    # The padding would have been noticed.
    unmasked = step(model, variables, x, None)[1]
    assert not np.allclose(jax.tree.leaves(unmasked)[0], jax.tree.leaves(stats)[0], rtol=1e-2)


def test_batches_in_one_are_these_batches_one_after_the_other(case):
    model, variables, x = case
    # A row of none, and a group of none between two others.
    member = np.zeros((8, 3), bool)
    member[[0, 3, 6], 0] = member[[1, 2, 5, 7], 2] = True
    outputs, stats, grads = step(model, variables, x, jnp.asarray(member))
    wanted_grads = jax.tree.map(jnp.zeros_like, grads)
    for group in member[:, [0, 2]].T:
        wanted, moved, found = step(model, variables, x[group], None)
        close(jax.tree.map(lambda rows, group=group: rows[group], outputs), wanted)
        variables = {**variables, "batch_stats": moved}
        wanted_grads = jax.tree.map(jnp.add, wanted_grads, found)
    close(stats, variables["batch_stats"])
    close(grads, wanted_grads)


def test_nothing_but_padding_leaves_the_averages(case):
    model, variables, x = case
    outputs, stats, grads = step(model, variables, x, jnp.zeros(8, bool))
    jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])
    for leaf in jax.tree.leaves((outputs, grads)):
        assert np.isfinite(leaf).all()


def test_a_full_mask_is_no_mask_and_evaluation_takes_none(case):
    model, variables, x = case
    close(step(model, variables, x, jnp.ones(8, bool)), step(model, variables, x, None))
    masked, _ = model.apply(variables, x, False, jnp.asarray(MASK))
    plain, _ = model.apply(variables, x, False)
    jax.tree.map(np.testing.assert_array_equal, masked, plain)
