"""The cosines of all pairs, counted block by block and never held."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError
from idc_jax.ops import arrays, blocks, sharded

# Rows whose cosines with all others are counted: of more samples, so many evenly spaced ones.
_ROWS = 16_384
# Bins of the histogram over [-1, 1]; within one, cosines are taken to lie evenly.
_BINS = 8192
# Cosines in one block (64 MB).
_BLOCK = 1 << 24


def cosine_exceeded_by(z: jax.Array, share: float) -> jax.Array:
    """The cosine that a ``share`` of all pairs of different rows exceeds.

    A quantile read off a histogram: off by 1 / 8,192 at most where cosines lie close together, by
    far less where they lie evenly. Of more than 16,384 rows, so many evenly spaced ones are
    compared with all.

    Args:
      z: ``[n, d]``, rows of unit length, n at least 2.
      share: in (0, 1).

    Returns:
      A float32 scalar.

    Raises:
      UserError: fewer than two rows, or a share that is none.
    """
    if z.shape[0] < 2:
        raise UserError(f"z has {z.shape[0]} rows; a pair needs 2 or more")
    if not 0 < share < 1:
        raise UserError(f"share is {share}; it must be from 0 to 1")
    return _exceeded_by(z, share)


@jax.jit
def _exceeded_by(z: jax.Array, share: float) -> jax.Array:
    n = z.shape[0]
    rows = min(n, _ROWS)
    chosen = jnp.asarray((np.arange(rows) * n) // rows, jnp.int32)
    block = max(1, min(rows, _BLOCK // n))

    def count(total: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        here = jax.lax.dynamic_slice_in_dim(chosen, start, block)
        compared = sharded.take(z, here)

        def histogram(live: jax.Array, z: jax.Array, places: jax.Array) -> jax.Array:
            cosines = arrays.inner(compared, z)
            counted = fresh[:, None] & live & (here[:, None] != places)
            bins = jnp.clip((cosines + 1.0) * (_BINS / 2), 0, _BINS - 1).astype(jnp.int32)
            # What does not count falls off the end.
            bins = jnp.where(counted, bins, _BINS).reshape(-1)
            return jnp.zeros(_BINS, jnp.int32).at[bins].add(1, mode="drop")

        found = blocks.sum_rows(histogram, (z, jnp.arange(n)), n)
        return total + found / (rows * (n - 1))

    shares = blocks.scan_rows(count, jnp.zeros(_BINS, jnp.float32), rows, block)
    # From the highest cosine down: the share of pairs above each bin's lower edge.
    above = jnp.cumsum(shares[::-1])
    place = jnp.argmax(above >= jnp.minimum(share, above[-1]))
    inside = shares[::-1][place]
    part = (share - (above[place] - inside)) / jnp.maximum(inside, 1e-30)
    return 1.0 - (place + jnp.clip(part, 0.0, 1.0)) * (2 / _BINS)
