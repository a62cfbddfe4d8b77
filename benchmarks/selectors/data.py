"""Features to select from."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.answers.tasks import FEATURES
from idc_jax.errors import UserError

CLASSES, RANK = 20, 32
# Rows made at a time, so that making the data needs no more memory than holding it.
_BLOCK = 50_000


def pieces(n: int, d: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Clustered features of low intrinsic dimension with some noise, unit length, in pieces.

    With each piece come its clusters.
    """
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((CLASSES, d), np.float32)
    within = rng.standard_normal((RANK, d), np.float32)
    for start in range(0, n, _BLOCK):
        labels = rng.integers(0, CLASSES, min(_BLOCK, n - start))
        part = means[labels]
        part += 0.15 * rng.standard_normal((len(part), RANK), np.float32) @ within
        part += 0.1 * rng.standard_normal(part.shape, np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        yield part, labels


def features(n: int, d: int, seed: int = 0) -> np.ndarray:
    """All :func:`pieces`."""
    x = np.empty((n, d), np.float32)
    start = 0
    for part, _ in pieces(n, d, seed):
        x[start : start + len(part)] = part
        start += len(part)
    return x


def mapped(path: Path) -> jax.Array:
    """The rows of a ``.npy`` file, copied from where it is mapped."""
    x = jax.block_until_ready(jnp.asarray(np.load(path, mmap_mode="r")))
    # The pages that were read count until the map is gone, and JAX leaves it to the collector.
    gc.collect()
    return x


def real_features(n: int) -> np.ndarray:
    """The first ``n`` of the frozen features, unit length."""
    if not FEATURES.exists():
        raise UserError(f"no features at {FEATURES}; IDC_FEATURES=FILE.npz would do")
    x = np.load(FEATURES)["features"][:n].astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def hardness(x: np.ndarray) -> np.ndarray:
    """IDC's hardness with the first rows as centres: the same ``base`` for all greedy loops."""
    cosines = np.sort(x @ x[:CLASSES].T, axis=1)
    return np.log(np.maximum(1 - cosines[:, -1] + cosines[:, -2], 1e-6))


def probabilities(x: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Soft assignments ``[n, c]`` to some centres."""
    logits = np.exp(10.0 * x @ centers.T)
    return logits / logits.sum(1, keepdims=True)
