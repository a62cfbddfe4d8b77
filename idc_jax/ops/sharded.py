"""Rows that are spread over the devices of a mesh: each device works on its own.

XLA's partitioner divides sums, products and what is done to each row by itself. Where it would
bring all rows to every device first (loops over blocks of rows, the largest of all rows,
neighbours' rows), the functions here say what each device does instead. They find the mesh in
JAX's context, which :func:`like` sets; without one they do the same on one device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple, TypeGuard, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from idc_jax.ops.ring import axis_of_rows
from idc_jax.ops.sums import added_by, sums_by

_Tree = TypeVar("_Tree")

# Numbers of other devices' rows that a device holds at a time: 64 MB.
_COLUMNS = 2**24


class Rows(NamedTuple):
    """How rows are spread.

    Attributes:
      axis: the mesh's only axis.
      size: devices.
      mesh: what :func:`jax.shard_map` takes.
    """

    axis: str
    size: int
    mesh: Any


def like(*arrays: Any) -> AbstractContextManager[object]:
    """Where what is compiled works on rows that are spread as those of the first of ``arrays``.

    Of an array whose rows are together, or of a mesh of several axes, nothing is set.
    """
    for array in arrays:
        found = axis_of_rows(array) if isinstance(array, jax.Array) else None
        if found and len(found[0].axis_names) == 1:
            return _over(found[0])
    return contextlib.nullcontext()


def is_spread(array: Any) -> TypeGuard[jax.Array]:
    """Whether the rows of ``array`` are spread over devices."""
    return isinstance(array, jax.Array) and axis_of_rows(array) is not None


@contextlib.contextmanager
def _over(mesh: Mesh) -> Iterator[None]:
    # What it was called before it was settled.
    use: Any = getattr(jax, "set_mesh", None) or jax.sharding.use_mesh  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        # Within what is being compiled it is refused, and left to the partitioner.
        with contextlib.suppress(ValueError):
            stack.enter_context(use(mesh))
        yield


def current() -> Rows | None:
    """How rows are spread here; None where they are together, or inside one device's part."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh is None or len(mesh.axis_names) != 1 or mesh.size == 1:
        return None
    if any(kind == jax.sharding.AxisType.Manual for kind in mesh.axis_types):
        return None
    return Rows(mesh.axis_names[0], mesh.size, mesh)


def divides(num_rows: int) -> Rows | None:
    """The same, where so many rows are as many on each device."""
    found = current()
    return found if found and num_rows % found.size == 0 else None


def on_each(
    function: Callable[..., _Tree],
    how: Rows,
    arrays: tuple[Any, ...],
    *,
    shared: tuple[Any, ...] = (),
    together: bool = False,
) -> _Tree:
    """``function`` of each device's own rows of ``arrays``.

    Args:
      function: takes ``arrays`` and ``shared``, and may use ``how.axis``. What it closes over is
        whole on each device, too, but cannot be indexed.
      how: rows are spread.
      arrays: trees of arrays, each with a number of rows that the devices divide.
      shared: trees of arrays that are whole on each device.
      together: whether what it returns is alike on all devices; else it has rows again.
    """
    rows, whole = PartitionSpec(how.axis), PartitionSpec()
    mapped = jax.shard_map(
        function,
        mesh=how.mesh,
        in_specs=(*[rows] * len(arrays), *[whole] * len(shared)),
        out_specs=whole if together else rows,
        check_vma=False,
    )
    return mapped(*arrays, *shared)


def alike(function: Callable[..., _Tree], *arrays: Any) -> _Tree:
    """``function`` of trees of ``arrays`` that are whole on each device, all of it on each.

    The partitioner would divide it, and sums of parts are rounded in another way.
    """
    how = current()
    return on_each(function, how, (), shared=arrays, together=True) if how else function(*arrays)


def top_k(values: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The ``k`` largest of ``values`` ``[n]`` and where they are; the lower place among equals."""
    how = divides(values.shape[0])
    if how is None:
        largest, places = jax.lax.top_k(values, k)
        return largest, places
    own = values.shape[0] // how.size

    def local(values: jax.Array) -> tuple[jax.Array, jax.Array]:
        best, places = jax.lax.top_k(values, min(k, own))
        places = places + jax.lax.axis_index(how.axis).astype(places.dtype) * own
        # In the order of the devices, so that the lower place stays first among equals.
        best, places = (jax.lax.all_gather(a, how.axis, tiled=True) for a in (best, places))
        best, found = jax.lax.top_k(best, k)
        return best, places[found]

    return on_each(local, how, (values,), together=True)


def two_largest(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest and the second largest of each row of ``values`` ``[n, c]``, c at least 2.

    ``top_k`` would be one call, for which XLA's partitioner brings all rows to every device.
    """
    first = jnp.argmax(values, axis=1)
    others = jnp.arange(values.shape[1]) != first[:, None]
    return jnp.max(values, axis=1), jnp.max(values, axis=1, where=others, initial=-jnp.inf)


def by_columns(function: Callable[..., jax.Array], x: jax.Array, *graph: Any) -> jax.Array:
    """``function`` of ``x`` ``[n, d]`` and of a graph whose rows name any rows of ``x``.

    Args:
      function: ``(own [m, e], x [n, e], *graph) -> [m, e]``, column by column the same; the m rows
        of ``own``, of the graph and of what is returned are those of one device, which holds a few
        columns of all rows at a time.
      x: ``[n, d]``.
      *graph: trees of arrays ``[n, ...]``.
    """
    how = divides(x.shape[0])
    if how is None:
        return function(x, x, *graph)
    n, width = x.shape
    block = max(1, min(width, _COLUMNS // n))
    count = -(-width // block)
    padded = jnp.pad(x, ((0, 0), (0, count * block - width)))

    def local(x: jax.Array, *graph: Any) -> jax.Array:
        def columns(i: jax.Array, out: jax.Array) -> jax.Array:
            own = jax.lax.dynamic_slice_in_dim(x, i * block, block, axis=1)
            whole = jax.lax.all_gather(own, how.axis, tiled=True)
            found = function(own, whole, *graph)
            return jax.lax.dynamic_update_slice_in_dim(out, found, i * block, axis=1)

        return jax.lax.fori_loop(0, count, columns, jnp.zeros_like(x))

    return on_each(local, how, (padded, *graph))[:, :width]


def at(values: jax.Array, indices: jax.Array) -> jax.Array:
    """``values`` ``[n]`` at the ``indices`` ``[n, k]``."""
    how = divides(values.shape[0])
    if how is None:
        return values[indices]

    def local(values: jax.Array, indices: jax.Array) -> jax.Array:
        return jax.lax.all_gather(values, how.axis, tiled=True)[indices]

    return on_each(local, how, (values, indices))


def take(x: jax.Array, places: jax.Array) -> jax.Array:
    """The rows of ``x`` ``[n, ...]`` at a few ``places`` (whole on each device), in their shape."""
    how = divides(len(x))
    if how is None:
        return x[places]
    size = len(x) // how.size

    def local(x: jax.Array, places: jax.Array) -> jax.Array:
        own = places - jax.lax.axis_index(how.axis).astype(places.dtype) * size
        there = ((own >= 0) & (own < size)).reshape(*places.shape, *[1] * (x.ndim - 1))
        found = jnp.where(there, x[jnp.clip(own, 0, size - 1)], 0)
        return jax.lax.psum(found, how.axis).astype(x.dtype)

    return on_each(local, how, (x,), shared=(places,), together=True)


def rows_at(tree: _Tree, places: jax.Array) -> _Tree:
    """:func:`take` of every array of ``tree``, for callers outside compiled functions."""
    with like(*jax.tree.leaves(tree)):
        return _rows_at(tree, places)


@jax.jit
def _rows_at(tree: _Tree, places: jax.Array) -> _Tree:
    return jax.tree.map(lambda a: take(a, places), tree)


def sums_at(indices: jax.Array, values: jax.Array) -> jax.Array:
    """The sum ``[n]`` of the ``values`` ``[n, k]`` whose ``indices`` ``[n, k]`` name each row.

    Devices add theirs one after the other, in the order of one device.
    """
    n, how = len(indices), divides(len(indices))
    if how is None:
        return sums_by(indices.ravel(), values.ravel(), n)
    own = n // how.size

    def local(indices: jax.Array, values: jax.Array) -> jax.Array:
        me = jax.lax.axis_index(how.axis)

        def add(turn: jax.Array, sums: jax.Array) -> jax.Array:
            added = added_by(sums, indices.ravel(), values.ravel())
            return jax.lax.psum(jnp.where(me == turn, added, 0), how.axis)

        sums = jax.lax.fori_loop(0, how.size, add, jnp.zeros(n, values.dtype))
        return jax.lax.dynamic_slice_in_dim(sums, me * own, own)

    return on_each(local, how, (indices, values))


def rows_over(mesh: Mesh) -> NamedSharding:
    """Rows that are spread over ``mesh``, of one axis."""
    return NamedSharding(mesh, PartitionSpec(*mesh.axis_names))


def spread_out(x: jax.Array, mesh: Mesh | None) -> jax.Array:
    """``x`` ``[n, ...]`` spread over ``mesh``, with first rows again at the end where any miss.

    Fewer rows than there are devices stay together.
    """
    if mesh is None or axis_of_rows(x) or len(x) < mesh.size:
        return x
    more = -len(x) % mesh.size
    return jax.jit(lambda x: jnp.concatenate([x, x[:more]]), out_shardings=rows_over(mesh))(x)


def first(tree: _Tree, size: int) -> _Tree:
    """The first ``size`` rows of every array of ``tree``, whole on each device.

    Called outside compiled functions: what follows them are repeats, which mean nothing.
    """
    leaves = jax.tree.leaves(tree)
    if all(len(leaf) == size and not is_spread(leaf) for leaf in leaves):
        return tree
    with like(*leaves):
        return _first(tree, size)


@partial(jax.jit, static_argnames=("size",))
def _first(tree: _Tree, size: int) -> _Tree:
    return jax.tree.map(lambda a: a[:size], whole(tree))


def whole(tree: _Tree) -> _Tree:
    """Within a compiled function: every array of ``tree`` whole on each device."""
    how = current()
    if how is None:
        return tree
    return jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, PartitionSpec()), tree)
