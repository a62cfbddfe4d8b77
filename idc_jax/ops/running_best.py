"""The best so far of many points, and its exact merging with a tile of scores.

A tile offers scores in chunks. A point looks into a chunk only if the chunk's maximum beats its
worst kept score; points that have nothing to gain are not touched at all, the others are taken a
group at a time. Once most points have found their neighbours, a tile costs its maxima and little
more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.ops import topk

# Entries of a chunk.
CHUNK = 32
# Points that look into a tile at a time, at most, and chunks that each looks into.
_GROUP, _TAKE = 128, 4

# (points [g], chunks [g, t]) -> scores and their positions in the tile, [g, CHUNK, t] both.
Inside = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


class Best(NamedTuple):
    """The ``k`` best of each of ``n`` points, best first.

    Attributes:
      scores: ``[n, k]``, higher is better, -inf where there is none yet.
      indices: int32 ``[n, k]``.
    """

    scores: jax.Array
    indices: jax.Array


# The best so far, the maxima of what was not looked into, and the points that have more there.
_Left = tuple[Best, jax.Array, jax.Array]


def nothing(num_points: int, k: int) -> Best:
    """No candidate seen yet."""
    shape = (num_points, k)
    return Best(jnp.full(shape, -jnp.inf), jnp.zeros(shape, jnp.int32))


def merge_rows(best: Best, scores: jax.Array, bias: jax.Array, offset: jax.Array) -> Best:
    """Merge ``scores + bias`` into the best of the points that stand along the rows.

    Args:
      best: of ``r`` points.
      scores: ``[r, w]``, ``w`` a multiple of :data:`CHUNK`.
      bias: ``[w]``.
      offset: index of the tile's first column.
    """
    rows, width = scores.shape
    stride = width // CHUNK
    # A chunk is every stride-th column: its maximum is then one of whole vectors.
    maxima = jnp.max((scores + bias[None]).reshape(rows, CHUNK, stride), axis=1)

    def inside(points: jax.Array, chunks: jax.Array) -> tuple[jax.Array, jax.Array]:
        positions = chunks[:, None, :] + stride * jnp.arange(CHUNK)[None, :, None]
        return scores[points[:, None, None], positions] + bias[positions], positions

    return _merge_while_better(best, maxima, inside, offset)


def merge_columns(best: Best, scores: jax.Array, bias: jax.Array, offset: jax.Array) -> Best:
    """Merge into the best of the points along the columns, without transposing the tile.

    Args:
      best: of ``w`` points.
      scores: ``[r, w]``, ``r`` a multiple of :data:`CHUNK`.
      bias: ``[r]``.
      offset: index of the tile's first row.
    """
    width = scores.shape[1]
    maxima = jnp.max((scores + bias[:, None]).reshape(-1, CHUNK, width), axis=1).T

    def inside(points: jax.Array, chunks: jax.Array) -> tuple[jax.Array, jax.Array]:
        positions = chunks[:, None, :] * CHUNK + jnp.arange(CHUNK)[None, :, None]
        return scores[positions, points[:, None, None]] + bias[positions], positions

    return _merge_while_better(best, maxima, inside, offset)


def _merge_while_better(best: Best, maxima: jax.Array, inside: Inside, offset: jax.Array) -> Best:
    """Merge the most promising chunks until no chunk maximum beats anyone's worst score."""
    num_points, width = maxima.shape
    take, group = min(_TAKE, width), max(1, min(_GROUP, num_points // 4))

    def better(scores: jax.Array, maxima: jax.Array) -> jax.Array:
        # A minimum, not the last column: slicing the result would turn XLA's top-k into a sort.
        return jnp.max(maxima, axis=1) > jnp.min(scores, axis=1)

    def step(state: _Left) -> _Left:
        best, maxima, eager = state
        # Fewer than a group: the rest lie outside, where reads are clipped and writes dropped.
        points = jnp.nonzero(eager, size=group, fill_value=num_points)[0]
        own, kept = maxima[points], Best(best.scores[points], best.indices[points])
        height, chunks = jax.lax.top_k(own, take)
        scores, positions = inside(points, chunks)
        # A chunk merged before may come again where nothing else is left: it offers nothing.
        scores = jnp.where(jnp.isneginf(height)[:, None], -jnp.inf, scores)
        more = (a.reshape(group, -1) for a in (scores, positions + offset))
        kept = Best(*topk.merge(*kept, *more))
        own = own.at[jnp.arange(group)[:, None], chunks].set(-jnp.inf)
        best = Best(*(a.at[points].set(b, mode="drop") for a, b in zip(best, kept, strict=True)))
        maxima = maxima.at[points].set(own, mode="drop")
        return best, maxima, eager.at[points].set(better(kept.scores, own), mode="drop")

    start: _Left = (best, maxima, better(best.scores, maxima))
    return jax.lax.while_loop(lambda state: jnp.any(state[2]), step, start)[0]
