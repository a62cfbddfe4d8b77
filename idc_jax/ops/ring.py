"""Nearest neighbours of points that are spread over devices, or over hosts.

Each device keeps its own points as queries; the points go round the ring, one shard per step,
and each device merges what the visiting shard offers. A device holds two shards and a stripe of
distances, and sends each shard on once per step: ``n·d`` numbers in all.

What is no single program (:mod:`idc_jax.ops.around`) takes the steps of the ring one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from idc_jax.ops import topk

# (queries [q, d], points [p, d], whether they are the same, k) -> (distances2, indices) [q, k].
Nearest = Callable[[jax.Array, jax.Array, jax.Array, int], tuple[jax.Array, jax.Array]]
# An array, or a tree of arrays.
Tree = TypeVar("Tree")

# Numbers that a device sends at a time: 16 MB.
_PIECE = 2**22


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


def numbers(size: int) -> jax.Array:
    """The number of each of ``size`` devices, int32; spread over them, each has its own.

    ``axis_index`` would be no part of a program where what is :func:`~idc_jax.ops.arrays.known` is
    computed at once.
    """
    return jnp.arange(size, dtype=jnp.int32)


def onwards(tree: Tree, mesh: Mesh, axis: str) -> Tree:
    """Every shard of the arrays of ``tree``, whose rows are spread, on the device before."""
    return _onwards(tree, mesh, axis)


def given_onwards(tree: Tree, mesh: Mesh, axis: str) -> Tree:
    """:func:`onwards` of what nobody needs any more: what comes takes the place of what goes."""
    return _given_onwards(tree, mesh, axis)


def _sent(tree: Tree, mesh: Mesh, axis: str) -> Tree:
    size = mesh.shape[axis]
    onwards = [((j + 1) % size, j) for j in range(size)]
    spread = P(axis)

    def local(tree: Tree) -> Tree:
        send = partial(jax.lax.ppermute, axis_name=axis, perm=onwards)
        return jax.tree.map(partial(_in_pieces, send), tree)

    sent = jax.shard_map(local, mesh=mesh, in_specs=spread, out_specs=spread, check_vma=False)
    return sent(tree)


_onwards = jax.jit(_sent, static_argnames=("mesh", "axis"))
_given_onwards = jax.jit(_sent, static_argnames=("mesh", "axis"), donate_argnames="tree")


def _in_pieces(send: Callable[[jax.Array], jax.Array], rows: jax.Array) -> jax.Array:
    """What ``send`` makes of ``rows`` ``[m, ...]``, a few at a time, in their place."""
    piece = max(1, _PIECE * len(rows) // max(1, rows.size))
    if len(rows) <= piece:
        return send(rows)

    def of(rows: jax.Array, start: int | jax.Array, count: int) -> jax.Array:
        sent = send(jax.lax.dynamic_slice_in_dim(rows, start, count))
        return jax.lax.dynamic_update_slice_in_dim(rows, sent, start, 0)

    whole, rest = divmod(len(rows), piece)
    rows = jax.lax.fori_loop(0, whole, lambda i, rows: of(rows, i * piece, piece), rows)
    return of(rows, whole * piece, rest) if rest else rows
