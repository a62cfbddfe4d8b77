"""Train a little network in every way there is, and print the losses.

    python parallel_run.py                          # on all local devices
    python parallel_run.py ADDRESS PROCESS COUNT WORTH  # as one of COUNT processes

With several processes, samples are spread, and a batch of WORTH numbers is split over all.

Run with XLA_FLAGS=--xla_force_host_platform_device_count=N for N devices per process.
"""

import json
import sys
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import models
from idc_jax.data.residency import place, place_rows, some
from idc_jax.data.views import Views
from idc_jax.methods.dsac.training import DsacTraining, Targets, train_round
from idc_jax.methods.pcl import training as pcl_training
from idc_jax.methods.pcl.training import PclTraining
from idc_jax.models.heads import ClusterNet
from idc_jax.models.layers import Conv, batch_norm
from idc_jax.ops import sharded
from idc_jax.train import parallel
from idc_jax.train.engine import Learner
from idc_jax.train.finetune import FinetuneOptions, Supervision, finetune
from idc_jax.train.loop import run_blocks, run_network
from idc_jax.train.parallel import everywhere, make_mesh
from idc_jax.train.pretrain import PretrainOptions, pretrain

CLUSTERS, COUNT = 3, 20
# A batch of 10 does not divide among 4 devices.
PRETRAIN = PretrainOptions(epochs=2, batch_size=10, learning_rate=3e-3)
FINETUNE = FinetuneOptions(epochs=1, batch_size=4, pseudo_labels="threshold", threshold=0.3)


def view(key, raw):
    return raw / 255 + 0.1 * jax.random.uniform(key, raw.shape)


VIEWS = Views(weak=view, strong=view, val=lambda key, raw: raw / 255)


class Backbone(nn.Module):
    """One convolution and one BatchNorm: what a network of images is made of."""

    tell: Callable

    @nn.compact
    def __call__(self, x, train, mask=None):
        if not self.is_initializing():
            self.tell(x, train)
        x = Conv(6, 3, 2)(x)
        return jnp.mean(nn.relu(batch_norm(train, jnp.float32, "bn")(x, mask=mask)), axis=(1, 2))


def network(seen):
    """A little network; ``seen`` hears how each batch lies on the devices."""

    def tell(x, train):
        jax.debug.inspect_array_sharding(x, callback=lambda s: seen.append((s, x.shape, train)))

    return models.Model(ClusterNet(Backbone(tell), CLUSTERS, instance_dim=8, head="linear"))


def train(samples):
    """Losses and outputs of both trainings, and how batches lay on the devices."""
    seen, logs = [], []
    model = network(seen)
    arguments = {"log": logs.append, "progress": False}
    state = pretrain(
        jax.random.key(0), model, VIEWS, samples, PRETRAIN, num_samples=COUNT, **arguments
    )
    variables = state.variables
    labels = jnp.full(COUNT, -1).at[2:8].set(jnp.arange(2, 8) % CLUSTERS)
    rejected = jnp.zeros((COUNT, CLUSTERS), bool).at[:2, 0].set(True)
    asked = jnp.arange(COUNT) < 8
    known = Supervision(labels, rejected, asked, ~(asked | True), jnp.zeros((0, CLUSTERS)))
    store = jnp.full(COUNT, -1, jnp.int32)
    tuned, _, info = finetune(
        jax.random.key(2),
        model,
        VIEWS,
        samples,
        variables,
        known,
        store,
        FINETUNE,
        capacity=8,
        **arguments,
    )
    outputs = sharded.first(run_network(model, tuned, VIEWS.val, samples, block=8), COUNT)
    assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves((state, tuned, outputs)))
    figures = {
        "pretrain": [line["pretrain/loss"] for line in logs if "pretrain/loss" in line],
        "finetune": info,
        "logits": np.asarray(outputs.logits).ravel().tolist(),
    }
    return figures, seen


def train_others(samples):
    """Losses of DSAC's and PCL's training, and how batches lay on the devices."""
    seen, logs = [], []
    model = network(seen)
    arguments = {"log": logs.append, "progress": False}
    variables = model.init(jax.random.key(0), some(samples, 2) / 255)
    targets = Targets(
        classes=jnp.arange(COUNT) % CLUSTERS,
        weights=jnp.ones(COUNT),
        class_centers=jnp.eye(CLUSTERS, 6),
        centers=jnp.eye(CLUSTERS, 6),
        assignments=jnp.arange(COUNT) % CLUSTERS,
        age=jnp.float32(1.0),
    )
    options = DsacTraining(epochs=1, batch_size=10, labelled_batch=4)
    key = jax.random.key(1)
    trained, dsac = train_round(
        key, model, VIEWS, variables, samples, targets, options, **arguments
    )
    blocks = jnp.arange(COUNT, dtype=jnp.int32).reshape(2, 10)
    links = jnp.zeros((2, 10, 10), jnp.int8).at[:, 0, 1].set(1).at[:, 1, 0].set(1)
    training = PclTraining(block_size=10, learning_rate=1e-3)
    learner = Learner(variables, pcl_training.make_optimizer(training).init(variables["params"]))
    learner, pcl = pcl_training.train_epochs(
        key, model, VIEWS, learner, samples, blocks, links, training, 1, **arguments
    )
    outputs = run_blocks(key, model, learner.variables, VIEWS.val, samples, np.asarray(blocks))
    # Each device ran blocks of its own.
    assert sharded.is_spread(outputs.logits) == (jax.device_count() > 1)
    outputs = sharded.first(outputs, len(blocks))
    assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves((trained, learner, outputs)))
    return {"dsac": dsac, "pcl": pcl, "logits": np.asarray(outputs.logits).ravel().tolist()}, seen


def images():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4, 3), dtype=np.uint8)


def main(arguments):
    if arguments:
        address, process, count, worth = arguments
        jax.distributed.initialize(address, int(count), int(process))
        parallel._WORTH_SENDING = int(worth)
    mesh = make_mesh()
    samples = place(images(), 10**6, everywhere(mesh))
    if arguments:
        samples, _ = place_rows(images(), sharded.rows_over(mesh))
        spread, _ = place_rows(np.arange(12), sharded.rows_over(mesh))
        own = parallel.mesh_of_batch(mesh, (4, 2))
        # What is spread over all processes comes together before each takes its own copy.
        (taken,) = parallel.on_own((spread,), mesh, own)
        assert taken.is_fully_addressable
        assert np.asarray(taken).tolist() == list(range(12))
    figures, seen = train(samples)
    others, seen_too = train_others(samples)
    seen += seen_too
    trained = [s for s, _, train in seen if train]
    split = [len(s.device_set) for s in trained if not s.is_fully_replicated]
    print(
        json.dumps(
            {
                "devices": jax.device_count(),
                "split": split,
                "all": len(trained),
                **figures,
                "others": others,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
