"""Top-k in two stages: first over chunk maxima, then inside the chunks that can matter.

The ``k`` largest entries of a row lie in the ``k`` chunks of largest maximum, so looking into
those alone is exact, and most of the row is read once and never sorted. (Ties between the k-th
entry and others may go either way.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.ops.shapes import Array, Int, Num


def top_k(
    scores: Num[Array, "b m"], k: int, chunk: int = 64
) -> tuple[Num[Array, "b {k}"], Int[Array, "b {k}"]]:
    """The ``k`` largest entries of each row of ``scores`` ``[b, m]``, largest first.

    Args:
      scores: ``[b, m]``; two stages are used where ``m`` is a multiple of ``chunk`` and much
        longer than the chunks looked into.
      k: entries wanted, at most ``m``.
      chunk: entries of one chunk.

    Returns:
      Values ``[b, k]`` and int32 positions ``[b, k]``.
    """
    rows, width = scores.shape
    if k == 0 or width % chunk or width < 4 * k * chunk:
        values, positions = jax.lax.top_k(scores, k)
        return values, positions
    chunked = scores.reshape(rows, width // chunk, chunk)
    chunks = jax.lax.top_k(jnp.max(chunked, axis=2), k)[1]
    # In ascending order of position, so that the lower position wins among equals.
    chunks = jnp.sort(chunks, axis=1)
    inside = chunked[jnp.arange(rows)[:, None], chunks].reshape(rows, k * chunk)
    values, found = jax.lax.top_k(inside, k)
    positions = jnp.take_along_axis(chunks, found // chunk, axis=1) * chunk + found % chunk
    return values, positions


def merge(
    values: Num[Array, "b k"],
    positions: Int[Array, "b k"],
    more: Num[Array, "b e"],
    more_positions: Int[Array, "b e"],
) -> tuple[Num[Array, "b k"], Int[Array, "b k"]]:
    """The ``k`` largest of ``values`` ``[b, k]`` and ``more`` ``[b, e]``; the former win ties."""
    k = values.shape[1]
    kept, found = jax.lax.top_k(jnp.concatenate([values, more], axis=1), k)
    both = jnp.concatenate([positions, more_positions], axis=1)
    return kept, jnp.take_along_axis(both, found, axis=1)
