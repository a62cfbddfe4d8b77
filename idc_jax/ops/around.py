"""Nearly all nearest neighbours of points that are spread over devices, or over hosts.

Each device cuts its own points into cells, once, and looks at them as all others do. The cells go
round the ring, and each device's points look into its own cells and then into each that visits.
What they find there are candidates, the best of all devices; then the points themselves go round,
for the distances. So a device holds its own points, one device's cells or points beside them, and
the candidates, and looks at its share of what one device alone would look at.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from idc_jax.ops import agreed, ring, topk, visits
from idc_jax.ops.candidates import nearest_of
from idc_jax.ops.cells import Cells, cell_size, cut
from idc_jax.ops.local import on_each_here
from idc_jax.ops.neighbors import Neighbors
from idc_jax.ops.parts import collect
from idc_jax.ops.probing import SPARE, is_worth
from idc_jax.ops.sharded import Rows, on_each
from idc_jax.ops.views import View

# Points of a batch that look into a cell, on average.
_MOST = 1024
# What is kept of a batch: so many numbers, 128 MB. A CPU has a batch for each core.
_KEPT, _KEPT_ON_CPUS = 2**25, 2**22


class _Own(NamedTuple):
    """What a device keeps of its own cells, as they go round.

    Attributes:
      order: int32 ``[c·s]``, its rows; their number where there is none.
      centers: ``[c, m]``.
    """

    order: jax.Array
    centers: jax.Array


class _Candidates(NamedTuple):
    """The best that each point has found: ``[m, w]`` each.

    Attributes:
      scores: as they are looked at, best first.
      indices: int32, of all rows; their number where nothing was found.
    """

    scores: jax.Array
    indices: jax.Array


def search(
    x: jax.Array,
    k: int,
    mesh: Mesh,
    axis: str,
    *,
    recall: float,
    probes: int | None,
    size: int | None,
) -> Neighbors | None:
    """Nearly the ``k`` nearest others; None, on all devices, where an exact search is no dearer.

    Args:
      x: points ``[n, d]``, rows spread over ``axis`` of ``mesh``; finite.
      k: neighbours, less than ``n``.
      mesh: devices.
      axis: name of the axis.
      recall: share of the true neighbours to be found.
      probes: of each device's cells, how many each point looks into, in place of ``recall``.
      size: points of a cell.
    """
    how = Rows(axis, mesh.shape[axis], mesh)
    n, own = x.shape[0], x.shape[0] // how.size
    size = size or cell_size(own)
    # More neighbours than points that may be looked at: they are not even sampled.
    if k < 1 or own < 2 * size or not is_worth(2 * k, n, k):
        return None
    view = agreed.view_of(x, how)
    if probes is None:
        view, cells, probes = _cut_for(x, view, how, size, k, recall)
    else:
        cells = _cut(x, view, how, size)
    probes = min(probes, len(cells.centers) // how.size)
    if not is_worth(probes * size * how.size, n, k):
        return None
    indices = _candidates(x, view, cells, how, probes, min(k + SPARE, n - 1))
    found = nearest_of(x, indices, how, k)
    # Cells too small to hold k others: rare.
    return found if bool(_are_there(found.distances2)) else None


def _cut(x: jax.Array, view: View, how: Rows, size: int) -> Cells:
    """Each device's own cells of its own rows."""
    return on_each_here(lambda x, view: cut(x, view, size), how, x, view)


def _cut_for(
    x: jax.Array, view: View, how: Rows, size: int, k: int, recall: float
) -> tuple[View, Cells, int]:
    """How to look, cells, and how many to look into for a share ``recall`` of the ``k`` nearest."""
    some = agreed.sample(x, view, how, k)
    view, recall = agreed.along_few(x, view, some, how, k, recall)
    cells = _cut(x, view, how, size)
    return view, cells, agreed.probes_for(cells, view, some, how, len(x) // how.size, recall)


def _candidates(
    x: jax.Array, view: View, cells: Cells, how: Rows, probes: int, wanted: int
) -> jax.Array:
    """The best that each point finds in the cells of all devices, which are given away.

    Returns:
      int32 ``[n, w]``, rows spread; n where nothing was found.
    """
    own = _Own(cells.order, cells.centers)
    cells = cells._replace(order=_among_all(cells.order, how, len(x)))
    best = None
    for step in range(how.size):
        if step:
            points = ring.given_onwards(cells.points, how.mesh, how.axis)
            cells = Cells(points, *ring.onwards(cells[1:], how.mesh, how.axis))
        look = functools.partial(
            _look, probes=probes, wanted=wanted, others=step > 0, nothing=len(x)
        )
        best = on_each_here(look, how, x, view, own, cells, best)
    assert best is not None
    return best.indices


@functools.partial(jax.jit, static_argnames=("how", "n"))
def _among_all(order: jax.Array, how: Rows, n: int) -> jax.Array:
    """The rows of each device's cells among all ``n``; n where there is none."""

    def local(order: jax.Array, me: jax.Array) -> jax.Array:
        own = n // how.size
        return jnp.where(order < own, me * own + order, n)

    return on_each(local, how, (order, ring.numbers(how.size)))


def _look(
    x: jax.Array,
    view: View,
    own: _Own,
    cells: Cells,
    best: _Candidates | None,
    *,
    probes: int,
    wanted: int,
    others: bool,
    nothing: int,
) -> _Candidates:
    """The ``best`` of one device's points, and what they find in ``cells``, its own or others'."""
    shape, (device,) = (len(x), wanted), x.devices()
    kept = _KEPT_ON_CPUS if device.platform == "cpu" else _KEPT
    found = collect(
        lambda part: _found(
            x, view, own, cells, part, others, nothing, probes=probes, wanted=wanted
        ),
        visits.batches(cells.points.shape, probes, _MOST, kept),
        _Candidates(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.int32)),
        x,
    )
    return found if best is None else _better(best, found)


@functools.partial(jax.jit, static_argnames=("probes", "wanted"))
def _found(
    x: jax.Array,
    view: View,
    own: _Own,
    cells: Cells,
    part: jax.Array,
    others: bool,
    nothing: int,
    *,
    probes: int,
    wanted: int,
) -> tuple[jax.Array, _Candidates]:
    """The rows ``[b·s]`` in the own cells ``part`` ``[b]`` and what they find."""
    size = cells.points.shape[1]
    places = visits.places_in(part, size)
    rows = own.order[places]
    # Seen once more, rather than kept beside the cells that visit.
    points = view.of(x[rows]).reshape(len(part), size, -1)
    queries = visits.Queries(points, own.centers[part], jnp.where(others, -1, places))
    scores, found = visits.look(queries, cells, probes=probes, wanted=wanted)
    return rows, _Candidates(scores, jnp.append(cells.order, nothing)[found])


@functools.partial(jax.jit, donate_argnames="best")
def _better(best: _Candidates, found: _Candidates) -> _Candidates:
    return _Candidates(*topk.merge(*best, *found))


@jax.jit
def _are_there(distances2: jax.Array) -> jax.Array:
    return jnp.isfinite(distances2[:, -1]).all()
