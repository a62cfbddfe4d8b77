"""How often each predicted cluster meets each true class."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.ops.shapes import Array, Int


@functools.partial(jax.jit, static_argnames=("num_clusters", "num_classes"))
def contingency(
    predicted: Int[Array, "n"], true: Int[Array, "n"], num_clusters: int, num_classes: int
) -> Int[Array, "{num_clusters} {num_classes}"]:
    """Counts int32 ``[num_clusters, num_classes]``.

    Args:
      predicted: int ``[n]``, cluster ids.
      true: int ``[n]``, class ids. A point with either id negative is not counted.
      num_clusters: rows of the table; ids need not all occur.
      num_classes: columns of the table.
    """
    counted = ((predicted >= 0) & (true >= 0)).astype(jnp.int32)
    table = jnp.zeros((num_clusters, num_classes), jnp.int32)
    return table.at[predicted, true].add(counted, mode="drop")
