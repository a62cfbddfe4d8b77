"""Selectors beside their peers and their floors, in one run.

    python -m benchmarks.selectors.run --n=60000 --d=512 --budget=500 --parts=greedy,knn,kmeans

Prints a Markdown table. ``--parts`` takes any of greedy, knn, kmeans, baselines, scale, greedi.
Peers (scikit-learn, faiss-cpu) are used where they are installed. Times are of the second call,
unless said otherwise; CPU seconds count all threads, and their ratio to the floor keeps its meaning
on a machine that is busy elsewhere.
"""

from __future__ import annotations

import argparse
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.selectors import plain
from benchmarks.selectors.timing import HEADER, peak_gib, row, timed, warm
from idc_jax import ops, scores, selectors

CLASSES, RANK = 20, 32


def features(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Clustered features of low intrinsic dimension with some noise, unit length."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((CLASSES, d), np.float32)
    within = rng.standard_normal((RANK, d), np.float32)
    x = means[rng.integers(0, CLASSES, n)]
    x += 0.15 * rng.standard_normal((n, RANK), np.float32) @ within
    x += 0.1 * rng.standard_normal((n, d), np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def greedy(x: np.ndarray, budget: int) -> None:
    z, none = jnp.asarray(x), jnp.zeros(len(x), bool)
    base = scores.hardness(z, z[:CLASSES])
    first, second = warm(
        lambda: selectors.idc_from_scores(z, base, budget, labelled=none, candidates=~none)
    )
    floor = timed(lambda: plain.read(x, budget))
    loop = timed(lambda: plain.greedy_loop(x, np.asarray(base), budget, recompute=False))
    same = loop.result == second.result.indices.tolist()
    print(row("greedy: read x once per pick (floor)", floor))
    print(row("greedy: idc_jax", second, floor, f"same picks: {same}; first {first.wall:.1f} s"))
    print(row("greedy: NumPy, one comparison per pick", loop, floor))
    short = min(budget, 100)
    published = timed(lambda: plain.greedy_loop(x, np.asarray(base), short, recompute=True))
    print(row(f"greedy: O(NM²) loop, {short} picks", published))


def knn(x: np.ndarray, k: int = 20) -> None:
    z = jnp.asarray(x)
    first, second = warm(lambda: ops.knn(z, k))
    floor = timed(lambda: plain.blocked_product(x))
    rows = np.random.default_rng(0).integers(0, len(x), 200)
    true = plain.exact_neighbors(x, rows, k)
    found = np.asarray(second.result.indices)[rows]
    recall = np.mean([len(set(a) & set(b)) / k for a, b in zip(true, found, strict=True)])
    print(row("k-NN: blocked product x @ x.T (floor)", floor))
    print(row("k-NN: idc_jax", second, floor, f"recall {recall:.5f}; first {first.wall:.1f} s"))
    near = timed(lambda: ops.approximate_knn(z, k))
    share = float(ops.recall(jax.random.key(0), z, near.result))
    print(row("k-NN: idc_jax, approximate, with compiling", near, floor, f"recall {share:.3f}"))
    if importlib.util.find_spec("faiss"):
        import faiss

        index = faiss.IndexFlatL2(x.shape[1])
        index.add(x)
        print(row("k-NN: faiss-cpu, exact", timed(lambda: index.search(x, k + 1)), floor))


def kmeans(x: np.ndarray) -> None:
    z = jnp.asarray(x)
    _, second = warm(lambda: ops.kmeans(jax.random.key(0), z, CLASSES))
    print(row("k-means: idc_jax", second, None, f"inertia {float(second.result.inertia):.2f}"))
    if importlib.util.find_spec("sklearn"):
        from sklearn.cluster import KMeans

        peer = timed(lambda: KMeans(CLASSES, n_init=10, random_state=0).fit(x).inertia_)
        print(row("k-means: scikit-learn", peer, None, f"inertia {peer.result:.2f}"))


def baselines(x: np.ndarray, budget: int) -> None:
    z = jnp.asarray(x)
    clusters = ops.kmeans(jax.random.key(0), z, CLASSES, restarts=1)
    logits = 10.0 * ops.inner(z, clusters.centers)
    inputs = selectors.SelectorInputs(
        z, jax.nn.softmax(logits), clusters.centers, clusters.assignments
    )
    for name in selectors.names():
        if name not in ("idc", "dsac", "pcl"):  # these are k-NN and greedy above
            select = selectors.get(name).select
            once = timed(lambda select=select: select(jax.random.key(0), inputs, budget))
            print(row(f"{name}, with compiling", once, None, f"peak so far {peak_gib():.1f} GiB"))


def scale(n: int, d: int, budget: int) -> None:
    """The whole of IDC selection with approximate neighbours."""
    z = jnp.asarray(features(n, d))
    clusters = timed(lambda: ops.kmeans(jax.random.key(0), z, CLASSES, restarts=3))
    near = timed(lambda: ops.approximate_knn(z, 20))
    picks = timed(lambda: selectors.idc(z, clusters.result.centers, budget, neighbors=near.result))
    share = float(ops.recall(jax.random.key(1), z, near.result))
    for name, part in (("k-means", clusters), ("k-NN", near), ("scores and picks", picks)):
        print(row(f"n={n}: {name}", part))
    print(f"n={n}: recall {share:.3f}, peak {peak_gib():.2f} GiB")


def greedi(n: int, d: int, budget: int) -> None:
    z, none = jnp.asarray(features(n, d)), jnp.zeros(n, bool)
    base = scores.hardness(z, z[:CLASSES])
    exact = selectors.idc_from_scores(z, base, budget, labelled=none, candidates=~none)
    for parts in (4, 16, 64):
        found = selectors.idc_partitioned(z, base, budget, parts)
        loss = float(jnp.mean(exact.values) - jnp.mean(found.values))
        shared = len(set(exact.indices.tolist()) & set(found.indices.tolist()))
        print(f"| {n} | {parts} | {float(jnp.mean(exact.values)):.4f} | {loss:+.4f} | {shared} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("--parts", default="greedy,knn,kmeans,baselines")
    flags = parser.parse_args()
    parts = flags.parts.split(",")
    print(f"n={flags.n} d={flags.d} budget={flags.budget} on {jax.devices()[0].device_kind}")
    print(HEADER)
    if {"greedy", "knn", "kmeans", "baselines"} & set(parts):
        x = features(flags.n, flags.d)
    if "greedy" in parts:
        greedy(x, flags.budget)
    if "knn" in parts:
        knn(x)
    if "kmeans" in parts:
        kmeans(x)
    if "baselines" in parts:
        baselines(x, flags.budget)
    if "scale" in parts:
        scale(flags.n, flags.d, flags.budget)
    if "greedi" in parts:
        greedi(flags.n, flags.d, flags.budget)


if __name__ == "__main__":
    main()
