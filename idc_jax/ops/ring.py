"""Nearest neighbours of points that are spread over devices, or over hosts.

Each device keeps its own points as queries; the points go round the ring, one shard per step,
and each device merges what the visiting shard offers. A device holds two shards and a stripe of
distances, and sends each shard on once per step: ``n·d`` numbers in all.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from idc_jax.ops import topk

# (queries [q, d], points [p, d], whether they are the same, k) -> (distances2, indices) [q, k].
Nearest = Callable[[jax.Array, jax.Array, jax.Array, int], tuple[jax.Array, jax.Array]]
# (x [n, d], k) -> (distances2, indices) [n, k] of the others, on the device of x.
Search = Callable[[jax.Array, int], tuple[jax.Array, jax.Array]]


def axis_of_rows(x: jax.Array) -> tuple[Mesh, str] | None:
    """Mesh and axis over which the rows of ``x`` are spread, None where they are together.

    Nothing is known of an array that is being traced: there, too, None.
    """
    if isinstance(x, jax.core.Tracer) or not isinstance(x.sharding, NamedSharding):
        return None
    spec = x.sharding.spec
    axis = spec[0] if spec else None
    axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    mesh = x.sharding.mesh
    if not isinstance(mesh, Mesh) or not isinstance(axis, str) or mesh.shape[axis] == 1:
        return None
    return mesh, axis


def axis_of_copies(x: jax.Array) -> tuple[Mesh, str] | None:
    """Mesh and axis over which each device has all of ``x``; None where one device alone has it.

    Nothing is known of an array that is being traced: there, too, None.
    """
    if isinstance(x, jax.core.Tracer) or not isinstance(x.sharding, NamedSharding):
        return None
    mesh = x.sharding.mesh
    if not isinstance(mesh, Mesh) or len(mesh.axis_names) != 1 or mesh.size == 1:
        return None
    return (mesh, mesh.axis_names[0]) if x.sharding.is_fully_replicated else None


def knn_around(
    x: jax.Array, k: int, mesh: Mesh, axis: str, nearest: Nearest
) -> tuple[jax.Array, jax.Array]:
    """Distances and indices ``[n, k]`` of the nearest others, rows spread like those of ``x``.

    Args:
      x: points ``[n, d]``, rows spread over ``axis`` of ``mesh``.
      k: neighbours, less than ``n``.
      mesh: devices.
      axis: name of the axis.
      nearest: exact neighbours of one shard within another; a point is not its own neighbour
        where the two are the same, but may fill a place at infinite distance.
    """
    size = mesh.shape[axis]
    rows = x.shape[0] // size

    def local(own: jax.Array) -> tuple[jax.Array, jax.Array]:
        me = jax.lax.axis_index(axis)

        def step(i: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            visiting, scores, indices = state
            host = (me + i) % size
            distances2, found = nearest(own, visiting, i == 0, min(k, rows))
            scores, indices = topk.merge(scores, indices, -distances2, found + host * rows)
            onwards = [((j + 1) % size, j) for j in range(size)]
            return jax.lax.ppermute(visiting, axis, onwards), scores, indices

        scores = jnp.full((rows, k), -jnp.inf, jnp.float32)
        empty = (own, scores, jnp.zeros((rows, k), jnp.int32))
        _, scores, indices = jax.lax.fori_loop(0, size, step, empty)
        distances2, indices = jax.lax.sort((-scores, indices), num_keys=2)
        return distances2, indices

    spread = P(axis)
    around = jax.shard_map(
        local, mesh=mesh, in_specs=spread, out_specs=(spread, spread), check_vma=False
    )
    return around(x)


def search_around(
    x: jax.Array, k: int, mesh: Mesh, axis: str, search: Search
) -> tuple[jax.Array, jax.Array]:
    """:func:`knn_around` by a ``search`` that is no compiled program, one device's at a time.

    The shards go round the ring; each device searches its own and the visiting one together, and
    keeps what its own points find. A neighbour that a search finds has several chances.

    Args:
      x: points ``[n, d]``, rows spread over ``axis`` of ``mesh``.
      k: neighbours, less than two shards have points.
      mesh: devices.
      axis: name of the axis.
      search: finds neighbours of points within themselves.
    """
    size, rows = mesh.shape[axis], x.shape[0] // mesh.shape[axis]
    places = {device: place for place, device in enumerate(mesh.devices.flat)}
    own = {shard.device: shard.data for shard in x.addressable_shards}
    best: dict[Any, tuple[jax.Array, jax.Array]] = {}

    def look(step: int, device: Any, visiting: jax.Array) -> None:
        me = places[device]
        found = _joined(own[device], visiting, k, search)
        found = _placed(*found, me * rows, (me + step) % size * rows)
        best[device] = _merged(best[device], found) if device in best else found

    onwards, visiting = _onwards(mesh, axis), x
    # In threads of their own, several devices work at once, and none is thought to be of a mesh.
    with ThreadPoolExecutor(len(own)) as pool:
        for step in range(1, size):
            visiting = onwards(visiting)
            for done in [
                pool.submit(look, step, shard.device, shard.data)
                for shard in visiting.addressable_shards
            ]:
                done.result()
    spread = NamedSharding(mesh, P(axis))
    put = partial(jax.make_array_from_single_device_arrays, (x.shape[0], k), spread)
    distances2, indices = (put([best[device][i] for device in own]) for i in range(2))
    return distances2, indices


def _onwards(mesh: Mesh, axis: str) -> Callable[[jax.Array], jax.Array]:
    """Hands every shard on to the device before."""
    size = mesh.shape[axis]

    def local(x: jax.Array) -> jax.Array:
        return jax.lax.ppermute(x, axis, [((j + 1) % size, j) for j in range(size)])

    spread = P(axis)
    return jax.jit(jax.shard_map(local, mesh=mesh, in_specs=spread, out_specs=spread))


def _joined(
    own: jax.Array, visiting: jax.Array, k: int, search: Search
) -> tuple[jax.Array, jax.Array]:
    """What the points of ``own`` ``[m, d]`` find among these and the ``visiting``: ``[m, k]``."""
    distances2, indices = search(jnp.concatenate([own, visiting]), k)
    return distances2[: len(own)], indices[: len(own)]


@jax.jit
def _placed(
    distances2: jax.Array, indices: jax.Array, own: int, visiting: int
) -> tuple[jax.Array, jax.Array]:
    """The indices among all points, where two shards begin at ``own`` and at ``visiting``."""
    rows = len(indices)
    return distances2, jnp.where(indices < rows, indices + own, indices - rows + visiting)


@jax.jit
def _merged(
    best: tuple[jax.Array, jax.Array], found: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The nearest ``[m, k]`` of both, each once."""
    k = best[0].shape[1]
    distances2, indices = (jnp.concatenate(both, axis=1) for both in zip(best, found, strict=True))
    indices, distances2 = jax.lax.sort((indices, distances2), num_keys=2)
    again = jnp.pad(indices[:, 1:] == indices[:, :-1], ((0, 0), (1, 0)))
    distances2 = jnp.where(again, jnp.inf, distances2)
    distances2, indices = jax.lax.sort((distances2, indices), num_keys=2)
    return distances2[:, :k], indices[:, :k]
