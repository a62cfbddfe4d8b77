"""Nearest neighbours among the nearest cells: nearly all of them, for a fraction of the work.

The points are cut into cells (an inverted file, as in Jégou, Douze and Schmid, "Product
quantization for nearest neighbor search", without the quantisation), and each point looks into the
cells whose centres are nearest to itself. How many cells that takes is read off a sample of points
whose true neighbours are known. Points that look into the same cell do so together, so that the
work is matrix products, along the few directions in which the points differ if that loses no
neighbours. Of each product only the best of every few columns is kept, in one pass
(the bins of Chern et al., "TPU-KNN: K Nearest Neighbor Search at Peak FLOP/s", 2022).
"""

from __future__ import annotations

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError, check_at_least
from idc_jax.ops import arrays, ring, topk, views
from idc_jax.ops.binned import NOTHING, best_of_bins, column_of, is_there
from idc_jax.ops.cells import Cells, cell_size, cut, nearest_centers
from idc_jax.ops.inputs import count, floats, key, takes
from idc_jax.ops.narrow import check_rows
from idc_jax.ops.neighbors import Neighbors, knn, refine
from idc_jax.ops.parts import collect, cut_in_parts
from idc_jax.ops.probing import SPARE, probes_for, share_by_probes, share_lost, true_neighbors
from idc_jax.ops.views import View

# Points whose true neighbours say how many cells to look into; every fourth says how to look.
_QUERIES, _EVERY = 1024, 4
# Share of the true neighbours that is given up, and sought elsewhere, to look along few directions.
_MAY_LOSE = 0.003
# Rows from which the mean and the directions are taken.
_SAMPLE = 16384
# Looking into this share of the points costs as much as looking at all of them exactly.
_EXACT_FROM = 0.3
# Points that look into one cell in one matrix product, between these.
_FEWEST, _MOST = 64, 1024
# Cells that count as near; bins of a near cell and of another.
_NEAR, _BINS = 4, (128, 16)
# The cells near the own, for each that a point looks into: among these are its own nearest.
_AROUND = 8
# What is kept of a batch of points: so many numbers, 128 MB.
_KEPT = 2**25


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

    Of rows that are spread over devices, each device searches its own and another's at a time.

    Float16 and bfloat16 rows stay as they are, and what is found is what a float32 copy of them
    would give. Besides the rows and the neighbours, ``4·n·d`` bytes are held, less where the rows
    lie near a subspace, ``16·n`` to order them, and batches of at most about 1 GB on two cores.
    Only where the answer is exact is all of ``x`` made float32.

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
    # Rows that a program closes over are searched while it is compiled.
    with arrays.known() if arrays.is_concrete(x) else contextlib.nullcontext():
        return _approximate(jax.lax.stop_gradient(check_rows(x)), k, recall, probes, cell)


def _approximate(
    x: jax.Array, k: int, recall: float, probes: int | None, cell: int | None
) -> Neighbors:
    if not 0.0 < recall <= 1.0:
        raise UserError(f"recall is {recall}; it must be above 0 and at most 1")
    if probes is not None:
        check_at_least("probes", probes, 1)
    elif not arrays.is_concrete(x):
        raise UserError("the number of probes cannot be chosen under jit; give probes")
    n = x.shape[0]
    k = min(k, n - 1)
    if spread := ring.axis_of_rows(x):
        how = functools.partial(approximate_knn, recall=recall, probes=probes, cell=cell)
        return Neighbors(*ring.search_around(x, k, *spread, how))
    size = 1 << (cell - 1).bit_length() if cell else cell_size(n)
    if k < 1 or n < 2 * size:
        return knn(x, k)
    view = View(jnp.mean(_some(x), axis=0))
    if probes is None:
        cells, probes = _cut_for(x, view, size, k, recall)
    else:
        cells = cut(x, view, size)
    probes = min(probes, len(cells.centers))
    looked_at = probes * size
    if looked_at > _EXACT_FROM * n or looked_at < 2 * k:
        return knn(x, k)
    found = _search(x, cells, k, probes)
    # Cells too small to hold k others: rare, and seen only where values can be.
    lacking = arrays.is_concrete(x) and not bool(jnp.isfinite(found.distances2[:, -1]).all())
    return knn(x, k) if lacking else found


def _some(x: jax.Array) -> jax.Array:
    """Evenly spaced rows, float32."""
    rows = np.linspace(0, x.shape[0] - 1, min(x.shape[0], _SAMPLE)).astype(np.int32)
    return x[rows].astype(jnp.float32)


def _cut_for(x: jax.Array, view: View, size: int, k: int, recall: float) -> tuple[Cells, int]:
    """Cells, and how many to look into for a share ``recall`` of the ``k`` nearest, on a sample."""
    n = x.shape[0]
    rows = jnp.asarray(np.linspace(0, n - 1, min(n, _QUERIES)).astype(np.int32))
    true = true_neighbors(x, view, rows, k)
    near2 = float(jnp.median(true.distances2[:, -1]))
    for fewer in views.principal(view, _some(x), near2):
        lost = share_lost(x, fewer, rows[::_EVERY], true.indices[::_EVERY])
        if lost <= _MAY_LOSE:
            view, recall = fewer, recall + lost
            break
    cells = cut(x, view, size)
    of_near, of_others = (size // _width(size, bins) for bins in _BINS)
    share = share_by_probes(cells, rows, true.indices, n=n, near=_NEAR, bins=(of_near, of_others))
    return cells, probes_for(np.asarray(share, np.float64), recall)


def _search(x: jax.Array, cells: Cells, k: int, probes: int) -> Neighbors:
    """The neighbours of all rows of ``x``, a batch of cells at a time."""
    n, (num_cells, size, _) = x.shape[0], cells.points.shape
    kept = size * max(_NEAR * _BINS[0], probes * _BINS[1])
    # So many fill the products with half of each cell's visits.
    enough = -(-_MOST * num_cells // (probes * size))
    at_once = max(1, min(num_cells, enough, _KEPT // kept, 2**31 // (num_cells * size) - 1))
    nothing = Neighbors(jnp.zeros((n, k), jnp.float32), jnp.zeros((n, k), jnp.int32))
    batches = cut_in_parts(num_cells, at_once)
    return collect(lambda own: _found(x, cells, own, k=k, probes=probes), batches, nothing, x)


@functools.partial(jax.jit, static_argnames=("k", "probes"))
def _found(
    x: jax.Array, cells: Cells, own: jax.Array, *, k: int, probes: int
) -> tuple[jax.Array, Neighbors]:
    """The rows ``[b·s]`` in the cells ``own`` ``[b]`` and their neighbours ``[b·s, k]``."""
    n, size = x.shape[0], cells.points.shape[1]
    found = _look(cells, own, probes=probes, wanted=min(k + SPARE, n - 1))
    rows = cells.order.reshape(-1, size)[own].reshape(-1)
    indices = jnp.append(cells.order, n)[found]
    near = refine(x, x[rows], indices)
    return rows, jax.tree.map(lambda a: a[:, :k], near)


def _look(cells: Cells, own: jax.Array, *, probes: int, wanted: int) -> jax.Array:
    """The best that the points of the cells ``own`` ``[b]`` find: places ``[b·s, wanted]``.

    A place is a position in the cells' order, ``c·s`` where nothing was found.
    """
    size = cells.points.shape[1]
    near = jax.lax.map(lambda o: _nearest_cells(cells, o, probes), own).reshape(-1, probes)
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
    return places


def _nearest_cells(cells: Cells, own: jax.Array, probes: int) -> jax.Array:
    """The cells nearest to each point of the cell ``own``, of those around it: ``[s, probes]``."""
    num_around = min(len(cells.centers), _AROUND * probes)
    around = nearest_centers(cells.centers[own][None], cells.centers, num_around)[0]
    return around[nearest_centers(cells.points[own], cells.centers[around], probes)]


def _visit(
    cells: Cells, own: jax.Array, near: jax.Array, width: int, wanted: int
) -> tuple[jax.Array, jax.Array]:
    """What the points of the cells ``own`` ``[b]`` find in the cells ``near`` ``[b·s, p]``.

    Returns:
      Scores and places, ``[b·s, wanted]`` or as many as are looked at.
    """
    num_cells, size, d = cells.points.shape
    (num_queries, probes), num_bins = near.shape, size // width
    # Half of the visits of a cell, and most cells have none or more: large products, few empty.
    rows = max(_FEWEST, min(_MOST, 1 << (num_queries * probes // (2 * num_cells)).bit_length()))
    points = cells.points[own].reshape(num_queries, d)
    place = (own[:, None] * size + jnp.arange(size, dtype=jnp.int32)[None]).reshape(-1)
    # Visits by cell: cell and query in one number, since a plain sort is quick.
    visits = near * num_queries + jnp.arange(num_queries, dtype=jnp.int32)[:, None]
    sorted_ = jax.lax.sort(visits.reshape(-1))
    begins = jnp.arange(num_cells, dtype=jnp.int32) * num_queries
    starts = jnp.append(jnp.searchsorted(sorted_, begins), len(sorted_)).astype(jnp.int32)
    groups = -(-jnp.diff(starts) // rows)
    ends = jnp.cumsum(groups)
    visitors = jnp.pad(sorted_ % num_queries, (0, rows))

    def step(t: jax.Array, best: jax.Array) -> jax.Array:
        cell = jnp.searchsorted(ends, t, side="right").astype(jnp.int32)
        row = starts[cell] + (t - ends[cell] + groups[cell]) * rows
        queries = jax.lax.dynamic_slice_in_dim(visitors, row, rows)
        scores = arrays.inner(points[queries], cells.points[cell]) + cells.bias[cell][None]
        itself = place[queries][:, None] == cell * size + jnp.arange(size)[None]
        found = best_of_bins(jnp.where(itself, NOTHING, scores), width)
        # Beyond the cell's last visit stands what the next cell's replaces.
        return jax.lax.dynamic_update_slice_in_dim(best, found, row, 0)

    best = jnp.full((len(visitors), num_bins), NOTHING)
    best = jax.lax.fori_loop(0, ends[-1], step, best)
    best = best[jnp.searchsorted(sorted_, visits)].reshape(num_queries, probes * num_bins)
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
    x = check_rows(x)
    rows, k = jax.random.randint(key, (num_queries,), 0, x.shape[0]), found.indices.shape[1]
    if ring.axis_of_rows(x):
        # The row itself is its own nearest, at distance zero.
        true = knn(x, k + 1, queries=x[rows])
    else:
        true = true_neighbors(x, View(jnp.mean(_some(x), axis=0)), rows, k)
    limit = true.distances2[:, -1:] * (1.0 + 1e-6)
    return jnp.mean(found.distances2[rows] <= limit)
