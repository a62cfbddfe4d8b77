"""The selectors and what they stand on, one measurement a function."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness.figures import measured, once
from benchmarks.selectors import data, plain
from idc_jax import ops, selectors

Figures = dict[str, Any]


def greedy(x: np.ndarray, budget: int) -> Figures:
    z, base, none = jnp.asarray(x), jnp.asarray(data.hardness(x)), jnp.zeros(len(x), bool)
    figures, found = measured(
        lambda: selectors.idc_from_scores(z, base, budget, labelled=none, candidates=~none), 5
    )
    return figures | {"picks": found.indices.tolist()}


def greedy_floor(x: np.ndarray, budget: int) -> Figures:
    z = jnp.asarray(x)
    plain.read(z, 1)
    return once(lambda: plain.read(z, budget))[0]


def greedy_numpy(x: np.ndarray, budget: int) -> Figures:
    base = data.hardness(x)
    figures, picks = once(lambda: plain.greedy_loop(x, base, budget))
    return figures | {"picks": picks}


def knn(x: np.ndarray, budget: int) -> Figures:
    del budget
    z = jnp.asarray(x)
    figures, found = measured(lambda: ops.knn(z, 20), 1)
    return figures | {"recall": plain.recall(x, np.asarray(found.indices))}


def knn_floor(x: np.ndarray, budget: int) -> Figures:
    del budget
    return once(lambda: plain.blocked_product(x))[0]


def approximate(x: np.ndarray, budget: int) -> Figures:
    del budget
    z = jnp.asarray(x)
    figures, found = measured(lambda: ops.approximate_knn(z, 20, recall=0.95), 1)
    return figures | {"recall": plain.recall(x, np.asarray(found.indices))}


def kmeans(x: np.ndarray, budget: int) -> Figures:
    del budget
    z = jnp.asarray(x)
    figures, found = measured(lambda: ops.kmeans(jax.random.key(0), z, data.CLASSES), 1)
    return figures | {"inertia": float(found.inertia)}


def whole(x: np.ndarray, budget: int) -> Figures:
    """IDC from embeddings to picks, exact: k-means, neighbours, scores, greedy."""
    z = jnp.asarray(x)

    def select() -> selectors.Selection:
        clusters = ops.kmeans(jax.random.key(0), z, data.CLASSES, restarts=1)
        return selectors.idc(z, clusters.centers, budget)

    return measured(select, 1)[0]


def scale(x: np.ndarray, budget: int) -> Figures:
    """IDC from embeddings to picks with approximate neighbours, compiling included."""
    z = jnp.asarray(x)
    clusters, centers = once(
        lambda: ops.kmeans(jax.random.key(0), z, data.CLASSES, restarts=3).centers
    )
    near, neighbors = once(lambda: ops.approximate_knn(z, 20, recall=0.95))
    picks, _ = once(lambda: selectors.idc(z, centers, budget, neighbors=neighbors))
    parts = {"kmeans": clusters, "neighbors": near, "scores and picks": picks}
    total = {key: sum(part[key] for part in parts.values()) for key in ("wall", "cpu", "compile")}
    walls = {name: part["wall"] for name, part in parts.items()}
    return total | {"parts": walls, "recall": float(ops.recall(jax.random.key(1), z, neighbors))}


def partitioned(x: np.ndarray, budget: int) -> Figures:
    """What picking in two rounds loses, by number of parts."""
    z, base, none = jnp.asarray(x), jnp.asarray(data.hardness(x)), jnp.zeros(len(x), bool)
    figures, exact = once(
        lambda: selectors.idc_from_scores(z, base, budget, labelled=none, candidates=~none)
    )
    rows = []
    for parts in (4, 16, 64):
        _, found = once(lambda parts=parts: selectors.idc_partitioned(z, base, budget, parts))
        shared = len(set(exact.indices.tolist()) & set(found.indices.tolist()))
        rows.append({"parts": parts, "value": float(found.values.mean()), "shared": shared})
    sample = jax.random.permutation(jax.random.key(0), len(x))[:budget]
    pairs = jnp.log(jnp.clip(1 - z[sample] @ z[sample].T, 1e-6, 2))
    earlier = jnp.tril(jnp.ones((budget, budget), bool), -1)
    nearest = jnp.where(earlier, pairs, jnp.inf).min(1).at[0].set(0.0)
    random = float(jnp.mean(base[sample] + nearest))
    return figures | {"value": float(exact.values.mean()), "random": random, "rounds": rows}


def targets(name: str, x: np.ndarray, budget: int) -> Figures:
    """What measuring coverage on 8,192 samples loses: of all that exact picks cover, the share."""
    z, select = jnp.asarray(x), getattr(selectors, name)
    kernels = {
        "facility_location": lambda c: 0.5 + 0.5 * c,
        "max_herding": lambda c: np.exp(2 * c - 2),
    }

    def covered(picks: list[int]) -> float:
        return float(kernels[name](x @ x[picks].T).max(1).sum())

    figures, sampled = once(lambda: select(z, budget).indices.tolist())
    _, exact = once(lambda: select(z, budget, num_targets=None).indices.tolist())
    chance = np.random.default_rng(0).permutation(len(x))[:budget].tolist()
    values = {"sampled": covered(sampled), "exact": covered(exact), "random": covered(chance)}
    return figures | values | {"shared": len(set(sampled) & set(exact))}


def _inputs(x: np.ndarray) -> selectors.SelectorInputs:
    """What selectors need besides embeddings, from the first rows as centres."""
    z, chances = jnp.asarray(x), data.probabilities(x, x[: data.CLASSES])
    return selectors.SelectorInputs(
        z, jnp.asarray(chances), z[: data.CLASSES], jnp.asarray(chances.argmax(1))
    )


def baseline(name: str, x: np.ndarray, budget: int, **options: Any) -> Figures:
    """One selector, its second call; what it needs besides embeddings is made before."""
    inputs, select = _inputs(x), selectors.get(name, **options).select
    return measured(lambda: select(jax.random.key(0), inputs, budget), 1)[0]


def agreement(name: str, x: np.ndarray, budget: int) -> Figures:
    """Whether a selector repeats itself, and how many of its picks a CPU makes, too."""

    def picked(device: jax.Device) -> list[int]:
        with jax.default_device(device):
            found = selectors.get(name).select(jax.random.key(0), _inputs(x), budget)
            return found.indices.tolist()

    figures, first = once(lambda: picked(jax.devices()[0]))
    second, cpu = picked(jax.devices()[0]), picked(jax.devices("cpu")[0])
    return figures | {"repeats": first == second, "as_cpu": len(set(first) & set(cpu))}
