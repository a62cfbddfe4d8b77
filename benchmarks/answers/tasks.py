"""The data of the benchmark: inputs, labels, and how well informed the user is."""

from __future__ import annotations

import functools
import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np

from idc_jax.data.target_maps import TARGET_MAPS

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ROOT.parent / "shared" / "data" / "cifar20_features.npz"
FASHION = Path("/usr/share/datasets/fashion-mnist")


class Task(NamedTuple):
    """What a run is measured on.

    Attributes:
      inputs: float32 ``[n, d]``.
      labels: int ``[n]``.
      clusters: how many the user asks for.
      error_rate: share of wrong answers.
    """

    inputs: np.ndarray
    labels: np.ndarray
    clusters: int
    error_rate: float = 0.0

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.labels.max()) + 1


@functools.cache
def digits() -> Task:
    """Pixels of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return Task(found.data.astype(np.float32), found.target, 10)


@functools.cache
def fashion() -> Task:
    """Fashion-MNIST by the 64 main components of its pixels, 20,000 images."""
    parts = []
    for split in ("train", "t10k"):
        raw = gzip.decompress((FASHION / f"{split}-images-idx3-ubyte.gz").read_bytes())
        named = gzip.decompress((FASHION / f"{split}-labels-idx1-ubyte.gz").read_bytes())
        pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)
        parts.append((pixels, np.frombuffer(named, np.uint8, offset=8)))
    pixels, labels = (np.concatenate(both) for both in zip(*parts, strict=True))
    kept = np.random.default_rng(0).choice(len(labels), 20_000, replace=False)
    x = pixels[kept].astype(np.float32) / 255
    x -= x.mean(0)
    _, vectors = np.linalg.eigh(x.T @ x)
    return Task(x @ vectors[:, -64:], labels[kept].astype(int), 10)


@functools.cache
def cifar20(limit: int | None = None) -> Task:
    """Frozen features of CIFAR-20; ``limit`` random ones of them."""
    with np.load(FEATURES) as found:
        x, labels = found["features"].astype(np.float32), found["labels"].astype(int)
    if limit is not None:
        kept = np.random.default_rng(0).choice(len(x), limit, replace=False)
        x, labels = x[kept], labels[kept]
    return Task(x, labels, 20)


@functools.cache
def long_tailed() -> Task:
    """Of 20,000 of the features, classes of sizes falling from 10 to 1."""
    task = cifar20(20_000)
    rng = np.random.default_rng(1)
    share = 10.0 ** (-rng.permutation(20) / 19)
    kept = np.flatnonzero(rng.random(len(task.labels)) < share[task.labels])
    return task._replace(inputs=task.inputs[kept], labels=task.labels[kept])


@functools.cache
def cifar100_4(target: str) -> Task:
    """Four groups of CIFAR-100's classes, as a user with ``target`` in mind sees them."""
    with np.load(FEATURES) as found:
        x, fine = found["features"].astype(np.float32), found["fine_labels"].astype(int)
    grouped = np.asarray(TARGET_MAPS[target].targets)[fine]
    kept = np.random.default_rng(0).choice(len(fine), 20_000, replace=False)
    return Task(x[kept], grouped[kept], int(grouped.max()) + 1)


TASKS = {
    "digits": digits,
    "fashion": fashion,
    "cifar20": cifar20,
    "cifar20_small": lambda: cifar20(20_000),
    "cifar20_small_wrong": lambda: cifar20(20_000)._replace(error_rate=0.1),
    "cifar20_small_tailed": long_tailed,
    "cifar20_small_half": lambda: cifar20(20_000)._replace(clusters=10),
    "cifar20_small_double": lambda: cifar20(20_000)._replace(clusters=30),
    "cifar100_4_default": lambda: cifar100_4("cifar100_4_default"),
    "cifar100_4_personal": lambda: cifar100_4("cifar100_4_personal"),
    "digits_wrong": lambda: digits()._replace(error_rate=0.1),
}
