"""Rows in an order in which near ones stand together, cut into cells of equal size."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays, blocks
from idc_jax.ops.binned import NOTHING, best_of_bins, column_of
from idc_jax.ops.kmeans import lloyd
from idc_jax.ops.parts import collect, cut_in_parts
from idc_jax.ops.views import View

# Points for each centre, and Lloyd steps, of the k-means.
_SAMPLE_PER_CELL, _STEPS = 16, 3
# Rows whose nearest centre is sought at a time, and so many times in one call.
_BLOCK, _AT_ONCE = 4096, 8
# Bins for each centre that is wanted, and centres of a bin, at most.
_ROOM, _CENTERS_OF_A_BIN = 8, 32
# Half the root of the number of points, between these.
_SMALLEST, _LARGEST = 128, 1024


class Cells(NamedTuple):
    """Cells of as many points each, near ones in one cell and near cells side by side.

    Attributes:
      points: ``[c, s, m]``, as they are looked at; any where the last cell is not full.
      bias: ``[c, s]``, minus half of each point's squared length; ``NOTHING`` where none is.
      centers: ``[c, m]``, the mean of each cell.
      order: int32 ``[c·s]``, the row of each point; the number of rows where there is none.
    """

    points: jax.Array
    bias: jax.Array
    centers: jax.Array
    order: jax.Array

    def places(self, num_rows: int) -> jax.Array:
        """Where each of ``num_rows`` rows stands in the order: int32 ``[n]``."""
        places = jnp.arange(len(self.order), dtype=jnp.int32)
        return jnp.zeros(num_rows, jnp.int32).at[self.order].set(places, mode="drop")


def cell_size(num_points: int) -> int:
    """A power of two near half the root of ``num_points``, so that probing costs as searching."""
    wanted = max(_SMALLEST, min(_LARGEST, num_points**0.5 / 2))
    return 1 << round(float(np.log2(wanted)))


def cut(x: jax.Array, view: View, size: int) -> Cells:
    """Cut the rows of ``x`` ``[n, d]`` into cells of ``size``, n at least twice that.

    The rows are ordered by the cells of a k-means, those by a walk from each centre to the nearest
    that is left, and within a cell by how far they are on the way from the one before to the one
    after: cut anywhere, the pieces are of points that are near each other.
    """
    n = x.shape[0]
    way = _way(x, view, n // size)
    block = min(_BLOCK, n)
    parts = cut_in_parts(-(-n // block), _AT_ONCE)
    nothing = jnp.zeros(n, jnp.int32), jnp.zeros(n, jnp.float32)
    placed = collect(lambda part: _placed(x, view, way, part, block), parts, nothing, x)
    return _filled(x, view, placed, size)


class _Way(NamedTuple):
    centers: jax.Array  # [c, m]
    place: jax.Array  # [c], when the walk comes to each centre
    ahead: jax.Array  # [c, m], the direction of the walk there


@functools.partial(jax.jit, static_argnames="num_cells")
def _way(x: jax.Array, view: View, num_cells: int) -> _Way:
    centers = _centers(x, view, num_cells)
    walk = _walk(centers)
    place = jnp.zeros_like(walk).at[walk].set(jnp.arange(len(walk), dtype=jnp.int32))
    ahead = (jnp.roll(centers[walk], -1, 0) - jnp.roll(centers[walk], 1, 0))[place]
    return _Way(centers, place, ahead)


@functools.partial(jax.jit, static_argnames="block")
def _placed(
    x: jax.Array, view: View, way: _Way, part: jax.Array, block: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Of the blocks ``part``, the rows, where on the way each stands, and how far on from there."""

    def of(start: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        start = jnp.minimum(start * block, x.shape[0] - block)
        points = view.of(jax.lax.dynamic_slice_in_dim(x, start, block))
        own = nearest_centers(points, way.centers, 1)[:, 0]
        along = jnp.sum(points * way.ahead[own], axis=1)
        return start + jnp.arange(block, dtype=jnp.int32), (way.place[own], along)

    return jax.tree.map(lambda a: a.reshape(-1), jax.lax.map(of, part))


@functools.partial(jax.jit, static_argnames="size")
def _filled(x: jax.Array, view: View, placed: tuple[jax.Array, jax.Array], size: int) -> Cells:
    """Cells of the rows in the order in which they are ``placed``."""
    n = x.shape[0]
    rows = jnp.arange(n, dtype=jnp.int32)
    order = jnp.pad(jax.lax.sort((*placed, rows), num_keys=2)[2], (0, -n % size), constant_values=n)
    points = blocks.map_rows(lambda rows: view.of(x[rows]), (order,), _BLOCK)
    points = points.reshape(-1, size, points.shape[1])
    there = (order < n).reshape(-1, size)
    sums = jnp.einsum("csm,cs->cm", points, there.astype(jnp.float32), precision="highest")
    bias = jnp.where(there, -0.5 * arrays.squared_norms(points), NOTHING)
    return Cells(points, bias, sums / jnp.sum(there, axis=1)[:, None], order)


def nearest_centers(points: jax.Array, centers: jax.Array, count: int) -> jax.Array:
    """Which of ``centers`` ``[c, d]`` are nearest to each of ``points``: int32 ``[m, count]``.

    Of many centres, a few that share a bin with a nearer one are passed over: all the more, the
    more are wanted.
    """
    num_centers = len(centers)
    room = max(1, num_centers // (_ROOM * count))
    width = min(_CENTERS_OF_A_BIN, 1 << (room.bit_length() - 1))
    padded = jnp.pad(centers, ((0, -num_centers % width), (0, 0)))
    there = jnp.arange(len(padded)) < num_centers
    bias = jnp.where(there, -0.5 * arrays.squared_norms(padded), NOTHING)
    best = best_of_bins(arrays.inner(points, padded) + bias[None], width)
    values, found = jax.lax.top_k(best, count)
    return column_of(values, found, len(padded) // width, width)


def _centers(x: jax.Array, view: View, num_cells: int) -> jax.Array:
    """Centres ``[c, m]`` of a short k-means on evenly spaced rows."""
    size = min(x.shape[0], num_cells * _SAMPLE_PER_CELL)
    sample = view.of(x[np.linspace(0, x.shape[0] - 1, size).astype(np.int32)])
    start = sample[:: size // num_cells][:num_cells]
    return lloyd(sample, start, _STEPS, 0.0).centers


def _walk(centers: jax.Array) -> jax.Array:
    """An order ``[c]`` of the centres: from each to the nearest where the walk has not been."""
    norms = arrays.squared_norms(centers)

    def step(i: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        walk, left = state
        distances2 = norms - 2.0 * arrays.matmul(centers, centers[walk[i - 1]])
        found = jnp.argmin(jnp.where(left, distances2, jnp.inf)).astype(jnp.int32)
        return walk.at[i].set(found), left.at[found].set(False)

    first = jnp.zeros(len(centers), jnp.int32), jnp.ones(len(centers), bool).at[0].set(False)
    return jax.lax.fori_loop(1, len(centers), step, first)[0]
