"""Points that look into the cells nearest to them: what they find there.

The points come by cells, as what is looked into does: their own cells, or others' that another
device has cut. Those that look into the same cell do so together, in matrix products.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays, topk
from idc_jax.ops.binned import NOTHING, best_of_bins, column_of, is_there
from idc_jax.ops.cells import Cells, nearest_centers
from idc_jax.ops.parts import cut_in_parts

# Points that look into one cell in one matrix product, between these.
_FEWEST, _MOST = 64, 1024
# Cells that count as near; bins of a near cell and of another.
NEAR, _BINS = 4, (128, 16)
# The cells near the own, for each that a point looks into: among these are its own nearest.
_AROUND = 8


class Queries(NamedTuple):
    """Points that look into cells.

    Attributes:
      points: ``[b, s, m]``, of a cell each, seen as those that are looked into.
      centers: ``[b, m]`` of their cells.
      places: int32 ``[b·s]``, where each stands among those that are looked into, which it does not
        find; −1 where it is none of them.
    """

    points: jax.Array
    centers: jax.Array
    places: jax.Array


def batches(shape: tuple[int, ...], probes: int, most: int, kept: int) -> np.ndarray:
    """The numbers of the cells that look at a time, int32 ``[p, b]``.

    Args:
      shape: ``[c, s]`` first, of the cells looked into and of those that look.
      probes: cells that each point looks into.
      most: points that look into a cell at a time, on average.
      kept: numbers of all that are seen at a time, of which the best are taken.
    """
    num_cells, size = shape[:2]
    of_each = size * max(NEAR * _BINS[0], probes * _BINS[1])
    enough = -(-most * num_cells // (probes * size))
    # A visit's number is an int32.
    at_once = min(num_cells, enough, kept // of_each, 2**31 // (num_cells * size) - 1)
    return cut_in_parts(num_cells, max(1, at_once))


def places_in(cells: jax.Array, size: int) -> jax.Array:
    """The places of all points of the ``cells`` ``[b]`` of ``size``: int32 ``[b·s]``."""
    return (cells[:, None] * size + jnp.arange(size, dtype=jnp.int32)[None]).reshape(-1)


def num_bins(size: int) -> tuple[int, int]:
    """Into how many bins a near cell of ``size`` is divided, and into how many another."""
    near, other = (size // _width(size, bins) for bins in _BINS)
    return near, other


def look(
    queries: Queries, cells: Cells, *, probes: int, wanted: int
) -> tuple[jax.Array, jax.Array]:
    """The best that the ``queries`` find in the cells: scores and places, ``[b·s, wanted]``.

    A place is a position in the cells' order, ``c·s`` where nothing was found. A score is half of
    the point's squared length less half of the squared distance, but for rounding.
    """
    size = cells.points.shape[1]

    def nearest(own: tuple[jax.Array, jax.Array]) -> jax.Array:
        points, center = own
        return _nearest_cells(points, center, cells, probes)

    near = jax.lax.map(nearest, (queries.points, queries.centers)).reshape(-1, probes)
    # Most of the nearest are in the first few cells, where fewer may hide each other.
    parts = [(near[:, :NEAR], _BINS[0])]
    if probes > NEAR:
        parts.append((near[:, NEAR:], _BINS[1]))
    first, *rest = (
        _visit(queries, cells, near, _width(size, bins), wanted) for near, bins in parts
    )
    for more in rest:
        first = topk.merge(*first, *more)
    values, places = first
    nothing = len(cells.order)
    places = jnp.where(is_there(values), places, nothing)
    missing = ((0, 0), (0, wanted - places.shape[1]))
    return (
        jnp.pad(values, missing, constant_values=NOTHING),
        jnp.pad(places, missing, constant_values=nothing),
    )


def _nearest_cells(points: jax.Array, center: jax.Array, cells: Cells, probes: int) -> jax.Array:
    """The cells nearest to each of a cell's ``points``, of those around it: ``[s, probes]``."""
    num_around = min(len(cells.centers), _AROUND * probes)
    around = nearest_centers(center[None], cells.centers, num_around)[0]
    return around[nearest_centers(points, cells.centers[around], probes)]


def _visit(
    queries: Queries, cells: Cells, near: jax.Array, width: int, wanted: int
) -> tuple[jax.Array, jax.Array]:
    """What the ``queries`` find in the cells ``near`` ``[b·s, p]``.

    Returns:
      Scores and places, ``[b·s, wanted]`` or as many as are looked at.
    """
    num_cells, size, d = cells.points.shape
    (num_queries, probes), num_bins = near.shape, size // width
    # Half of the visits of a cell, and most cells have none or more: large products, few empty.
    rows = max(_FEWEST, min(_MOST, 1 << (num_queries * probes // (2 * num_cells)).bit_length()))
    points = queries.points.reshape(num_queries, d)
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
        visiting = jax.lax.dynamic_slice_in_dim(visitors, row, rows)
        scores = arrays.inner(points[visiting], cells.points[cell]) + cells.bias[cell][None]
        itself = queries.places[visiting][:, None] == cell * size + jnp.arange(size)[None]
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
