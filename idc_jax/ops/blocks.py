"""Walking over the rows of a matrix in blocks, without padding or copying it.

Where rows are spread over devices (:mod:`idc_jax.ops.sharded`), each device walks over its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from idc_jax.ops import sharded

# Numbers of a few columns of all rows that are worked on at a time: 64 MB, but for each row a
# line of a CPU's cache at the least, where that is enough. Columns come by fours.
_COLUMNS, _FEWEST, _FOURS = 2**24, 16, 4
# Parts of the rows that are added up by themselves, and of how many rows.
_PARTS, _PARTS_FROM = 8, 8192

Carry = TypeVar("Carry")
# An array, or a tree of arrays, with as many rows as went in.
Rows = TypeVar("Rows")


def scan_rows(
    step: Callable[[Carry, jax.Array, jax.Array], Carry], carry: Carry, num_rows: int, block: int
) -> Carry:
    """Fold ``step`` over blocks of rows.

    The last block is moved back to stay inside the matrix, so it overlaps its predecessor;
    ``fresh`` tells the rows that no earlier block has seen.

    Args:
      step: ``(carry, start, fresh [block]) -> carry``; the block is rows
        ``start .. start + block``.
      carry: what the first step starts from.
      num_rows: rows in all.
      block: rows of one block; at most ``num_rows`` are used.
    """
    if num_rows <= block:
        # No loop: it would be most of what there is to compile.
        return step(carry, jnp.int32(0), jnp.ones(num_rows, bool))

    def body(i: jax.Array, carry: Carry) -> Carry:
        start = jnp.minimum(i * block, num_rows - block)
        fresh = start + jnp.arange(block) >= i * block
        return step(carry, start, fresh)

    return jax.lax.fori_loop(0, math.ceil(num_rows / block), body, carry)


def map_rows(
    function: Callable[..., Rows],
    arrays: tuple[jax.Array, ...],
    block: int,
    shared: tuple[Any, ...] = (),
) -> Rows:
    """``function`` of blocks of rows of ``arrays``, its results put together along axis 0.

    Args:
      function: takes one ``[b, ...]`` block of each array, and what is ``shared``; returns
        ``[b, ...]``, or a tree of such arrays.
      arrays: arrays with the same number of rows.
      block: rows of one block.
      shared: trees of arrays that it takes besides, the same for all blocks: at least what it
        indexes.
    """
    if how := sharded.divides(arrays[0].shape[0]):

        def own(arrays: tuple[jax.Array, ...], shared: tuple[Any, ...]) -> Rows:
            return map_rows(function, arrays, block, shared)

        return sharded.on_each(own, how, (arrays,), shared=(shared,))
    num_rows = arrays[0].shape[0]
    if num_rows <= block:
        return function(*arrays, *shared)
    shapes = jax.eval_shape(function, *(a[:block] for a in arrays), *shared)
    empty = jax.tree.map(lambda a: jnp.zeros((num_rows, *a.shape[1:]), a.dtype), shapes)

    def step(out: Rows, start: jax.Array, fresh: jax.Array) -> Rows:
        del fresh  # the overlap is written twice with the same values
        parts = (jax.lax.dynamic_slice_in_dim(a, start, block) for a in arrays)
        put = partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
        return jax.tree.map(put, out, function(*parts, *shared))

    return scan_rows(step, empty, num_rows, block)


def sum_rows(function: Callable[..., Rows], arrays: tuple[jax.Array, ...], block: int) -> Rows:
    """The sum of ``function`` over blocks of rows of ``arrays``.

    Of many rows that can be cut in eight parts, those of the parts are added in their order: it is
    the same to the bit on 1, 2, 4 or 8 devices.

    Args:
      function: ``(fresh [b], *blocks [b, ...])`` to a tree of arrays of fixed shapes, in which rows
        that are not ``fresh`` count for nothing.
      arrays: arrays with the same number of rows.
      block: rows of one block at most.
    """
    num_rows = arrays[0].shape[0]
    how = sharded.divides(num_rows)
    by_parts = num_rows >= _PARTS_FROM and num_rows % _PARTS == 0
    if how and not (by_parts and _PARTS % how.size == 0):

        def own(*arrays: jax.Array) -> Rows:
            return jax.lax.psum(_sum_of(function, arrays, block), how.axis)

        return sharded.on_each(own, how, arrays, together=True)
    if not by_parts:
        return _sum_of(function, arrays, block)
    part = num_rows // _PARTS

    def sum_of_part(number: jax.Array, *arrays: jax.Array) -> Rows:
        return _sum_of(function, arrays, block, (number * part, part))

    if how is None:
        return _in_order(lambda number: sum_of_part(number, *arrays))

    def sums_of_own(*arrays: jax.Array) -> Rows:
        numbers = jnp.arange(_PARTS // how.size)
        sums = jax.lax.map(lambda number: sum_of_part(number, *arrays), numbers)
        sums = jax.lax.all_gather(sums, how.axis, tiled=True)
        return _in_order(lambda number: jax.tree.map(lambda a: a[number], sums))

    return sharded.on_each(sums_of_own, how, arrays, together=True)


def _in_order(sum_of_part: Callable[[jax.Array], Rows]) -> Rows:
    shapes = jax.eval_shape(sum_of_part, jnp.int32(0))
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def step(number: jax.Array, total: Rows) -> Rows:
        return jax.tree.map(jnp.add, total, sum_of_part(number))

    return jax.lax.fori_loop(0, _PARTS, step, zeros)


def _sum_of(
    function: Callable[..., Rows],
    arrays: tuple[jax.Array, ...],
    block: int,
    part: tuple[jax.Array, int] | None = None,
) -> Rows:
    """The sum over all rows on one device, or over a ``part`` by its start and length."""
    first, num_rows = part or (jnp.int32(0), arrays[0].shape[0])
    # As even as can be: no row is looked at twice for nothing.
    block = -(-num_rows // -(-num_rows // block))
    shapes = jax.eval_shape(function, jnp.ones(block, bool), *(a[:block] for a in arrays))
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def step(total: Rows, start: jax.Array, fresh: jax.Array) -> Rows:
        parts = (jax.lax.dynamic_slice_in_dim(a, first + start, block) for a in arrays)
        return jax.tree.map(jnp.add, total, function(fresh, *parts))

    return scan_rows(step, zeros, num_rows, block)


def total(values: jax.Array) -> jax.Array:
    """The sum of ``values`` ``[n]``, made as :func:`sum_rows` makes it."""

    def of_block(fresh: jax.Array, values: jax.Array) -> jax.Array:
        return jnp.sum(values, where=fresh)

    return sum_rows(of_block, (values,), len(values))


def replace_rows(
    function: Callable[..., jax.Array], x: jax.Array, block: int, shared: tuple[jax.Array, ...] = ()
) -> jax.Array:
    """``x`` with what ``function`` makes of blocks of its rows in their place.

    Within a program in which nothing else needs ``x``, nothing as large is held beside it.

    Args:
      function: ``(number, fresh [b], rows [b, d], *shared) -> [b, d]``; which block it is, and its
        rows, of which those that are not ``fresh`` have been replaced before, and stay.
      x: ``[n, d]``.
      block: rows of one block.
      shared: what it takes besides: at least what it indexes.
    """
    if how := sharded.divides(len(x)):

        def own(x: jax.Array, shared: tuple[jax.Array, ...]) -> jax.Array:
            return replace_rows(function, x, block, shared)

        return sharded.on_each(own, how, (x,), shared=(shared,))
    if len(x) <= block:
        return function(jnp.int32(0), jnp.ones(len(x), bool), x, *shared)

    def step(x: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        rows = jax.lax.dynamic_slice_in_dim(x, start, block)
        new = function(-(-start // block), fresh, rows, *shared)
        new = jnp.where(fresh[:, None], new, rows)
        return jax.lax.dynamic_update_slice_in_dim(x, new, start, 0)

    return scan_rows(step, x, len(x), block)


def num_columns(num_rows: int, width: int) -> int:
    """Of ``width`` columns, how many of so many rows are worked on at a time.

    As few as make no more parts, by fours: 20 columns are twice 12 rather than twice 16.
    """
    how = sharded.divides(num_rows)
    own = num_rows // how.size if how else num_rows
    num_parts = -(-width // max(_FEWEST, _COLUMNS // own))
    return min(width, -(-width // max(num_parts, 1) // _FOURS) * _FOURS)


def replace_columns(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """``x`` ``[n, d]`` with what ``function`` makes of a few of its columns in their place.

    Args:
      function: of float32 ``[n, e]`` to ``[n, e]``, column by column the same.
      x: ``[n, d]`` of any precision, which stays.
    """
    width = num_columns(*x.shape)
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    if width == x.shape[1]:
        return function(x.astype(dtype)).astype(x.dtype)

    def step(x: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        before = jax.lax.dynamic_slice_in_dim(x, start, width, axis=1)
        after = function(before.astype(dtype)).astype(x.dtype)
        return jax.lax.dynamic_update_slice_in_dim(x, jnp.where(fresh, after, before), start, 1)

    return scan_rows(step, x, x.shape[1], width)
