"""What is no single compiled program, done by each device that is here with what it has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
from jax.sharding import NamedSharding, PartitionSpec

from idc_jax.ops.inputs import in_32_bits
from idc_jax.ops.sharded import Rows

# A tree of arrays.
_Tree = TypeVar("_Tree")


def on_each_here(function: Callable[..., _Tree], how: Rows, *trees: Any) -> _Tree:
    """``function`` of what each device here has of ``trees``, which is no compiled program.

    Args:
      function: of arrays on one device, to a tree of arrays with rows there.
      how: rows are spread.
      trees: of arrays whose rows are spread, or which are whole on each device.
    """
    leaves, kind = jax.tree.flatten(trees)
    shards = [{shard.device: shard.data for shard in leaf.addressable_shards} for leaf in leaves]

    def of(device: jax.Device) -> _Tree:
        with in_32_bits(), jax.default_device(device):
            own = jax.tree.unflatten(kind, [shard[device] for shard in shards])
            return jax.block_until_ready(function(*own))

    devices = how.mesh.local_devices
    # In threads of their own, several devices work at once, and none is thought to be of a mesh.
    with ThreadPoolExecutor(len(devices)) as pool:
        found = list(pool.map(of, devices))

    def spread(*parts: jax.Array) -> jax.Array:
        shape = (len(parts[0]) * how.size, *parts[0].shape[1:])
        rows = NamedSharding(how.mesh, PartitionSpec(how.axis))
        return jax.make_array_from_single_device_arrays(shape, rows, list(parts))

    return jax.tree.map(spread, *found)
