"""Where the committee compares samples: features, graphs, and what is drawn from them."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax import ops, scores
from idc_jax.methods.committee.options import GraphCommitteeOptions
from idc_jax.methods.common.searching import Search
from idc_jax.ops import blocks, sharded
from idc_jax.ops.edges import Edges, normalized_edges
from idc_jax.ops.graph import (
    Directions,
    decorrelation,
    distances2_along,
    looked_at,
    plain_directions,
    smooth,
)
from idc_jax.ops.narrow import widened
from idc_jax.ops.spectral import leading_subspace
from idc_jax.scores.idc import log_density

# Neighbours in the graph where no reach says how many.
_GRAPH = 15
# Samples of whose opinions the student learns.
_STUDENTS = 2_500
# Keeps the waves of a graph that falls apart, of eigenvalue 1, from being all there is.
_SHORTEST = 0.01
# Rows that are made float32 at a time.
_ROWS = 16_384
# Up to so many columns, how far a sample lies from the mean says more than rounding: directions
# alone leave a circle of a plane, and two points of a line.
_FEW_COLUMNS = 16


class View(NamedTuple):
    """Rows ``[n, d]`` of any precision, and how they are looked at; None for as they are."""

    rows: jax.Array
    look: Directions | None = None

    def of(self, rows: jax.Array) -> jax.Array:
        """What ``rows`` ``[m, d]`` of it look like, float32."""
        return widened(rows) if self.look is None else self.look.of(rows)

    def at(self, places: jax.Array) -> jax.Array:
        """What the rows at a few ``places`` ``[m]`` look like, float32 ``[m, d]``."""
        return self.of(sharded.take(self.rows, places))


class CommitteeSpace(NamedTuple):
    """Several views of the same n samples.

    Rows are as narrow as those that it was made of: of float16 and bfloat16 ones no float32 copy is
    held. What can be told of the rows as they came by looking at them is not kept beside them.

    Over several devices, all but the density, the students and the looks is spread by its rows,
    and has the first ones again at the end, as many as are missing for each device to have as many.

    Attributes:
      features: ``[n, d]``, averaged over neighbours, of unit length.
      density: float32 ``[n]``, IDC's representativeness of each sample among the features.
      plain: ``[n, d]``, the rows as they came; ``[n, 0]`` where nothing looks at them.
      smooth: ``[n, e]``, coordinates on the graph, of unit length; e may be 0.
      further: ``[n, d]`` each, views that are better on some data: averaged over neighbours as
        they came, for embeddings whose directions mean what they should. None where no answers
        weigh the members.
      graphs: the graph as a matrix, to as many neighbours as each reach has.
      widest: that of the most neighbours; None where nothing flows through it.
      students: int32 ``[s]``, the samples of whose opinions the student learns.
      look: how the student looks at the ``plain``: as the features before averaging.
      looks: the same of further views, for data where neighbours are of many classes: as the
        features before averaging, and as the rows came.
    """

    features: jax.Array
    density: jax.Array
    plain: jax.Array
    smooth: jax.Array
    further: tuple[jax.Array, ...]
    graphs: tuple[Edges, ...]
    widest: Edges | None
    students: jax.Array
    look: Directions | None = None
    looks: tuple[Directions, ...] = ()

    def known_views(self) -> list[View]:
        """The features, and the graph's coordinates where there are any."""
        return [View(rows) for rows in (self.features, self.smooth) if rows.shape[1]]

    def further_views(self) -> list[View]:
        """Views beside these, most useful first."""
        seen = (View(self.plain, look) for look in self.looks)
        return [*map(View, self.further), *seen]


def compare(
    key: jax.Array,
    x: jax.Array,
    options: GraphCommitteeOptions,
    search: Search = ops.knn,
    *,
    num_samples: int | None = None,
) -> CommitteeSpace:
    """Make of ``x`` ``[n, d]`` the space and the graph in which samples are compared.

    Args:
      key: draws the samples that decorrelation looks at.
      x: ``[n, d]`` of any precision.
      options: how.
      search: finds neighbours.
      num_samples: the first so many rows are samples, the others repeats; None for all.
    """
    size = len(x) if num_samples is None else num_samples
    if x.shape[1] <= _FEW_COLUMNS:
        x = _on_sphere(x)
    look = decorrelation(key, x) if options.decorrelate else plain_directions(x)
    given = Directions(look.mean)
    widest = max((k for k, _ in options.reaches), default=_GRAPH)
    # One number of neighbours for all searches: they share a program.
    count = max(widest, options.hop_neighbors, options.density_neighbors)
    around = partial(_around, search=search, count=count, options=options)
    weighed = bool(options.stacking and options.views and options.regression)
    # First of all, while nothing else is held.
    further = (around(x, given)[0],) if weighed and options.decorrelate else ()
    features, found = around(x, look)
    parts = _parts(found, tuple(sorted({k for k, _ in options.reaches} | {widest})))
    beside = search(features, count) if options.density_search else found
    del found
    density = _density(features, beside, size, options)
    del beside
    start, choice = jax.random.split(jax.random.fold_in(key, 1))
    looks = (look, given)[: 1 + options.decorrelate] if weighed else ()
    learns = bool(options.student and options.regression)
    waves = options.coordinates if options.regression else 0
    reached = bool(options.reaches or options.poisson or waves)
    graphs = {k: normalized_edges(part, x.dtype) for k, part in parts.items() if reached}
    del parts
    edges = graphs.get(widest)
    return CommitteeSpace(
        features=features,
        density=density,
        plain=x if learns or looks else x[:, :0],
        smooth=_coordinates(start, edges, waves, x.dtype.name) if waves else x[:, :0],
        further=further,
        graphs=tuple(graphs[k] for k, _ in options.reaches),
        widest=edges if options.poisson else None,
        students=_drawn(choice, size),
        look=look if learns else None,
        looks=looks,
    )


def _around(
    x: jax.Array, look: Directions, search: Search, count: int, options: GraphCommitteeOptions
) -> tuple[jax.Array, ops.Neighbors]:
    """``x`` as it looks, averaged over its neighbours there, and ``count`` of these."""
    z = looked_at(x, look)
    found = search(z, count)
    return _averaged(z, found, options.hop_neighbors, options.hops), found


def _density(
    features: jax.Array, near: ops.Neighbors, size: int, options: GraphCommitteeOptions
) -> jax.Array:
    """In the midst of how many others each of ``size`` samples is: IDC's representativeness."""
    count = options.density_neighbors
    if options.density_search:
        density = scores.representativeness(features, count, neighbors=near)
    else:
        density = log_density(distances2_along(features, ops.nearest(near, count).indices))
    return sharded.first(density, size)


@partial(jax.jit, static_argnames="counts")
def _parts(found: ops.Neighbors, counts: tuple[int, ...]) -> dict[int, ops.Neighbors]:
    """So many of the neighbours ``found``."""
    return {k: ops.nearest(found, k) for k in counts}


@partial(jax.jit, static_argnames=("num_samples",))
def _drawn(key: jax.Array, num_samples: int) -> jax.Array:
    """The students, without one twice."""
    return sharded.whole(jax.random.permutation(key, num_samples)[:_STUDENTS].astype(jnp.int32))


@partial(jax.jit, static_argnames=("count", "dtype"))
def _coordinates(key: jax.Array, edges: Edges, count: int, dtype: str) -> jax.Array:
    """Each sample's place ``[n, e]`` on the graph: long waves count for more than short ones."""
    values, vectors = leading_subspace(key, edges, count, dtype=dtype)
    lengths = jax.lax.rsqrt(jnp.maximum(1.0 - values, 0.0) + _SHORTEST)

    def places(rows: jax.Array) -> jax.Array:
        return ops.normalize((widened(rows) * lengths)[:, ::-1][:, :count]).astype(dtype)

    return blocks.map_rows(places, (vectors,), _ROWS)


@jax.jit
def _on_sphere(x: jax.Array) -> jax.Array:
    wide = widened(x)
    return ops.on_sphere(wide, *ops.center_and_radius(wide)).astype(x.dtype)


@partial(jax.jit, static_argnames=("count", "hops"), donate_argnames="z")
def _averaged(z: jax.Array, found: ops.Neighbors, count: int, hops: int) -> jax.Array:
    """``z`` averaged over neighbours, of unit length, in its place."""

    def unit(_: jax.Array, fresh: jax.Array, rows: jax.Array) -> jax.Array:
        del fresh
        return ops.normalize(rows).astype(rows.dtype)

    return blocks.replace_rows(unit, smooth(z, ops.nearest(found, count), hops=hops), _ROWS)
