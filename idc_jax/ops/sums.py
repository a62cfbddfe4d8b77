"""Sums of what belongs together, the same in every run.

Where many threads add to one place, as a GPU's do, the order of the additions, and with it the
rounding, changes from run to run, and near ties among picks may turn.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops.shapes import Array, Int, Num


def sums_by(
    groups: Int[Array, "n"], values: Num[Array, "n *d"], num_groups: int
) -> Num[Array, "g *d"]:
    """The sum of the ``values`` of each group; 0 for a group without any.

    Args:
      groups: int ``[m]``, from 0 to ``num_groups − 1``.
      values: ``[m, ...]``.
      num_groups: g.

    Returns:
      ``[g, ...]``.
    """
    return added_by(jnp.zeros((num_groups, *values.shape[1:]), values.dtype), groups, values)


def added_by(start: jax.Array, groups: jax.Array, values: jax.Array) -> jax.Array:
    """The ``start`` of each group ``[g, ...]`` and its ``values``; see :func:`sums_by`."""

    def added(start: jax.Array, groups: jax.Array, values: jax.Array) -> jax.Array:
        return start.at[groups].add(values)

    def in_order(start: jax.Array, groups: jax.Array, values: jax.Array) -> jax.Array:
        return start + sums_in_order(groups, values, len(start))

    # Elsewhere additions have an order, and need no sorting.
    return jax.lax.platform_dependent(
        start, groups, values, cuda=in_order, rocm=in_order, default=added
    )


def sums_in_order(groups: jax.Array, values: jax.Array, num_groups: int) -> jax.Array:
    """:func:`sums_by` by sorting: partial sums up to every row, begun anew with every group."""
    if not len(groups):
        return jnp.zeros((num_groups, *values.shape[1:]), values.dtype)
    order = jnp.argsort(groups, stable=True)
    groups, values = groups[order], values[order]
    first = jnp.concatenate([jnp.ones(1, bool), groups[1:] != groups[:-1]])
    begins = first.reshape(-1, *[1] * (values.ndim - 1))

    def join(
        left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        (began, before), (begins, after) = left, right
        return began | begins, jnp.where(begins, after, before + after)

    _, partial_sums = jax.lax.associative_scan(join, (begins, values))
    last = jnp.searchsorted(groups, jnp.arange(num_groups), side="right") - 1
    found = partial_sums[jnp.maximum(last, 0)]
    there = (last >= 0) & (groups[jnp.maximum(last, 0)] == jnp.arange(num_groups))
    return jnp.where(there.reshape(-1, *[1] * (values.ndim - 1)), found, 0)
