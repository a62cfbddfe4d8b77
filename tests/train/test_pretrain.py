import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sending import nothing_sent

from idc_jax import models
from idc_jax.data.views import Views
from idc_jax.errors import UserError
from idc_jax.train.loop import epoch_indices, run_network
from idc_jax.train.pretrain import PretrainOptions, build, pretrain, searches_neighbors

CLUSTERS = 3
OPTIONS = PretrainOptions(epochs=4, batch_size=32, learning_rate=3e-3, neighbors=2)


def noisy(key, raw):
    return raw + 0.1 * jax.random.normal(key, raw.shape)


VIEWS = Views(weak=noisy, strong=noisy, val=lambda key, raw: raw)
MODEL = models.build("mlp", num_clusters=CLUSTERS, input_shape=(6,), width=32, head="plain")


def blobs(count=96):
    centers = 3.0 * jnp.eye(CLUSTERS, 6)
    labels = np.arange(count) % CLUSTERS
    return centers[labels] + 0.3 * jax.random.normal(jax.random.key(7), (count, 6)), labels


def train(options=OPTIONS, seed=0, model=MODEL, **hooks):
    logs = []
    data, _ = blobs()
    state = pretrain(
        jax.random.key(seed), model, VIEWS, data, options, log=logs.append, progress=False, **hooks
    )
    return state, logs


def test_separates_blobs_and_logs_every_epoch():
    state, logs = train(OPTIONS._replace(epochs=30, agreement_weight=1.0))
    data, labels = blobs()
    found = np.argmax(run_network(MODEL, state.variables, VIEWS.val, data).logits, axis=1)
    table = np.zeros((CLUSTERS, CLUSTERS), int)
    np.add.at(table, (found, labels), 1)
    assert np.sort(table, axis=None)[-CLUSTERS:].sum() == len(labels)
    assert [line["pretrain/epoch"] for line in logs] == list(range(1, 31))
    assert logs[-1]["pretrain/live_clusters"] == CLUSTERS
    assert logs[-1]["pretrain/assignment_entropy"] > 0.99
    assert logs[-1]["pretrain/loss"] < logs[0]["pretrain/loss"]


@pytest.mark.parametrize("killed_after", [1, 3])
def test_a_resumed_run_equals_an_uninterrupted_one(killed_after):
    kept = {}

    def keep(state, epoch):
        kept[epoch] = jax.tree.map(lambda a: jnp.array(np.asarray(a)), state)

    whole, _ = train(on_epoch=keep)
    resumed, logs = train(start=kept[killed_after])
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    assert [line["pretrain/epoch"] for line in logs] == list(range(killed_after + 1, 5))


def test_the_seed_decides_everything():
    first, _ = train(seed=1)
    again, _ = train(seed=1)
    other, _ = train(seed=2)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    kernels = [s.variables["params"]["backbone"]["fc"]["kernel"] for s in (first, other)]
    assert not np.allclose(*kernels)


def test_no_epoch_sends_the_device_anything():
    train()  # compiles
    with nothing_sent() as spans:
        train(seed=3)
    assert len(spans) == OPTIONS.epochs


def test_an_epoch_gives_up_the_old_network_and_nothing_else():
    data, _ = blobs()
    pieces = build(MODEL, VIEWS, OPTIONS, len(data))
    state = pieces.init(jax.random.key(0), data)
    indices = epoch_indices(jax.random.key(1), len(data), OPTIONS.batch_size)
    after, _ = pieces.run_epoch(jax.random.key(2), state, data, indices)
    given_up = jax.tree.leaves((state.variables, state.opt_state))
    assert all(leaf.is_deleted() for leaf in given_up)
    kept = jax.tree.leaves((state.neighbors, state.epoch, data, indices, after))
    assert not any(leaf.is_deleted() for leaf in kept)


def test_bfloat16_trains_near_float32_and_keeps_float32():
    half = models.build(
        "mlp", num_clusters=CLUSTERS, input_shape=(6,), width=32, head="plain", dtype=jnp.bfloat16
    )
    exact, exact_logs = train()
    rough, rough_logs = train(model=half)
    floats = [a for a in jax.tree.leaves(rough) if jnp.issubdtype(a.dtype, jnp.floating)]
    # Parameters, running statistics and both of Adam's moments.
    assert all(a.dtype == jnp.float32 for a in floats)
    assert {"params", "batch_stats"} == set(rough.variables)
    losses = [[line["pretrain/loss"] for line in logs] for logs in (rough_logs, exact_logs)]
    np.testing.assert_allclose(*losses, rtol=0.02)
    kernels = [s.variables["params"]["backbone"]["fc"]["kernel"] for s in (rough, exact)]
    assert not np.array_equal(*kernels)


def test_neighbours_are_of_the_same_blob_and_never_the_sample():
    state, _ = train(OPTIONS._replace(neighbor_start=0.0, neighbor_every=100))
    _, labels = blobs()
    neighbors = np.asarray(state.neighbors)
    assert neighbors.shape == (96, 2)
    assert (labels[neighbors] == labels[:, None]).all()
    assert (neighbors != np.arange(96)[:, None]).all()


def test_a_checkpoints_shapes_are_known_without_training():
    options = OPTIONS._replace(neighbor_start=0.0)
    data, _ = blobs()
    shapes = jax.eval_shape(build(MODEL, VIEWS, options, 96).init, jax.random.key(0), data)
    state, _ = train(options._replace(epochs=1))
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, state)


def test_the_searches_follow_the_options():
    options = PretrainOptions(epochs=20, neighbors=3, neighbor_start=0.5, neighbor_every=4)
    assert [e for e in range(20) if searches_neighbors(options, e)] == [10, 14, 18]
    at_once = options._replace(neighbor_start=0.0)
    assert [e for e in range(20) if searches_neighbors(at_once, e)] == [4, 8, 12, 16]
    assert not any(searches_neighbors(options._replace(neighbors=0), e) for e in range(20))


@pytest.mark.parametrize(("count", "batch", "shape"), [(10, 4, (2, 4)), (3, 8, (1, 3))])
def test_an_epoch_has_whole_batches_without_repeats(count, batch, shape):
    indices = np.asarray(epoch_indices(jax.random.key(0), count, batch))
    assert indices.shape == shape
    assert len(np.unique(indices)) == indices.size
    assert indices.min() >= 0
    assert indices.max() < count


def test_outputs_in_blocks_are_those_of_the_whole():
    data, _ = blobs(11)
    variables = MODEL.init(jax.random.key(0), data)
    want, _ = MODEL.apply(variables, data, False)
    got = run_network(MODEL, variables, VIEWS.val, data, block=4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "pretrain.epochs is 0"),
        ({"batch_size": 0}, "pretrain.batch_size is 0"),
        ({"learning_rate": 0.0}, "pretrain.learning_rate is 0.0"),
        ({"neighbor_every": 0}, "pretrain.neighbor_every is 0"),
    ],
)
def test_bad_options_are_user_errors(change, message):
    with pytest.raises(UserError, match=message):
        train(OPTIONS._replace(**change))
