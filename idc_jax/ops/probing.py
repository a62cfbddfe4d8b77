"""True neighbours of a sample of the rows, and what they say about a search."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays, blocks, topk
from idc_jax.ops.cells import Cells
from idc_jax.ops.neighbors import Neighbors, refine
from idc_jax.ops.parts import collect, cut_in_parts
from idc_jax.ops.views import View

# Scores and indices.
Best = tuple[jax.Array, jax.Array]
# Points whose true neighbours say how many cells to look into; every fourth says how to look.
QUERIES, EVERY = 1024, 4
# Share of the true neighbours that is given up, and sought elsewhere, to look along few directions.
MAY_LOSE = 0.003
# Looking into this share of the points costs as much as looking at all of them exactly.
_EXACT_FROM = 0.3
# Rows whose neighbours are sought at a time, and points that they look at.
AT_ONCE, _BLOCK = 128, 32768
# Candidates beyond the neighbours wanted, among which a view may have put some of them.
SPARE = 16


def is_worth(looked_at: int, num_points: int, k: int) -> bool:
    """Whether looking at so many points for ``k`` neighbours is enough, and less than all."""
    return 2 * k <= looked_at <= _EXACT_FROM * num_points


def true_neighbors(x: jax.Array, view: View, rows: jax.Array, k: int) -> Neighbors:
    """The ``k`` nearest others of ``rows`` ``[q]``, ``[q, k]`` each; ``view`` is of all axes."""
    parts = cut_in_parts(len(rows), AT_ONCE)
    shape = (len(rows), k)
    nothing = Neighbors(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.int32))
    return collect(lambda part: (part, _nearest(x, view, rows[part], k)), parts, nothing, x)


@functools.partial(jax.jit, static_argnames="k")
def _nearest(x: jax.Array, view: View, rows: jax.Array, k: int) -> Neighbors:
    return nearest_to(x[rows], rows, x, view, k)


def nearest_to(queries: jax.Array, rows: jax.Array, x: jax.Array, view: View, k: int) -> Neighbors:
    """The ``k`` rows of ``x`` nearest to ``queries`` ``[q, d]``, ``[q, k]`` each, but themselves.

    ``rows`` ``[q]`` says which of ``x`` each of them is, −1 for none, and ``view`` is of all axes.
    """
    wanted, seen = min(k + SPARE, len(x) - 1), view.of(queries)

    def step(best: Best, start: jax.Array, fresh: jax.Array) -> Best:
        scores = _scores(x, view, seen, rows, start, len(fresh))
        scores = jnp.where(fresh[None], scores, -jnp.inf)
        values, found = topk.top_k(scores, min(wanted, len(fresh)))
        return topk.merge(*best, values, found + start)

    shape = (len(rows), wanted)
    start = jnp.full(shape, -jnp.inf), jnp.zeros(shape, jnp.int32)
    found = blocks.scan_rows(step, start, len(x), _BLOCK)[1]
    near = refine(x, queries, found)
    return jax.tree.map(lambda a: a[:, :k], near)


def _scores(
    x: jax.Array, view: View, seen: jax.Array, rows: jax.Array, start: jax.Array, size: int
) -> jax.Array:
    """How near each of ``size`` points from ``start`` on is to the ``rows``: ``[q, size]``."""
    points = view.of(jax.lax.dynamic_slice_in_dim(x, start, size))
    scores = arrays.inner(seen, points) - 0.5 * arrays.squared_norms(points)[None]
    return jnp.where(rows[:, None] == start + jnp.arange(size)[None], -jnp.inf, scores)


def share_lost(x: jax.Array, view: View, rows: jax.Array, true: jax.Array) -> float:
    """Share of the ``true`` neighbours ``[q, k]`` of ``rows`` that ``view`` loses, at most."""
    parts = cut_in_parts(len(rows), AT_ONCE)
    before = jnp.zeros(len(rows), jnp.int32)
    before = collect(
        lambda part: (part, _before_the_last(x, view, rows[part], true[part])), parts, before, x
    )
    return lost_of(before, true.shape[1])


def lost_of(before: jax.Array, k: int) -> float:
    """Share that is lost, at most, where so many points ``[q]`` come before the last of ``k``."""
    # No more are lost than come after the spare ones, up to the last of the k.
    return float(np.clip(np.asarray(before) + 1 - (k + SPARE), 0, k).mean() / k)


@jax.jit
def _before_the_last(x: jax.Array, view: View, rows: jax.Array, true: jax.Array) -> jax.Array:
    """How many points come before the last of the ``true`` neighbours: int32 ``[q]``."""
    last = jnp.min(scores_of(x[rows], view, x[true]), axis=1)
    return num_before(last, x[rows], rows, x, view)


def scores_of(queries: jax.Array, view: View, points: jax.Array) -> jax.Array:
    """How near each of ``points`` ``[q, k, d]`` is to its query, as it is seen: ``[q, k]``."""
    seen, points = view.of(queries), view.of(points)
    products = jnp.einsum("qm,qkm->qk", seen, points, precision="highest")
    return products - 0.5 * arrays.squared_norms(points)


def num_before(
    last: jax.Array, queries: jax.Array, rows: jax.Array, x: jax.Array, view: View
) -> jax.Array:
    """How many of ``x`` but themselves are nearer to ``queries`` than a score ``last``, ``[q]``."""
    seen = view.of(queries)

    def step(count: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        better = _scores(x, view, seen, rows, start, len(fresh)) > last[:, None]
        return count + jnp.sum(better & fresh[None], axis=1, dtype=jnp.int32)

    return blocks.scan_rows(step, jnp.zeros(len(rows), jnp.int32), len(x), _BLOCK)


def probes_for(share: np.ndarray, recall: float) -> int:
    """How many cells to look into, by the ``share`` ``[q, c]`` that 1, 2, ... cells find.

    Twice the standard error is added to ``recall``, and the number is rounded up to one of five
    significant bits, so that few numbers occur and few programs are compiled.
    """
    error = 2.0 * share.std(axis=0) / np.sqrt(len(share))
    enough = share.mean(axis=0) - error >= recall
    needed = int(enough.argmax()) + 1 if enough.any() else share.shape[1]
    step = max(1, 1 << max(0, needed.bit_length() - 5))
    return -(-needed // step) * step


@functools.partial(jax.jit, static_argnames=("n", "near", "bins"))
def share_by_probes(
    cells: Cells,
    rows: jax.Array,
    true: jax.Array,
    *,
    n: int,
    near: int,
    bins: tuple[int, int],
) -> jax.Array:
    """Share ``[q, c]`` of each row's ``true`` others ``[q, k]`` found by 1, 2, ... c probes.

    Args:
      cells: of ``n`` rows.
      rows: ``[q]``.
      true: neighbours of each ``[q, k]``, nearest first.
      n: rows in all.
      near: cells that count as near.
      bins: into how many a near cell is divided, and how many another.
    """
    places = cells.places(n)
    queries = cells.points.reshape(-1, cells.points.shape[2])[places[rows]]
    count = jnp.ones(true.shape, jnp.float32)
    found = found_by_probes(cells, queries, places[true], count, near=near, bins=bins)
    return found / true.shape[1]


def found_by_probes(
    cells: Cells,
    queries: jax.Array,
    others: jax.Array,
    weights: jax.Array,
    *,
    near: int,
    bins: tuple[int, int],
) -> jax.Array:
    """Which of the points in places ``others`` ``[q, k]`` 1, 2, ... c probes find.

    Args:
      cells: that are looked into.
      queries: as points are seen, ``[q, m]``.
      others: nearest first.
      weights: ``[q, k]``, what each counts.
      near: cells that count as near.
      bins: into how many a near cell is divided, and how many another.

    Returns:
      The sum of their weights, ``[q, c]``.
    """
    size = cells.points.shape[1]
    distances2 = arrays.squared_distances(queries, cells.centers)
    rank = jnp.argsort(jnp.argsort(distances2, axis=1), axis=1)
    rank = jnp.take_along_axis(rank, others // size, axis=1)
    num_bins = jnp.where(rank < near, bins[0], bins[1])
    # The nearest of a bin hides the others there.
    bin_ = others // size * size + others % size % num_bins
    earlier = jnp.tril(jnp.ones((others.shape[1],) * 2, bool), -1)
    hidden = jnp.any((bin_[:, :, None] == bin_[:, None, :]) & earlier, axis=2)
    found = jnp.where(hidden, 0.0, weights)
    counts = jnp.zeros_like(distances2).at[jnp.arange(len(queries))[:, None], rank].add(found)
    return jnp.cumsum(counts, axis=1)
