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
from idc_jax.ops import around, arrays, ring, views, visits
from idc_jax.ops.cells import Cells, cell_size, cut
from idc_jax.ops.inputs import count, floats, key, takes
from idc_jax.ops.narrow import check_rows
from idc_jax.ops.neighbors import Neighbors, knn, refine
from idc_jax.ops.parts import collect
from idc_jax.ops.probing import (
    EVERY,
    MAY_LOSE,
    QUERIES,
    SPARE,
    is_worth,
    probes_for,
    share_by_probes,
    share_lost,
    true_neighbors,
)
from idc_jax.ops.views import SAMPLE, View

# Points of a batch that look into a cell, on average: half of them are in one matrix product.
_MOST = 1024
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

    Of rows that are spread over devices, each device cuts its own into cells. These go round, and
    its points look into each device's; what is found are the nearest of all.

    Float16 and bfloat16 rows stay as they are, and what is found is what a float32 copy of them
    would give. Besides the rows and the neighbours, ``4·n·d`` bytes are held, less where the rows
    lie near a subspace, ``16·n`` to order them, and batches of at most about 1 GB on two cores.
    Of p devices, each holds a p-th of all but the batches, and ``8·(k + 16)`` bytes for each of its
    points. Only where the answer is exact is all of ``x`` made float32.

    Args:
      x: points ``[n, d]``.
      k: neighbours wanted, capped at ``n − 1``.
      recall: share of the true neighbours to be found, above 0 and at most 1; the number of
        probes is chosen for it on a sample of the points.
      probes: cells that each point looks into, of each device, in place of ``recall``; needed
        under ``jit``.
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
    size = 1 << (cell - 1).bit_length() if cell else None
    if spread := ring.axis_of_rows(x):
        found = around.search(x, k, *spread, recall=recall, probes=probes, size=size)
        return knn(x, k) if found is None else found
    size = size or cell_size(n)
    if k < 1 or n < 2 * size:
        return knn(x, k)
    view = View(jnp.mean(_some(x), axis=0))
    if probes is None:
        cells, probes = _cut_for(x, view, size, k, recall)
    else:
        cells = cut(x, view, size)
    probes = min(probes, len(cells.centers))
    if not is_worth(probes * size, n, k):
        return knn(x, k)
    found = _search(x, cells, k, probes)
    # Cells too small to hold k others: rare, and seen only where values can be.
    lacking = arrays.is_concrete(x) and not bool(jnp.isfinite(found.distances2[:, -1]).all())
    return knn(x, k) if lacking else found


def _some(x: jax.Array) -> jax.Array:
    """Evenly spaced rows, float32."""
    rows = np.linspace(0, x.shape[0] - 1, min(x.shape[0], SAMPLE)).astype(np.int32)
    return x[rows].astype(jnp.float32)


def _cut_for(x: jax.Array, view: View, size: int, k: int, recall: float) -> tuple[Cells, int]:
    """Cells, and how many to look into for a share ``recall`` of the ``k`` nearest, on a sample."""
    n = x.shape[0]
    rows = jnp.asarray(np.linspace(0, n - 1, min(n, QUERIES)).astype(np.int32))
    true = true_neighbors(x, view, rows, k)
    near2 = float(jnp.median(true.distances2[:, -1]))
    for fewer in views.principal(view, _some(x), near2):
        lost = share_lost(x, fewer, rows[::EVERY], true.indices[::EVERY])
        if lost <= MAY_LOSE:
            view, recall = fewer, recall + lost
            break
    cells = cut(x, view, size)
    bins = visits.num_bins(size)
    share = share_by_probes(cells, rows, true.indices, n=n, near=visits.NEAR, bins=bins)
    return cells, probes_for(np.asarray(share, np.float64), recall)


def _search(x: jax.Array, cells: Cells, k: int, probes: int) -> Neighbors:
    """The neighbours of all rows of ``x``, a batch of cells at a time."""
    n = x.shape[0]
    nothing = Neighbors(jnp.zeros((n, k), jnp.float32), jnp.zeros((n, k), jnp.int32))
    batches = visits.batches(cells.points.shape, probes, _MOST, _KEPT)
    return collect(lambda own: _found(x, cells, own, k=k, probes=probes), batches, nothing, x)


@functools.partial(jax.jit, static_argnames=("k", "probes"))
def _found(
    x: jax.Array, cells: Cells, own: jax.Array, *, k: int, probes: int
) -> tuple[jax.Array, Neighbors]:
    """The rows ``[b·s]`` in the cells ``own`` ``[b]`` and their neighbours ``[b·s, k]``."""
    n, size = x.shape[0], cells.points.shape[1]
    places = visits.places_in(own, size)
    queries = visits.Queries(cells.points[own], cells.centers[own], places)
    _, found = visits.look(queries, cells, probes=probes, wanted=min(k + SPARE, n - 1))
    rows = cells.order.reshape(-1, size)[own].reshape(-1)
    indices = jnp.append(cells.order, n)[found]
    near = refine(x, x[rows], indices)
    return rows, jax.tree.map(lambda a: a[:, :k], near)


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
