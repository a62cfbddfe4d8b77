"""What is found of rows spread over four devices: ``python spread_search.py FOLDER``."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from idc_jax.ops import approximate, around, candidates, ring

N, D, K, GROUPS, BATCH = 8192, 384, 10, 16, "batch"
# Numbers of points that are sent, compared or kept at a time: much less than a shard.
FEW = 2**16
RECALL = 0.9


def samples() -> dict[str, np.ndarray]:
    """Rows ``[n, d]`` by how they lie, and over which devices."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, GROUPS, N)
    # Near a plane of 24 dimensions, so that neighbours are near and a view of few axes will do.
    plane = rng.normal(size=(24, D))
    inner = (3 * rng.normal(size=(GROUPS, 24)))[labels] + rng.normal(size=(N, 24))
    mixed = (inner @ plane + 0.05 * rng.normal(size=(N, D))).astype(np.float32)
    return {
        "mixed": mixed,
        "by_group": mixed[np.argsort(labels, kind="stable")],
        # Each row four times, most on other devices.
        "again": np.tile(mixed[: N // 4], (4, 1))[rng.permutation(N)],
    }


def spread(x: Any, mesh: Mesh) -> jax.Array:
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec(BATCH)))


def held(device: jax.Device) -> int:
    """Bytes of all arrays on ``device``, each once."""
    # Older JAX's shards wait for it.
    gc.collect()
    shards = (shard for array in jax.live_arrays() for shard in array.addressable_shards)
    data = [shard.data for shard in shards if shard.device == device]
    return sum({a.unsafe_buffer_pointer(): a.nbytes for a in data}.values())


def refused(*args: Any) -> None:
    raise AssertionError("the search is exact")


def main() -> None:
    mesh = Mesh(np.asarray(jax.devices()), (BATCH,))
    found: dict[str, Any] = {}
    exactly, approximate.knn = approximate.knn, refused
    around._KEPT_ON_CPUS, candidates._COMPARED, ring._PIECE = FEW, FEW, FEW
    most, each = [0], around.on_each_here

    def watched(*args: Any) -> Any:
        most.append(held(jax.devices()[0]))
        result = each(*args)
        most.append(held(jax.devices()[0]))
        return result

    around.on_each_here = candidates.on_each_here = watched
    for name, points in samples().items():
        x = spread(points, mesh)
        near = approximate.approximate_knn(x, K, recall=RECALL, cell=32)
        assert all(ring.axis_of_rows(a) == (mesh, BATCH) for a in near)
        found |= {f"{name}_indices": near.indices, f"{name}_distances2": near.distances2}
        del x, near
    found["held"] = max(most)
    points = samples()["mixed"]
    for kind in (jnp.bfloat16, jnp.float32):
        x = spread(points.astype(jnp.bfloat16).astype(kind), mesh)
        near = approximate.approximate_knn(x, K, cell=32, probes=3)
        found[f"{x.dtype}_indices"] = near.indices
        found[f"{x.dtype}_distances2"] = near.distances2
    inside = jax.jit(lambda: approximate.approximate_knn(x, K, cell=32, probes=3).indices)
    found["closed"] = inside()
    handed = ring._given_onwards.lower(x, mesh, BATCH).compile().memory_analysis()
    found |= {"beside": handed.temp_size_in_bytes, "in_place": handed.alias_size_in_bytes}
    # As if cells did not hold so many: then all are searched exactly.
    approximate.knn = exactly
    around._are_there = lambda distances2: jnp.isnan(distances2).any()
    found["lacking"] = approximate.approximate_knn(x, K, cell=32, probes=3).distances2
    np.savez(Path(sys.argv[1]) / "found.npz", **found)


if __name__ == "__main__":
    main()
