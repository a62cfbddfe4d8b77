"""The best of every few columns, in one pass over a matrix of scores.

Where a column stands in its bin is written into the lowest bits of its score, so that one maximum
finds both; a score keeps all but ``log₂(width)`` of its 24 bits. A bin is every (m / width)-th
column: neighbouring columns are in different bins, and the maximum is one of whole vectors. After
Chern et al., "TPU-KNN: K Nearest Neighbor Search at Peak FLOP/s" (2022), section 5.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

# The score of what is not there: infinity with other lowest bits would be no number.
NOTHING = -3.0e38


def best_of_bins(scores: jax.Array, width: int) -> jax.Array:
    """The best score of each bin, with its place in the lowest bits.

    Args:
      scores: float32 ``[r, m]``, finite; :data:`NOTHING` where there is nothing.
      width: columns of a bin, a power of two that divides ``m``.

    Returns:
      float32 ``[r, m / width]``.
    """
    num_bins = scores.shape[1] // width
    bits = jax.lax.bitcast_convert_type(scores, jnp.int32) & ~(width - 1)
    # Column by column of the bins: a reduction over an axis is slower on a CPU.
    columns = (bits[:, i * num_bins : (i + 1) * num_bins] | i for i in range(width))
    as_scores = (jax.lax.bitcast_convert_type(column, jnp.float32) for column in columns)
    return functools.reduce(jnp.maximum, as_scores)


def column_of(best: jax.Array, bins: jax.Array, num_bins: int, width: int) -> jax.Array:
    """The columns of the ``best`` scores of ``bins``, of ``num_bins``; int32 of their shape."""
    place = jax.lax.bitcast_convert_type(best, jnp.int32) & (width - 1)
    return place * num_bins + bins


def is_there(best: jax.Array) -> jax.Array:
    """Which of the ``best`` scores are of columns that are there."""
    return best > NOTHING / 2
