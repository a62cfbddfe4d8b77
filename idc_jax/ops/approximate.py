"""Nearest neighbours among the nearest cells: nearly all of them, for a fraction of the work.

The points are cut into the cells of a k-means (an inverted file, as in Jégou, Douze and Schmid,
"Product quantization for nearest neighbor search", without the quantisation), and each point looks
into the cells whose centres are nearest to itself. How many cells that takes is read off a sample
of points whose true neighbours are known. Points that look into the same cell do so together, so
that the work is matrix products.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError
from idc_jax.ops import arrays, blocks, running_best, topk
from idc_jax.ops.inputs import count, floats, key, takes
from idc_jax.ops.kmeans import assign, lloyd
from idc_jax.ops.neighbors import SPARE, Neighbors, knn, refine
from idc_jax.ops.running_best import Best

# Points of a cell on average, at least; beyond, half the root of their number.
_CELL = 256
# Points for each centre, and Lloyd steps, of the k-means.
_SAMPLE_PER_CELL, _STEPS = 32, 8
# Points whose true neighbours say how many cells to look into.
_QUERIES = 1024
# Looking into this share of the points costs as much as looking at all of them exactly.
_EXACT_FROM = 0.3
# Points, and points of the cell they look into, of one matrix product.
_ROWS, _COLUMNS = 256, 256


@takes(x=floats("n d"), k=count(0), probes=count(1), cell=count(1))
def approximate_knn(
    x: jax.Array,
    k: int,
    *,
    recall: float = 0.95,
    probes: int | None = None,
    cell: int | None = None,
) -> Neighbors:
    """Nearly the ``k`` nearest other rows of ``x`` ``[n, d]``; distances are exact.

    Where a third of the points or more would have to be looked at, :func:`~idc_jax.ops.knn`
    answers exactly instead. What was reached is measured by :func:`recall`. Under ``jit``, a point
    whose cells hold fewer than ``k`` others has index ``n`` at an infinite distance in the rest.

    Args:
      x: points ``[n, d]``.
      k: neighbours wanted, capped at ``n − 1``.
      recall: share of the true neighbours to be found, above 0 and at most 1; the number of
        probes is chosen for it on a sample of the points.
      probes: cells that each point looks into, in place of ``recall``; needed under ``jit``.
      cell: points of a cell on average.

    Raises:
      UserError: ``recall`` or ``probes`` out of range, no ``probes`` under ``jit``, or rows that
        are not finite.
    """
    x = arrays.check_matrix(x)
    n = x.shape[0]
    if not 0.0 < recall <= 1.0:
        raise UserError(f"recall is {recall}; above 0 and at most 1 would do")
    if probes is not None and probes < 1:
        raise UserError(f"probes is {probes}; 1 or more would do")
    if probes is None and not arrays.is_concrete(x):
        raise UserError("the number of probes cannot be chosen under jit; give probes")
    k = min(k, n - 1)
    num_cells = n // (cell or max(_CELL, int(n**0.5 / 2)))
    if k < 1 or num_cells < 2:
        return knn(x, k)
    centers = _centers(x, num_cells)
    probes = probes or probes_for(x, centers, k, recall)
    if probes > _EXACT_FROM * num_cells or probes * n < 2 * k * num_cells:
        return knn(x, k)
    found = _search(x, centers, k, probes)
    # Cells too small to hold k others: rare, and seen only where values can be.
    lacking = arrays.is_concrete(x) and not bool(jnp.isfinite(found.distances2[:, -1]).all())
    return knn(x, k) if lacking else found


@functools.partial(jax.jit, static_argnames=("num_cells",))
def _centers(x: jax.Array, num_cells: int) -> jax.Array:
    """Centres ``[c, d]`` of a short k-means on evenly spaced rows."""
    size = min(x.shape[0], num_cells * _SAMPLE_PER_CELL)
    sample = x[np.linspace(0, x.shape[0] - 1, size).astype(np.int32)]
    start = sample[:: size // num_cells][:num_cells]
    return lloyd(sample, start, _STEPS, 0.0).centers


def probes_for(x: jax.Array, centers: jax.Array, k: int, recall: float) -> int:
    """How many cells to look into for a share ``recall`` of the ``k`` nearest, on a sample.

    Twice the standard error is added to ``recall``, and the number is rounded up to one of two
    significant bits, so that few numbers occur and few programs are compiled.
    """
    rows = np.linspace(0, x.shape[0] - 1, min(x.shape[0], _QUERIES)).astype(np.int32)
    # The nearest is the row itself, which costs a probe that would be made in any case.
    true = knn(x, k + 1, queries=x[rows])
    share = np.asarray(_share_by_probes(x, centers, rows, true.indices), np.float64)
    error = 2.0 * share.std(axis=0) / np.sqrt(len(rows))
    enough = share.mean(axis=0) - error >= recall
    needed = int(enough.argmax()) + 1 if enough.any() else centers.shape[0]
    step = max(1, 1 << max(0, needed.bit_length() - 3))
    return min(-(-needed // step) * step, centers.shape[0])


@jax.jit
def _share_by_probes(
    x: jax.Array, centers: jax.Array, rows: jax.Array, true: jax.Array
) -> jax.Array:
    """Share ``[q, c]`` of each row's ``true`` others ``[q, k + 1]`` within 1, 2, ... c probes."""
    cells = assign(x[true.reshape(-1)], centers)[0].reshape(true.shape)
    distances2 = arrays.squared_distances(x[rows], centers)
    rank = jnp.argsort(jnp.argsort(distances2, axis=1), axis=1)
    own = (true == rows[:, None]).astype(jnp.float32)
    found = jnp.take_along_axis(rank, cells, axis=1)
    counts = jnp.zeros_like(distances2).at[jnp.arange(rows.shape[0])[:, None], found].add(1 - own)
    return jnp.cumsum(counts, axis=1) / jnp.maximum(jnp.sum(1 - own, axis=1), 1)[:, None]


@functools.partial(jax.jit, static_argnames=("k", "probes"))
def _search(x: jax.Array, centers: jax.Array, k: int, probes: int) -> Neighbors:
    n, num_cells = x.shape[0], centers.shape[0]
    fixed = jax.lax.stop_gradient(x)
    wanted = min(k + SPARE, n - 1)
    bias = -0.5 * arrays.squared_norms(centers)
    near = blocks.map_rows(
        lambda rows: topk.top_k(arrays.inner(rows, centers) + bias[None], probes)[1], (fixed,), 1024
    )
    order = jnp.argsort(near[:, 0], stable=True)
    starts = jnp.searchsorted(near[order, 0], jnp.arange(num_cells + 1)).astype(jnp.int32)
    points = jnp.pad((fixed - jnp.mean(fixed, axis=0))[order], ((0, _COLUMNS), (0, 0)))
    best = _look(points, starts, _visits(near[order], num_cells), n, wanted)
    # Who has found fewer than wanted keeps an index that stands for nothing.
    found = jnp.where(jnp.isfinite(best.scores), order[best.indices], n)
    indices = jnp.zeros((n, wanted), jnp.int32).at[order].set(found)
    near_ones = refine(x, x, indices)
    return Neighbors(near_ones.distances2[:, :k], near_ones.indices[:, :k])


class _Visits(NamedTuple):
    """Who looks into which cell: the points' own cells first, then near ones, then the rest.

    Attributes:
      points: int32 ``[v]``, sorted by stage and cell.
      starts: int32 ``[s·c + 1]``, where each stage and cell begins.
    """

    points: jax.Array
    starts: jax.Array


def _visits(near: jax.Array, num_cells: int) -> _Visits:
    """Visits of the cells ``near`` ``[n, p]``, nearest first."""
    num_points, probes = near.shape
    # By stages, so that most points know their neighbours roughly before they look far.
    stage = np.digitize(np.arange(probes), (1, 4))
    keys = (near + num_cells * jnp.asarray(stage, jnp.int32)[None]).reshape(-1)
    points = jnp.repeat(jnp.arange(num_points, dtype=jnp.int32), probes)
    keys, points = jax.lax.sort((keys, points), num_keys=1)
    places = jnp.arange(num_cells * (int(stage.max()) + 1) + 1)
    return _Visits(points, jnp.searchsorted(keys, places).astype(jnp.int32))


def _look(points: jax.Array, starts: jax.Array, visits: _Visits, n: int, k: int) -> Best:
    """Let all visits happen.

    Args:
      points: ``[n + _COLUMNS, d]`` sorted by cell, padded at the end.
      starts: ``[c + 1]``, where each cell begins.
      visits: who looks where.
      n: points.
      k: neighbours kept.
    """
    num_cells = starts.shape[0] - 1
    bias = -0.5 * arrays.squared_norms(points)
    visiting = jnp.pad(visits.points, (0, _ROWS))
    groups = -(-jnp.diff(visits.starts) // _ROWS)
    cell_parts = -(-jnp.diff(starts) // _COLUMNS)
    parts = jnp.tile(cell_parts, groups.shape[0] // num_cells)
    ends = jnp.cumsum(groups * parts)

    def step(t: jax.Array, best: Best) -> Best:
        v = jnp.searchsorted(ends, t, side="right")
        local = t - (ends[v] - groups[v] * parts[v])
        row = visits.starts[v] + local // parts[v] * _ROWS
        column = starts[v % num_cells] + local % parts[v] * _COLUMNS
        real = row + jnp.arange(_ROWS) < visits.starts[v + 1]
        rows = jnp.where(real, jax.lax.dynamic_slice_in_dim(visiting, row, _ROWS), n)
        columns = column + jnp.arange(_COLUMNS)
        inside = columns < starts[v % num_cells + 1]
        scores = arrays.inner(points[rows], jax.lax.dynamic_slice_in_dim(points, column, _COLUMNS))
        usable = inside[None] & (rows[:, None] != columns[None]) & real[:, None]
        scores = jnp.where(usable, scores, -jnp.inf)
        part = Best(best.scores[rows], best.indices[rows])
        own_bias = jax.lax.dynamic_slice_in_dim(bias, column, _COLUMNS)
        part = running_best.merge_rows(part, scores, own_bias, column)
        return Best(*(a.at[rows].set(b, mode="drop") for a, b in zip(best, part, strict=True)))

    return jax.lax.fori_loop(0, ends[-1], step, running_best.nothing(n, k))


@takes(key=key, x=floats("n d"), num_queries=count(1))
def recall(key: jax.Array, x: jax.Array, found: Neighbors, num_queries: int = 1024) -> jax.Array:
    """Share of the true neighbours that were ``found``, measured on random rows of ``x``.

    A neighbour as near as the farthest true one counts, so that ties cost nothing.

    Args:
      key: PRNG key.
      x: points ``[n, d]``.
      found: neighbours ``[n, k]`` of each.
      num_queries: rows looked at.
    """
    rows = jax.random.randint(key, (num_queries,), 0, x.shape[0])
    k = found.indices.shape[1]
    true = knn(x, k + 1, queries=x[rows])
    # The row itself is its own nearest, at distance zero.
    limit = true.distances2[:, -1:] * (1.0 + 1e-6)
    return jnp.mean(found.distances2[rows] <= limit)
