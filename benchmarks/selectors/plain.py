"""Plain references and floors, written to be read and not to be fast."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def blocked_product(x: np.ndarray, block: int = 2000) -> float:
    """All inner products of ``x`` with itself, a block of rows at a time: the floor of k-NN."""
    return sum(float((x[i : i + block] @ x.T)[0, 0]) for i in range(0, len(x), block))


def read(x: jax.Array, times: int) -> float:
    """Read ``x`` so many times: the floor of a greedy loop that looks at all at each pick."""
    total = jax.jit(jnp.sum)
    return sum(float(total(x)) for _ in range(times))


def greedy_loop(z: np.ndarray, base: np.ndarray, budget: int) -> list[int]:
    """Algorithm 1 of IDC, each pick compared once with all samples."""
    free, picks = np.ones(len(z), bool), []
    diverse = np.full(len(z), np.inf, np.float32)
    for i in range(budget):
        value = base + (diverse if i else 0.0)
        picks.append(int(np.where(free, value, -np.inf).argmax()))
        free[picks[-1]] = False
        diverse = np.minimum(diverse, np.log(np.clip(1 - z @ z[picks[-1]], 1e-6, 2)))
    return picks


def exact_neighbors(x: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Indices of the nearest others of some rows, in float64."""
    x64 = x.astype(np.float64)
    distances2 = (x64[rows] ** 2).sum(1)[:, None] + (x64**2).sum(1)[None] - 2 * x64[rows] @ x64.T
    distances2[np.arange(len(rows)), rows] = np.inf
    return np.argsort(distances2, axis=1, kind="stable")[:, :k]


def recall(x: np.ndarray, found: np.ndarray, num_rows: int = 200) -> float:
    """Share of the true neighbours of some random rows, in float64, among those ``found``."""
    k = found.shape[1]
    rows = np.random.default_rng(0).integers(0, len(x), num_rows)
    true = exact_neighbors(x, rows, k)
    return float(
        np.mean([len(set(a) & set(b)) / k for a, b in zip(true, found[rows], strict=True)])
    )
