"""What is made of rows on 1, 2, 4 and 8 devices: ``python rows_by_devices.py FILE``."""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from idc_jax import ops
from idc_jax.methods.common.choosing import mean_centers
from idc_jax.methods.common.spread import spread_answers
from idc_jax.ops import narrow, sharded
from idc_jax.ops.graph import decorrelate_neighbors

# With fewer than 4,096 rows to a device, XLA computes single rows otherwise.
N, D, GROUPS, K = 32_768, 24, 6, 7
DEVICES = (1, 2, 4, 8)
MADE = ("mean", "turned", "neighbors", "centers", "assignments", "inertia", "means", "spread")


def samples() -> tuple[np.ndarray, jax.Array]:
    """Rows ``[n, d]`` and their groups ``[n]``."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, GROUPS, N)
    x = 2 * rng.normal(size=(GROUPS, D))[groups] + rng.normal(size=(N, D))
    return x.astype(np.float32), jnp.asarray(groups, jnp.int32)


def made(x: jax.Array, groups: jax.Array) -> tuple[jax.Array, ...]:
    key = jax.random.key(0)
    choice = jnp.where(jnp.arange(N) % 97 == 0, groups, -3)
    prior = 0.5 * jax.nn.one_hot(groups, GROUPS) + 0.5 / GROUPS
    with sharded.like(x):
        turned = decorrelate_neighbors(key, x)
        near = ops.knn(turned, K)
        clusters = ops.kmeans(key, turned, GROUPS, restarts=3)
        means, _ = mean_centers(x, groups, GROUPS)
        spread = spread_answers(near, prior, prior, choice, jnp.zeros((N, GROUPS), bool), 0.9)
        return (jax.jit(narrow.mean)(x), turned, near.indices, *clusters, means, spread)


def main() -> None:
    found = {}
    rows, groups = samples()
    for count in DEVICES:
        mesh = Mesh(np.asarray(jax.devices()[:count]), ("rows",))
        x = jnp.asarray(rows) if count == 1 else jax.device_put(rows, sharded.rows_over(mesh))
        for name, value in zip(MADE, made(x, groups), strict=True):
            found[f"{name}_{count}"] = np.asarray(value)
    np.savez(sys.argv[1], **found)


if __name__ == "__main__":
    main()
