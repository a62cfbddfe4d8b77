"""Prints the picks of some selectors, on whatever devices there are, as one line of JSON.

``device_run.py NAME,NAME... [coordinator num_processes process_id]``. Embeddings are sharded by
rows over all devices of all processes.
"""

import json
import sys

import jax
import numpy as np
import selector_inputs as cases
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from idc_jax import ops


def sharded(array: np.ndarray) -> jax.Array:
    """The array, its rows spread over all devices."""
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), P("data"))
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def main(names: str, *arguments: str) -> None:
    if arguments:
        address, num_processes, process_id = arguments
        jax.distributed.initialize(address, int(num_processes), int(process_id))
    inputs = cases.make(cases.N)
    x = sharded(np.asarray(inputs.embeddings))
    inputs = inputs._replace(embeddings=x)
    found = {name: cases.picks(name, inputs, cases.BUDGET).tolist() for name in names.split(",")}
    neighbors = ops.knn(x, 5)
    every = NamedSharding(neighbors.indices.sharding.mesh, P())
    replicate = jax.jit(lambda a: a, out_shardings=every)
    found["knn"] = np.asarray(replicate(neighbors.indices)).tolist()
    if jax.process_index() == 0:
        print(json.dumps({"devices": len(jax.devices()), "picks": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
