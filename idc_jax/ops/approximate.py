"""Nearest neighbours among the nearest cells: nearly all of them, for a fraction of the work.

The points are cut into cells (an inverted file, as in Jégou, Douze and Schmid, "Product
quantization for nearest neighbor search", without the quantisation), and each point looks into the
cells whose centres are nearest to itself. How many cells that takes is read off a sample of points
whose true neighbours are known. Points that look into the same cell do so together, so that the
work is matrix products. Of each product only the best of every few columns is kept, in one pass
(the bins of Chern et al., "TPU-KNN: K Nearest Neighbor Search at Peak FLOP/s", 2022).
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError, check_at_least
from idc_jax.ops import arrays, topk
from idc_jax.ops.binned import NOTHING, best_of_bins, column_of, is_there
from idc_jax.ops.cells import Cells, cell_size, cut, nearest_centers
from idc_jax.ops.inputs import count, floats, in_32_bits, key, takes
from idc_jax.ops.neighbors import SPARE, Neighbors, by_distance, exact_distances2, knn

# Points whose true neighbours say how many cells to look into.
_QUERIES = 1024
# Looking into this share of the points costs as much as looking at all of them exactly.
_EXACT_FROM = 0.3
# Points that look into one cell in one matrix product, between these.
_FEWEST, _MOST = 64, 1024
# Cells that count as near; bins of a near cell and of another.
_NEAR, _BINS = 4, (128, 16)
# What is kept of a batch of points: so many numbers, 128 MB; and batches at a time, at most.
_KEPT, _WORKERS = 2**25, 8


@takes(x=floats("n d"), k=count(0), probes=count(1), cell=count(1))
def approximate_knn(
    x: jax.Array,
    k: int,
    *,
    recall: float = 0.95,
    probes: int | None = None,
    cell: int | None = None,
) -> Neighbors:
    """Nearly the ``k`` nearest other rows of ``x`` ``[n, d]``; distances are exact, and constants.

    Where a third of the points or more would have to be looked at, :func:`~idc_jax.ops.knn`
    answers exactly instead. What was reached is measured by :func:`recall`. Under ``jit``, a point
    whose cells hold fewer than ``k`` others has index ``n`` at an infinite distance in the rest.

    Args:
      x: points ``[n, d]``.
      k: neighbours wanted, capped at ``n − 1``.
      recall: share of the true neighbours to be found, above 0 and at most 1; the number of
        probes is chosen for it on a sample of the points.
      probes: cells that each point looks into, in place of ``recall``; needed under ``jit``.
      cell: points of a cell, rounded up to a power of two.

    Raises:
      UserError: ``recall`` or ``probes`` out of range, no ``probes`` under ``jit``, or rows that
        are not finite.
    """
    x = arrays.check_matrix(x)
    n = x.shape[0]
    if not 0.0 < recall <= 1.0:
        raise UserError(f"recall is {recall}; it must be above 0 and at most 1")
    if probes is not None:
        check_at_least("probes", probes, 1)
    elif not arrays.is_concrete(x):
        raise UserError("the number of probes cannot be chosen under jit; give probes")
    k = min(k, n - 1)
    size = 1 << (cell - 1).bit_length() if cell else cell_size(n)
    if k < 1 or n < 2 * size:
        return knn(x, k)
    # Distances do not change when the mean is taken off, and rounding errors shrink with it.
    cells = jax.lax.stop_gradient(cut(x - jnp.mean(x, axis=0), size))
    probes = min(probes or probes_for(x, cells, k, recall), len(cells.centers))
    looked_at = probes * size
    if looked_at > _EXACT_FROM * n or looked_at < 2 * k:
        return knn(x, k)
    found = _search(cells, n, k, probes)
    # Cells too small to hold k others: rare, and seen only where values can be.
    lacking = arrays.is_concrete(x) and not bool(jnp.isfinite(found.distances2[:, -1]).all())
    return knn(x, k) if lacking else found


def probes_for(x: jax.Array, cells: Cells, k: int, recall: float) -> int:
    """How many cells to look into for a share ``recall`` of the ``k`` nearest, on a sample.

    Twice the standard error is added to ``recall``, and the number is rounded up to one of three
    significant bits, so that few numbers occur and few programs are compiled.
    """
    n = x.shape[0]
    rows = np.linspace(0, n - 1, min(n, _QUERIES)).astype(np.int32)
    # The nearest is the row itself, which costs a probe that would be made in any case.
    true = knn(x, k + 1, queries=x[rows])
    share = np.asarray(_share_by_probes(cells, rows, true.indices), np.float64)
    error = 2.0 * share.std(axis=0) / np.sqrt(len(rows))
    enough = share.mean(axis=0) - error >= recall
    needed = int(enough.argmax()) + 1 if enough.any() else len(cells.centers)
    step = max(1, 1 << max(0, needed.bit_length() - 3))
    return -(-needed // step) * step


@jax.jit
def _share_by_probes(cells: Cells, rows: jax.Array, true: jax.Array) -> jax.Array:
    """Share ``[q, c]`` of each row's ``true`` others ``[q, k + 1]`` found by 1, 2, ... c probes."""
    num_cells, size, d = cells.points.shape
    places = cells.places(num_cells * size)
    own, others = places[rows], places[true]
    distances2 = arrays.squared_distances(cells.points.reshape(-1, d)[own], cells.centers)
    rank = jnp.argsort(jnp.argsort(distances2, axis=1), axis=1)
    rank = jnp.take_along_axis(rank, others // size, axis=1)
    # The nearest of a bin hides the others there.
    of_near, of_others = (size // _width(size, bins) for bins in _BINS)
    num_bins = jnp.where(rank < _NEAR, of_near, of_others)
    bins = others // size * size + others % size % num_bins
    real = others != own[:, None]
    earlier = jnp.tril(jnp.ones((true.shape[1],) * 2, bool), -1)
    alike = (bins[:, :, None] == bins[:, None, :]) & real[:, None, :] & earlier
    kept = (real & ~jnp.any(alike, axis=2)).astype(jnp.float32)
    counts = jnp.zeros_like(distances2).at[jnp.arange(len(rows))[:, None], rank].add(kept)
    return jnp.cumsum(counts, axis=1) / jnp.maximum(jnp.sum(real, axis=1), 1)[:, None]


def _search(cells: Cells, n: int, k: int, probes: int) -> Neighbors:
    """The neighbours of ``n`` points in the cells, a batch of cells at a time."""
    num_cells, size, _ = cells.points.shape
    kept = size * max(_NEAR * _BINS[0], probes * _BINS[1])
    at_once = max(1, min(num_cells, _KEPT // kept, 2**31 // (num_cells * size) - 1))
    count = -(-num_cells // at_once)
    # The last cell again, for batches of one shape.
    every = np.arange(count * -(-num_cells // count), dtype=np.int32).clip(max=num_cells - 1)
    batches = jnp.asarray(every.reshape(count, -1))

    def of(own: jax.Array) -> Neighbors:
        # A thread begins with the width that is usual outside.
        with in_32_bits():
            return _found(cells, own, n=n, k=k, probes=probes)

    if arrays.is_concrete(cells.points):
        # Much of a batch keeps one core of a CPU busy, and XLA runs calls of several threads at
        # once. An accelerator, or a mesh, is handed one after the other.
        with ThreadPoolExecutor(_workers(cells.points)) as pool:
            parts = pool.map(lambda own: jax.block_until_ready(of(own)), batches)
            found = jax.tree.map(lambda *a: jnp.concatenate(a), *parts)
    else:
        found = jax.lax.map(of, batches)
    return _by_row(cells, found, n)


def _workers(x: jax.Array) -> int:
    """Batches that are looked for at a time."""
    (first, *others) = x.devices()
    return 1 if others or first.platform != "cpu" else min(os.cpu_count() or 1, _WORKERS)


@functools.partial(jax.jit, static_argnames=("n", "k", "probes"))
def _found(cells: Cells, own: jax.Array, *, n: int, k: int, probes: int) -> Neighbors:
    """The neighbours ``[b, s, k]`` of the points of the cells ``own`` ``[b]``."""
    size, d = cells.points.shape[1:]
    found = _look(cells, own, probes=probes, wanted=min(k + SPARE, n - 1))
    found = found.reshape(-1, found.shape[-1])
    # In the cells' order, in which what is gathered for near points lies together.
    queries = cells.points[own].reshape(-1, d)
    distances2 = exact_distances2(cells.points.reshape(-1, d), queries, found)
    near = by_distance(distances2, jnp.append(cells.order, n)[found])
    return jax.tree.map(lambda a: a[:, :k].reshape(len(own), size, k), near)


@functools.partial(jax.jit, static_argnames="n")
def _by_row(cells: Cells, found: Neighbors, n: int) -> Neighbors:
    """What was found for the places of the cells, in the order of the ``n`` rows."""
    places = cells.places(n)
    return jax.tree.map(lambda a: a.reshape(-1, a.shape[-1])[places], found)


def _look(cells: Cells, own: jax.Array, *, probes: int, wanted: int) -> jax.Array:
    """The best that the points of the cells ``own`` ``[b]`` find: places ``[b, s, wanted]``.

    A place is a position in the cells' order, ``c·s`` where nothing was found.
    """
    size = cells.points.shape[1]
    near = jax.lax.map(lambda o: nearest_centers(cells.points[o], cells.centers, probes), own)
    near = near.reshape(-1, probes)
    # Most of the nearest are in the first few cells, where fewer may hide each other.
    parts = [(near[:, :_NEAR], _BINS[0])]
    if probes > _NEAR:
        parts.append((near[:, _NEAR:], _BINS[1]))
    first, *rest = (_visit(cells, own, near, _width(size, bins), wanted) for near, bins in parts)
    for more in rest:
        first = topk.merge(*first, *more)
    values, places = first
    places = jnp.where(is_there(values), places, len(cells.order))
    places = jnp.pad(
        places, ((0, 0), (0, wanted - places.shape[1])), constant_values=len(cells.order)
    )
    return places.reshape(len(own), size, wanted)


def _visit(
    cells: Cells, own: jax.Array, near: jax.Array, width: int, wanted: int
) -> tuple[jax.Array, jax.Array]:
    """What the points of the cells ``own`` ``[b]`` find in the cells ``near`` ``[b·s, p]``.

    Returns:
      Scores and places, ``[b·s, wanted]`` or as many as are looked at.
    """
    num_cells, size, d = cells.points.shape
    (num_queries, probes), num_bins = near.shape, size // width
    # A quarter of the visits of a cell: large products, and little of the last one empty.
    rows = max(_FEWEST, min(_MOST, 1 << (num_queries * probes // (4 * num_cells)).bit_length()))
    flat = cells.points.reshape(-1, d)
    bias = jnp.where(cells.filled(), -0.5 * arrays.squared_norms(cells.points), NOTHING)
    place = (own[:, None] * size + jnp.arange(size, dtype=jnp.int32)[None]).reshape(-1)
    # Visits by cell: cell and query in one number, since a plain sort is quick.
    visits = near * num_queries + jnp.arange(num_queries, dtype=jnp.int32)[:, None]
    visits = jax.lax.sort(visits.reshape(-1))
    begins = jnp.arange(num_cells, dtype=jnp.int32) * num_queries
    starts = jnp.append(jnp.searchsorted(visits, begins), len(visits)).astype(jnp.int32)
    groups = -(-jnp.diff(starts) // rows)
    ends = jnp.cumsum(groups)
    visitors = jnp.pad(visits % num_queries, (0, rows))

    def step(t: jax.Array, best: jax.Array) -> jax.Array:
        cell = jnp.searchsorted(ends, t, side="right").astype(jnp.int32)
        row = starts[cell] + (t - ends[cell] + groups[cell]) * rows
        there = row + jnp.arange(rows) < starts[cell + 1]
        queries = jax.lax.dynamic_slice_in_dim(visitors, row, rows)
        scores = arrays.inner(flat[place[queries]], cells.points[cell]) + bias[cell][None]
        itself = place[queries][:, None] == cell * size + jnp.arange(size)[None]
        found = best_of_bins(jnp.where(itself, NOTHING, scores), width)
        visit = queries * probes + jnp.argmax(near[queries] == cell, axis=1)
        visit = jnp.where(there, visit, num_queries * probes)
        return best.at[visit].set(found, mode="drop")

    best = jnp.full((num_queries * probes, num_bins), NOTHING)
    best = jax.lax.fori_loop(0, ends[-1], step, best).reshape(num_queries, probes * num_bins)
    values, found = jax.lax.top_k(best, min(wanted, probes * num_bins))
    cell = jnp.take_along_axis(near, found // num_bins, axis=1)
    return values, cell * size + column_of(values, found % num_bins, num_bins, width)


def _width(size: int, bins: int) -> int:
    """Columns of a bin, where cells of ``size`` have so many bins, or more."""
    return max(1, size // bins)


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
