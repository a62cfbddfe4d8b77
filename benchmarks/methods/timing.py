"""How long a selection takes: DSAC over 60,000 samples, PCL over 390 blocks of 128.

    python benchmarks/methods/timing.py

Random embeddings; the median of three runs after the one that compiles.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from idc_jax import selectors
from idc_jax.ops import kmeans


def seconds(function: Callable[[], object]) -> tuple[float, float]:
    """The first run and the median of three more."""
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        jax.block_until_ready(function())
        taken.append(time.perf_counter() - start)
    return taken[0], statistics.median(taken[1:])


def dsac_selection(num_samples: int = 60_000, dim: int = 256, clusters: int = 20) -> None:
    x = jax.random.normal(jax.random.key(0), (num_samples, dim))
    found = kmeans(jax.random.key(1), x, clusters, restarts=1, max_iterations=5)
    first, later = seconds(lambda: selectors.dsac(x, found.centers, found.assignments, 40))
    print(f"DSAC, {num_samples} x {dim}: first {first:.2f} s, then {later:.2f} s", flush=True)


def pcl_query(blocks: int = 390, size: int = 128, dim: int = 128) -> None:
    first_key, second_key = jax.random.split(jax.random.key(0))
    one = jax.random.normal(first_key, (blocks, size, dim))
    other = one + 0.1 * jax.random.normal(second_key, one.shape)
    known = jnp.zeros((blocks, size, size), jnp.int8)
    first, later = seconds(
        lambda: selectors.pcl(one, known, blocks, other=other, remaining_fraction=0.5)
    )
    print(f"PCL, {blocks} blocks of {size}: first {first:.2f} s, then {later:.2f} s", flush=True)


if __name__ == "__main__":
    dsac_selection()
    pcl_query()
