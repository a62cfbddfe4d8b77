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

    Args:
      function: ``(fresh [b], *blocks [b, ...])`` to a tree of arrays of fixed shapes, in which rows
        that are not ``fresh`` count for nothing.
      arrays: arrays with the same number of rows.
      block: rows of one block.
    """
    if how := sharded.divides(arrays[0].shape[0]):

        def own(*arrays: jax.Array) -> Rows:
            return jax.lax.psum(sum_rows(function, arrays, block), how.axis)

        return sharded.on_each(own, how, arrays, together=True)
    num_rows = arrays[0].shape[0]
    block = min(block, num_rows)
    shapes = jax.eval_shape(function, jnp.ones(block, bool), *(a[:block] for a in arrays))
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def step(total: Rows, start: jax.Array, fresh: jax.Array) -> Rows:
        parts = (jax.lax.dynamic_slice_in_dim(a, start, block) for a in arrays)
        return jax.tree.map(jnp.add, total, function(fresh, *parts))

    return scan_rows(step, zeros, num_rows, block)
