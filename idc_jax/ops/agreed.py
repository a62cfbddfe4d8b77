"""How devices that have rows of their own look at them, and into how many cells, alike on all.

What :mod:`idc_jax.ops.probing` reads off a sample of the rows of one device is read here off a few
rows of each. Every device has all of these, and looks for their neighbours among its own rows; the
nearest of all devices are the true ones. So each device does its part, and none decides by itself.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from idc_jax.ops import blocks, probing, ring, views, visits
from idc_jax.ops.cells import Cells
from idc_jax.ops.neighbors import Neighbors
from idc_jax.ops.sharded import Rows, on_each
from idc_jax.ops.views import View


class Sample(NamedTuple):
    """Rows of all devices, and which of each device's own are their nearest.

    Attributes:
      rows: ``[q, d]``, whole on each device.
      places: int32 ``[p·q]``, of each device which of its own rows these are, −1 where another's.
      near: int32 ``[p·q, k]``, of each device its nearest to them.
      true: ``[p·q, k]``, which of those are among the k nearest of all.
      near2: the usual squared distance of the k-th, whole on each device.
    """

    rows: jax.Array
    places: jax.Array
    near: jax.Array
    true: jax.Array
    near2: jax.Array


@functools.partial(jax.jit, static_argnames="how")
def view_of(x: jax.Array, how: Rows) -> View:
    """Without the mean of rows of all devices; along all axes."""

    def local(x: jax.Array) -> jax.Array:
        some = x[_spaced(len(x), views.SAMPLE, how)].astype(jnp.float32)
        return jax.lax.pmean(jnp.mean(some, axis=0), how.axis)

    return View(on_each(local, how, (x,), together=True))


@functools.partial(jax.jit, static_argnames=("how", "k"))
def sample(x: jax.Array, view: View, how: Rows, k: int) -> Sample:
    """Rows of ``x`` whose ``k`` true neighbours are known; ``view`` is of all axes."""
    among = min(k, x.shape[0] // how.size - 1)

    def local(x: jax.Array, me: jax.Array, view: View) -> tuple[jax.Array, ...]:
        own = _spaced(len(x), probing.QUERIES, how)
        rows = jax.lax.all_gather(x[own], how.axis, tiled=True)
        host = np.repeat(np.arange(how.size), len(own))
        places = jnp.where(host == me, np.tile(own, how.size), -1)

        def nearest(rows: jax.Array, places: jax.Array, x: jax.Array, view: View) -> Neighbors:
            return probing.nearest_to(rows, places, x, view, among)

        near = blocks.map_rows(nearest, (rows, places), probing.AT_ONCE, (x, view))
        every = jax.lax.all_gather(near.distances2, how.axis, axis=1, tiled=True)
        limit = jnp.sort(every, axis=1)[:, k - 1 : k]
        true = near.distances2 <= limit
        return rows, places, near.indices, true, jnp.median(limit)

    spread, whole = PartitionSpec(how.axis), PartitionSpec()
    found = jax.shard_map(
        local,
        mesh=how.mesh,
        in_specs=(spread, spread, whole),
        out_specs=(whole, spread, spread, spread, whole),
        check_vma=False,
    )
    return Sample(*found(x, ring.numbers(how.size), view))


def along_few(
    x: jax.Array, view: View, some: Sample, how: Rows, k: int, recall: float
) -> tuple[View, float]:
    """A view of few axes if it loses next to no neighbours, and the share to be found in it."""
    variances, axes = _spectrum(x, view, how)
    for fewer in views.along_few(view, variances, axes, float(some.near2)):
        lost = probing.lost_of(_before_the_last(x, fewer, some, how), k)
        if lost <= probing.MAY_LOSE:
            return fewer, recall + lost
    return view, recall


@functools.partial(jax.jit, static_argnames="how")
def _spectrum(x: jax.Array, view: View, how: Rows) -> tuple[jax.Array, jax.Array]:
    """Variances ``[d]``, ascending, and the axes ``[d, d]``, to the bit the same on all devices."""

    def local(x: jax.Array, me: jax.Array, view: View) -> tuple[jax.Array, jax.Array]:
        rows = x[_spaced(len(x), views.SAMPLE, how)]
        covariance = jax.lax.psum(views.scatter(view, rows), how.axis) / (len(rows) * how.size)
        # By one device: another kind may round otherwise, and how many axes are kept turns on that.
        nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(views.spectrum, covariance))
        found = jax.lax.cond(me[0] == 0, views.spectrum, lambda _: nothing, covariance)
        return jax.lax.psum(found, how.axis)

    return on_each(local, how, (x, ring.numbers(how.size)), shared=(view,), together=True)


@functools.partial(jax.jit, static_argnames="how")
def _before_the_last(x: jax.Array, view: View, some: Sample, how: Rows) -> jax.Array:
    """How many rows come before the last of the true neighbours of every fourth row: ``[q/4]``."""

    def score(
        rows: jax.Array, near: jax.Array, true: jax.Array, x: jax.Array, view: View
    ) -> jax.Array:
        scores = probing.scores_of(rows, view, x[near])
        return jnp.min(jnp.where(true, scores, jnp.inf), axis=1)

    def local(
        x: jax.Array,
        places: jax.Array,
        near: jax.Array,
        true: jax.Array,
        rows: jax.Array,
        view: View,
    ) -> jax.Array:
        places, near, true, rows = (a[:: probing.EVERY] for a in (places, near, true, rows))
        own = blocks.map_rows(score, (rows, near, true), probing.AT_ONCE, (x, view))
        asked = (jax.lax.pmin(own, how.axis), rows, places)
        return jax.lax.psum(
            blocks.map_rows(probing.num_before, asked, probing.AT_ONCE, (x, view)), how.axis
        )

    own = (x, some.places, some.near, some.true)
    return on_each(local, how, own, shared=(some.rows, view), together=True)


def probes_for(cells: Cells, view: View, some: Sample, how: Rows, own: int, recall: float) -> int:
    """How many of each device's ``cells``, of ``own`` rows, to look into for a share ``recall``."""
    return probing.probes_for(np.asarray(_share(cells, view, some, how, own), np.float64), recall)


@functools.partial(jax.jit, static_argnames=("how", "own"))
def _share(cells: Cells, view: View, some: Sample, how: Rows, own: int) -> jax.Array:
    """Share ``[q, c]`` of the true neighbours that 1, 2, ... c probes on each device find."""

    def local(
        cells: Cells, near: jax.Array, true: jax.Array, rows: jax.Array, view: View
    ) -> jax.Array:
        found = probing.found_by_probes(
            cells,
            view.of(rows),
            cells.places(own)[near],
            true.astype(jnp.float32),
            near=visits.NEAR,
            bins=visits.num_bins(cells.points.shape[1]),
        )
        count = jnp.sum(true, axis=1, dtype=jnp.float32)
        found, count = jax.lax.psum((found, count), how.axis)
        return found / count[:, None]

    spread = (cells, some.near, some.true)
    return on_each(local, how, spread, shared=(some.rows, view), together=True)


def _spaced(own: int, count: int, how: Rows) -> np.ndarray:
    """A device's part of ``count`` evenly spaced rows: of its ``own``, int32."""
    return np.linspace(0, own - 1, min(own, -(-count // how.size))).astype(np.int32)
