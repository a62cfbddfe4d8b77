"""Print which collectives the sharded searches compile to, on four devices."""

import json
import re

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from idc_jax.ops import approximate, neighbors, ring

BATCH = "batch"
KINDS = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")


def counted(compiled: jax.stages.Compiled) -> dict[str, int]:
    """How often each collective stands in the program."""
    text = compiled.as_text()
    found = {kind: len(re.findall(rf"\s{kind}(-start)?\(", text)) for kind in KINDS}
    return {kind: number for kind, number in found.items() if number}


def main() -> None:
    mesh = Mesh(np.asarray(jax.devices()), (BATCH,))
    points = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    rows = jax.device_put(points, NamedSharding(mesh, PartitionSpec(BATCH)))
    copies = jax.device_put(points, NamedSharding(mesh, PartitionSpec()))
    around = neighbors._knn_spread.lower(rows, 5, mesh, BATCH).compile()
    divided = neighbors._knn_divided.lower(copies, 5, mesh, BATCH).compile()
    wanted = neighbors.knn(jax.device_put(points), 5)
    found = {}
    for name, x in (("around", rows), ("divided", copies)):
        near = neighbors.knn(x, 5)
        found[name] = bool((np.asarray(near.indices) == np.asarray(wanted.indices)).all())
    # Of so few, exactly.
    searched = approximate.approximate_knn(rows, 5)
    found["searched"] = bool((np.asarray(searched.indices) == np.asarray(wanted.indices)).all())
    handed = ring._given_onwards.lower(rows, mesh, BATCH).compile()
    few = neighbors.knn(rows, 5, queries=jax.device_put(points[:7]))
    alone = neighbors.knn(jax.device_put(points), 5, queries=jax.device_put(points[:7]))
    found["among"] = bool((np.asarray(few.indices) == np.asarray(alone.indices)).all())
    # Rows that a program closes over.
    near = jax.jit(lambda few: neighbors.knn(rows, 5, queries=few))(jax.device_put(points[:7]))
    found["closed"] = bool((np.asarray(near.indices) == np.asarray(alone.indices)).all())
    sent = {"around": counted(around), "divided": counted(divided), "handed": counted(handed)}
    print(json.dumps(sent | {"same": found}))


if __name__ == "__main__":
    main()
