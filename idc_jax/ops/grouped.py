"""Nearest neighbours within groups, at the cost of the groups' own sizes."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays
from idc_jax.ops.shapes import Array, Int, Num

_ROWS, _COLUMNS = 256, 1024


@functools.partial(jax.jit, static_argnames=("k",))
def nearest_in_group(x: Num[Array, "n d"], groups: Int[Array, "n"], k: int) -> jax.Array:
    """Squared distances ``[n, k]`` to the ``k`` nearest others of the same group, ascending.

    Rows are sorted by group, so that only tiles along the diagonal hold any pair of a group.

    Args:
      x: points ``[n, d]``.
      groups: int ``[n]``, none negative.
      k: neighbours; infinite distances stand where a group has fewer.
    """
    n = x.shape[0]
    order = jnp.argsort(groups, stable=True)
    padding = -n % _COLUMNS
    rows = jnp.pad(x[order], ((0, padding), (0, 0)))
    # Padding is a group of its own.
    ids = jnp.pad(groups[order], (0, padding), constant_values=-1)
    sorted_ids = groups[order]

    def block(b: jax.Array, out: jax.Array) -> jax.Array:
        start = b * _ROWS
        points = jax.lax.dynamic_slice_in_dim(rows, start, _ROWS)
        own = jax.lax.dynamic_slice_in_dim(ids, start, _ROWS)
        first = jnp.searchsorted(sorted_ids, own[0])
        last = jnp.searchsorted(sorted_ids, jnp.max(own), side="right")

        def columns(j: jax.Array, best: jax.Array) -> jax.Array:
            others = jax.lax.dynamic_slice_in_dim(rows, j * _COLUMNS, _COLUMNS)
            theirs = jax.lax.dynamic_slice_in_dim(ids, j * _COLUMNS, _COLUMNS)
            places = j * _COLUMNS + jnp.arange(_COLUMNS)
            self = (start + jnp.arange(_ROWS))[:, None] == places[None]
            usable = (own[:, None] == theirs[None]) & ~self
            near = jnp.where(usable, -arrays.squared_distances(points, others), -jnp.inf)
            return jax.lax.top_k(jnp.concatenate([best, near], axis=1), k)[0]

        none = jnp.full((_ROWS, k), -jnp.inf)
        stop = (last + _COLUMNS - 1) // _COLUMNS
        best = jax.lax.fori_loop(first // _COLUMNS, stop, columns, none)
        return jax.lax.dynamic_update_slice_in_dim(out, -best, start, 0)

    found = jnp.full((rows.shape[0], k), jnp.inf)
    found = jax.lax.fori_loop(0, -(-n // _ROWS), block, found)
    return jnp.zeros((n, k)).at[order].set(found[:n])
