"""Who may be picked, how many, and what a short list of picks looks like."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import sharded
from idc_jax.ops.shapes import Array, Bool, Int, Num
from idc_jax.selectors.base import Selection


def check_budget(budget: int, num_points: int) -> int:
    """Return ``min(budget, num_points)``, with a warning where that is less than asked for."""
    if budget > num_points:
        warnings.warn(f"budget {budget} exceeds {num_points} samples; all are picked", stacklevel=3)
    return min(budget, num_points)


def masks(
    num_points: int, labelled: jax.Array | None, allowed: jax.Array | None
) -> tuple[Bool[Array, "n"], Bool[Array, "n"]]:
    """``(labelled, candidates)``, bool ``[n]`` each; candidates are allowed and not labelled.

    Raises:
      UserError: a mask that is not bool ``[n]``.
    """
    for name, mask in (("labelled", labelled), ("allowed", allowed)):
        if mask is not None and (mask.shape != (num_points,) or mask.dtype != bool):
            raise UserError(
                f"{name} is {mask.dtype} {list(mask.shape)}; it must be bool [{num_points}]"
            )
    none = jnp.zeros((num_points,), bool)
    labelled = none if labelled is None else labelled
    allowed = ~none if allowed is None else allowed
    return labelled, allowed & ~labelled


def top(values: Num[Array, "n"], candidates: Bool[Array, "n"], budget: int) -> Selection:
    """The ``budget`` candidates of highest value ``[n]``; lowest index first among equals."""
    values = jnp.where(candidates, values.astype(jnp.float32), -jnp.inf)
    best, indices = sharded.top_k(values, budget)
    # A candidate's own value may be -inf: the mask decides, and candidates stand first.
    ordered = jnp.argsort(~candidates[indices], stable=True)
    return blank(Selection(indices[ordered], best[ordered]), candidates[indices[ordered]])


def blank(selection: Selection, picked: Bool[Array, "m"]) -> Selection:
    """Put index -1 and value -inf wherever ``picked`` ``[m]`` is false."""
    return Selection(
        jnp.where(picked, selection.indices, -1).astype(jnp.int32),
        jnp.where(picked, selection.values, -jnp.inf).astype(jnp.float32),
    )


def nothing(budget: int) -> Selection:
    """A selection of ``budget`` places, none of them taken."""
    return Selection(jnp.full((budget,), -1, jnp.int32), jnp.full((budget,), -jnp.inf, jnp.float32))


def record(
    selection: Selection,
    i: Int[Array, ""],
    chosen: Int[Array, ""],
    value: Num[Array, ""],
    found: Bool[Array, ""],
) -> Selection:
    """Write pick ``chosen`` with its ``value`` at place ``i``, if ``found``."""
    if selection.indices.shape[0] == 0:
        # A loop of no steps is still traced, and has no place to write to.
        return selection
    return Selection(
        selection.indices.at[i].set(jnp.where(found, chosen, -1).astype(jnp.int32)),
        selection.values.at[i].set(jnp.where(found, value, -jnp.inf)),
    )
