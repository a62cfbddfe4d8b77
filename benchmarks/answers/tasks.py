"""The data of the benchmark: inputs, labels, and how well informed the user is.

Each seed draws its own part of a data set, so that the spread over seeds is that over data too:
most selectors and learners draw nothing themselves.
"""

from __future__ import annotations

import functools
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.harness.tables import ROOT
from idc_jax.data.target_maps import TARGET_MAPS

SHARED = ROOT.parent / "shared" / "data"
# Where the frozen features of CIFAR-20 are, unless they are elsewhere.
FEATURES = Path(os.environ.get("IDC_FEATURES", SHARED / "cifar20_features.npz"))
FASHION = Path("/usr/share/datasets/fashion-mnist")
PART = 10_000


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

    def part(self, seed: int, size: int = PART) -> Task:
        """``size`` samples that ``seed`` draws."""
        kept = np.random.default_rng(seed).choice(len(self.labels), size, replace=False)
        return self._replace(inputs=self.inputs[kept], labels=self.labels[kept])


@functools.cache
def digits() -> Task:
    """Pixels of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return Task(found.data.astype(np.float32), found.target, 10)


@functools.cache
def fashion() -> Task:
    """Fashion-MNIST by the 64 main components of its pixels."""
    parts = []
    for split in ("train", "t10k"):
        raw = gzip.decompress((FASHION / f"{split}-images-idx3-ubyte.gz").read_bytes())
        named = gzip.decompress((FASHION / f"{split}-labels-idx1-ubyte.gz").read_bytes())
        pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)
        parts.append((pixels, np.frombuffer(named, np.uint8, offset=8)))
    pixels, labels = (np.concatenate(both) for both in zip(*parts, strict=True))
    x = pixels.astype(np.float32) / 255
    x -= x.mean(0)
    _, vectors = np.linalg.eigh(x.T @ x)
    return Task(x @ vectors[:, -64:], labels.astype(int), 10)


@functools.cache
def cifar20() -> Task:
    """Frozen features of CIFAR-20."""
    with np.load(FEATURES) as found:
        return Task(found["features"].astype(np.float32), found["labels"].astype(int), 20)


def long_tailed(seed: int) -> Task:
    """A part in which the sizes of the classes fall from 10 to 1."""
    task = cifar20()
    rng = np.random.default_rng([seed, 1])
    share = 10.0 ** (-rng.permutation(20) / 19)
    kept = np.flatnonzero(rng.random(len(task.labels)) < share[task.labels])
    return task._replace(inputs=task.inputs[kept], labels=task.labels[kept]).part(seed)


@functools.cache
def cifar100_4(target: str) -> Task:
    """Four groups of CIFAR-100's classes, as a user with ``target`` in mind sees them."""
    with np.load(FEATURES) as found:
        x, fine = found["features"].astype(np.float32), found["fine_labels"].astype(int)
    grouped = np.asarray(TARGET_MAPS[target].targets)[fine]
    kept = grouped >= 0
    return Task(x[kept], grouped[kept], int(grouped.max()) + 1)


def _wrong(task: Task) -> Task:
    return task._replace(error_rate=0.1)


# Nine tenths of the digits: there are few.
_DIGITS = 1617
TASKS: dict[str, Callable[[int], Task]] = {
    "digits": lambda seed: digits().part(seed, _DIGITS),
    "digits_wrong": lambda seed: _wrong(digits().part(seed, _DIGITS)),
    "fashion": lambda seed: fashion().part(seed),
    "cifar20": lambda seed: cifar20(),
    "cifar20_part": lambda seed: cifar20().part(seed),
    "cifar20_wrong": lambda seed: _wrong(cifar20().part(seed)),
    "cifar20_tailed": long_tailed,
    "cifar20_half": lambda seed: cifar20().part(seed)._replace(clusters=10),
    "cifar20_double": lambda seed: cifar20().part(seed)._replace(clusters=30),
    "cifar100_4_default": lambda seed: cifar100_4("cifar100_4_default").part(seed),
    "cifar100_4_personal": lambda seed: cifar100_4("cifar100_4_personal").part(seed),
}
