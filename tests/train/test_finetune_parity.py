"""The whole fine-tuning against the published code's steps, written again in PyTorch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idc_jax import models
from idc_jax.data.views import Views
from idc_jax.train import finetune as ft

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the parity extra)")
F = torch.nn.functional

N, C, SIDE, WIDTH, STEPS, RATE = 40, 3, 8, 4, 20, 1e-3
THRESHOLD, QUOTA = 0.34, 0.2
# What people said of the first samples: a cluster, or one that it is not.
NAMED = {0: 0, 1: 1, 2: 2, 3: 0, 4: 1, 5: 1, 6: 2}
REFUSED = {7: 0, 8: 1, 9: 2}
SKIPPED = (10,)


@pytest.fixture(scope="module")
def network():
    images = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3)).astype(np.uint8)
    shape = {"num_clusters": C, "input_shape": (SIDE, SIDE, 3)}
    model = models.build("resnet_small", width=WIDTH, stem="small", **shape)
    data = jnp.asarray(images)
    return model, model.init(jax.random.key(4), shown(data[:2])), data


def shown(images):
    return images.astype(jnp.float32) / 255


def alike(key, raw):
    """A view that changes nothing: what is random here is nothing of the fine-tuning's own."""
    return shown(raw)


def known() -> ft.Supervision:
    labels, rejected = np.full(N, -1), np.zeros((N, C), bool)
    labels[list(NAMED)] = list(NAMED.values())
    rejected[list(REFUSED), list(REFUSED.values())] = True
    skipped = np.isin(np.arange(N), SKIPPED)
    asked = (labels >= 0) | rejected.any(1)
    parts = (labels, rejected, asked, skipped)
    return ft.Supervision(*map(jnp.asarray, parts), jnp.zeros((0, C)))


# Counts that divide the batch and that do not; what room there is for more changes nothing.
@pytest.mark.parametrize(("batch", "capacity"), [(4, 100), (11, 11)])
def test_twenty_steps_move_the_network_as_the_published_code_does(network, batch, capacity):
    model, variables, data = network
    options = ft.FinetuneOptions(
        epochs=STEPS // (11 // batch),
        batch_size=batch,
        learning_rate=RATE,
        balanced=True,
        pseudo_labels="store",
        threshold=THRESHOLD,
        quota=QUOTA,
        exclude_queried=False,
        restart_unlabelled=True,
    )
    key = jax.random.key(0)
    found, store, _ = ft.finetune(
        key,
        model,
        Views(weak=alike, strong=alike, val=alike),
        data,
        variables,
        known(),
        jnp.full(N, -1, jnp.int32),
        options,
        capacity=capacity,
        log=lambda values: None,
        progress=False,
    )
    plan = ft._plan(jax.random.split(key)[0], np.arange(11), N, STEPS, batch, batch, restart=True)[
        0
    ]
    theirs = Published(variables, np.asarray(shown(data)))
    for samples in plan:
        theirs.step(samples[:batch].tolist(), samples[batch:].tolist())
    assert np.array_equal(store, theirs.store)
    assert theirs.regularised > STEPS / 2
    start, ours = flat(variables["params"]), flat(found["params"])
    moved, wanted = (
        np.concatenate([(end[name] - start[name]).ravel() for name in start])
        for end in (ours, theirs.numbers())
    )
    assert np.linalg.norm(wanted) > 0.1
    assert np.linalg.norm(moved - wanted) < 1e-4 * np.linalg.norm(wanted)


def flat(tree) -> dict[str, np.ndarray]:
    """Leaves by their paths, as ``backbone/conv1/kernel``."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(part.key for part in path): np.asarray(leaf) for path, leaf in leaves}


class Published:
    """The network, its optimiser and its store of pseudo-labels, a step at a time."""

    def __init__(self, variables, images):
        self.params = {
            name: torch.tensor(value, requires_grad=True)
            for name, value in flat(variables["params"]).items()
        }
        self.stats = {
            name: torch.tensor(value) for name, value in flat(variables["batch_stats"]).items()
        }
        # Without a gradient, the instance head is not moved.
        self.adam = torch.optim.Adam(self.params.values(), lr=RATE, weight_decay=1e-4)
        self.images = torch.tensor(images.transpose(0, 3, 1, 2).copy())
        self.store = np.full(N, -1)
        self.regularised = 0

    def step(self, labelled, unlabelled):
        self._remember(unlabelled)
        sure = [i for i in unlabelled if self.store[i] >= 0]
        named, refused = ([i for i in labelled if i in said] for said in (NAMED, REFUSED))
        loss = torch.zeros(())
        # Three passes, in this order: each has its own BatchNorm statistics.
        self.regularised += bool(sure)
        if sure:
            loss = loss + self._entropy(sure, [int(self.store[i]) for i in sure])
        if named:
            loss = loss + self._entropy(named, [NAMED[i] for i in named])
        if refused:
            probs = self._logits(refused, True).softmax(1)
            away = 1 - probs[range(len(refused)), [REFUSED[i] for i in refused]]
            loss = loss - away.clamp(min=1e-5).log().mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def _entropy(self, samples, labels):
        labels = torch.tensor(labels)
        counts = torch.bincount(labels, minlength=C)
        weights = torch.where(counts > 0, len(labels) / counts.clamp(min=1), 0.0)
        return F.cross_entropy(self._logits(samples, True), labels, weight=weights)

    def _remember(self, unlabelled):
        with torch.no_grad():
            probs = self._logits(unlabelled, False).softmax(1).numpy()
        sure, label = probs.max(1), probs.argmax(1)
        quota = int(np.ceil(QUOTA * len(unlabelled) / C))
        for cluster in range(C):
            rows = np.flatnonzero(label == cluster)
            for row in rows[np.argsort(-sure[rows], kind="stable")][:quota]:
                if sure[row] > THRESHOLD and self.store[unlabelled[row]] < 0:
                    self.store[unlabelled[row]] = cluster
        for row, sample in enumerate(unlabelled):
            if sure[row] < THRESHOLD:
                self.store[sample] = -1

    def _logits(self, samples, train):
        self.train = train
        x = self._norm("backbone/bn1", self._conv("backbone/conv1", self.images[samples], 1)).relu()
        for stage in range(3):
            x = self._block(f"backbone/layer{stage + 1}_0", x, 2 if stage else 1)
        x = x.mean((2, 3))
        if "backbone/fc/kernel" in self.params:
            x = self._dense("backbone/fc", x)
        x = self._dense("cluster_head/dense_0", x.relu())
        return self._dense("cluster_head/dense_1", x.relu())

    def _block(self, name, x, stride):
        y = self._norm(f"{name}/bn1", self._conv(f"{name}/conv1", x, stride)).relu()
        y = self._norm(f"{name}/bn2", self._conv(f"{name}/conv2", y, 1))
        if f"{name}/downsample_conv/kernel" in self.params:
            x = self._conv(f"{name}/downsample_conv", x, stride)
            x = self._norm(f"{name}/downsample_bn", x)
        return (x + y).relu()

    def _conv(self, name, x, stride):
        kernel = self.params[f"{name}/kernel"].permute(3, 2, 0, 1)
        return F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def _norm(self, name, x):
        stats = (self.stats[f"{name}/{part}"] for part in ("mean", "var"))
        scale, bias = (self.params[f"{name}/{part}"] for part in ("scale", "bias"))
        return F.batch_norm(x, *stats, scale, bias, training=self.train, momentum=0.1)

    def _dense(self, name, x):
        return x @ self.params[f"{name}/kernel"] + self.params[f"{name}/bias"]

    def numbers(self):
        return {name: value.detach().numpy() for name, value in self.params.items()}
