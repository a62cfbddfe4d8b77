"""Sums of what belongs together, the same in every run.

Where many threads add to one place, as a GPU's do, the order of the additions, and with it the
rounding, changes from run to run, and near ties among picks may turn.
"""

from __future__ import annotations

from functools import partial

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


def added_by(
    start: jax.Array, groups: jax.Array, values: jax.Array, *, rising: bool = False
) -> jax.Array:
    """The ``start`` of each group ``[g, ...]`` and its ``values``; see :func:`sums_by`.

    With ``rising`` groups none is followed by a lower one, and nothing has to be sorted.
    """
    return _added(start, groups, values, rising)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _added(start: jax.Array, groups: jax.Array, values: jax.Array, rising: bool) -> jax.Array:
    def added(start: jax.Array, groups: jax.Array, values: jax.Array) -> jax.Array:
        return start.at[groups].add(values)

    in_order = partial(added_in_order, rising=rising)
    # Elsewhere additions have an order, and need no sorting.
    return jax.lax.platform_dependent(
        start, groups, values, cuda=in_order, rocm=in_order, default=added
    )


def _forward(
    start: jax.Array, groups: jax.Array, values: jax.Array, rising: bool
) -> tuple[jax.Array, jax.Array]:
    return _added(start, groups, values, rising), groups


def _backward(
    rising: bool, groups: jax.Array, slope: jax.Array
) -> tuple[jax.Array, None, jax.Array]:
    del rising
    return slope, None, slope[groups]


# JAX finds no derivative of a loop of which nobody knows how long it runs.
_added.defvjp(_forward, _backward)


def added_in_order(
    start: jax.Array, groups: jax.Array, values: jax.Array, *, rising: bool = False
) -> jax.Array:
    """:func:`added_by` by sorting: each row takes on the sums that end 1, 2, 4, … rows before it.

    A loop with a small body: partial sums with their levels written out took a GPU's compiler 15
    seconds, for a program that runs for milliseconds.
    """
    size = len(groups)
    if not size:
        return start
    if not rising:
        order = jnp.argsort(groups, stable=True)
        groups, values = groups[order], values[order]

    def join(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        # A row holds the sum of so many rows of its group, or of all that there are before it.
        held, sums, _ = state
        before = jnp.arange(size) - held
        same = (before >= 0) & (groups[before] == groups)
        return 2 * held, sums + jnp.where(_along(same, sums), sums[before], 0), jnp.any(same)

    start_of_loop: tuple[jax.Array, ...] = (jnp.int32(1), values, jnp.bool_(True))
    _, sums, _ = jax.lax.while_loop(lambda state: state[2], join, start_of_loop)
    last = jnp.append(groups[1:] != groups[:-1], True)
    # One row to each place, so that no order matters; the others fall off the end.
    places = jnp.where(last, groups, len(start) + jnp.arange(size))
    return start.at[places].add(sums, mode="drop", unique_indices=True)


def _along(rows: jax.Array, values: jax.Array) -> jax.Array:
    """What is said of each row ``[m]``, in the shape of ``values`` ``[m, ...]``."""
    return rows.reshape(-1, *[1] * (values.ndim - 1))
