"""Data-parallel training: one program over a mesh of devices, of one process or of several.

The raw samples, the network and the optimiser are on every device; each step's batch is split.
The programs are written for the whole batch, and XLA's partitioner puts in the communication, so
BatchNorm's statistics and the negatives of a contrast are those of the whole batch by
construction. A training function is told by where its data are: replicated over a mesh, the
batch is split over it. Of several processes each computes a small batch by itself.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from idc_jax.data.residency import Samples
from idc_jax.errors import UserError

# The mesh's only axis: batches are split along it.
BATCH = "batch"

# Numbers of a batch of images from which on it is worth splitting over processes: of less, the
# gradients' way costs more than the part of the batch that somebody else takes.
_WORTH_SENDING = 2**18
# The same of all samples, and of the whole run.
_WORTH_SHARING = 2**22

Tree = TypeVar("Tree")
Leaf = TypeVar("Leaf", bound=Any)


def all_devices() -> list[jax.Device]:
    """The devices of all processes.

    Raises:
      UserError: there is none of the kind that the environment asks for.
    """
    try:
        return jax.devices()
    except Exception as error:  # JAX raises one thing for a kind unknown and another for none.
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = re.split(r"\n| \(set JAX_PLATFORMS", str(error))[0]
        raise UserError(
            f"JAX has no device to work on (JAX_PLATFORMS is {asked!r}"
            f"{'; ' + reason if reason else ''}); set JAX_PLATFORMS=cpu to use the CPU"
        ) from error


def make_mesh(count: int = 0) -> Mesh | None:
    """The mesh of the first ``count`` devices of all processes, 0 for all; None for a single one.

    Raises:
      UserError: more devices than there are, or so few that some process would have none.
    """
    devices = all_devices()
    if count and jax.process_count() > 1 and count < len(devices):
        raise UserError(
            f"devices is {count}, but {jax.process_count()} processes work together on all "
            f"{len(devices)}: 0 takes them all"
        )
    if not 0 <= count <= len(devices):
        raise UserError(f"devices is {count}; there are {len(devices)}, and 0 takes them all")
    chosen = devices[: count or len(devices)]
    return None if len(chosen) == 1 else Mesh(np.asarray(chosen), (BATCH,))


def mesh_for(count: int, inputs: np.ndarray) -> Mesh | None:
    """The mesh that a run over ``inputs`` ``[n, ...]`` is spread over; see :func:`make_mesh`.

    Where nobody says how many devices, several processes that have little to do each do all of it
    on their own: that is quicker than to send parts, and to the bit what one process does.
    """
    mesh = make_mesh(count)
    if count or jax.process_count() == 1 or inputs.size >= _WORTH_SHARING:
        return mesh
    own = jax.local_devices()
    return None if len(own) == 1 else Mesh(np.asarray(own), (BATCH,))


def everywhere(mesh: Mesh | None) -> NamedSharding | None:
    """A copy on every device of ``mesh``."""
    return None if mesh is None else NamedSharding(mesh, PartitionSpec())


def mesh_of(samples: Samples) -> Mesh | None:
    """The mesh that ``samples`` are on; None where they are on one device."""
    sharding = samples.sharding
    if not isinstance(sharding, NamedSharding) or sharding.mesh.size == 1:
        return None
    mesh = sharding.mesh
    assert isinstance(mesh, Mesh)
    return mesh


def mesh_of_batch(mesh: Mesh | None, shape: tuple[int, ...]) -> Mesh | None:
    """The part of ``mesh`` that a step's batch of a ``shape`` ``[b, ...]`` is split over.

    Of several processes each computes a small batch as a whole, over devices of its own (None for
    a single one): no gradient is sent, and the program is the one that it would compile alone. So
    with all vectors: networks of them do little between two gradients.
    """
    images = len(shape) > 2
    if mesh is None or jax.process_count() == 1 or (images and math.prod(shape) >= _WORTH_SENDING):
        return mesh
    own = mesh.local_devices
    return None if len(own) == 1 else Mesh(np.asarray(own), (BATCH,))


def replicate(tree: Tree, mesh: Mesh | None) -> Tree:
    """Put a copy of every array of ``tree`` on each device of ``mesh``.

    Copies that are there stay, whatever other devices have some, too.

    Args:
      tree: of arrays, the same on all processes.
      mesh: of all processes or of this one; None leaves where they are arrays that are on this
        process's devices, and takes its own copy of those that others have, too.
    """
    if mesh is None:
        return jax.tree.map(lambda a: a if _is_ours(a) else a.addressable_data(0), tree)
    target = NamedSharding(mesh, PartitionSpec())
    several = jax.process_count() > 1
    if several:
        tree = jax.tree.map(partial(_of_copies, target=target, mesh=mesh), tree)
    if all(isinstance(a, jax.Array) and a.sharding == target for a in jax.tree.leaves(tree)):
        return tree
    # Each process has computed the same; asking the others whether it did would cost a round.
    return _placed_at(target)(tree) if several else jax.device_put(tree, target)


def on_own(tree: Tree, whole: Mesh | None, own: Mesh | None) -> Tree:
    """Copies on the devices ``own`` of arrays on those of ``whole``, perhaps spread over them.

    Args:
      tree: of arrays, of which some may be on this process's devices alone.
      whole: of all processes.
      own: what :func:`mesh_of_batch` made of it.
    """

    def together(leaf: Leaf) -> Leaf:
        return leaf if _is_ours(leaf) or leaf.is_fully_replicated else replicate(leaf, whole)

    return replicate(jax.tree.map(together, tree), own)


def _is_ours(leaf: Any) -> bool:
    """Whether all of an array is on this process's devices; what has no place yet is."""
    if isinstance(leaf, jax.core.Tracer) or not isinstance(leaf, jax.Array):
        return True
    return leaf.is_fully_addressable


def _of_copies(leaf: Leaf, target: NamedSharding, mesh: Mesh) -> Leaf | jax.Array:
    """A copied array on ``target``'s devices, of its copies there where this process has all."""
    if not isinstance(leaf, jax.Array) or not leaf.is_fully_replicated or leaf.sharding == target:
        return leaf
    copies = {shard.device: shard.data for shard in leaf.addressable_shards}
    if not target.addressable_devices <= copies.keys():
        return leaf
    # In the mesh's order, which keys of random numbers need.
    here = [copies[device] for device in mesh.local_devices]
    return jax.make_array_from_single_device_arrays(leaf.shape, target, here)


@cache
def _placed_at(target: NamedSharding) -> Callable[[Tree], Tree]:
    """Puts trees where ``target`` says: a program for each kind of tree, compiled once."""
    return jax.jit(lambda tree: tree, out_shardings=target)


def split(batch: jax.Array, mesh: Mesh | None) -> jax.Array:
    """Within a compiled function: split ``[b, ...]`` by its first axis over ``mesh``."""
    if mesh is None:
        return batch
    return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(BATCH)))
