"""Where the committee compares samples: features, graphs, and what is drawn from them."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax import ops, scores
from idc_jax.methods.committee.options import GraphCommitteeOptions
from idc_jax.methods.common.searching import Search
from idc_jax.ops import sharded
from idc_jax.ops.edges import Edges, normalized_edges
from idc_jax.ops.graph import decorrelate_neighbors, directions, smooth
from idc_jax.ops.spectral import leading_eigenpairs

# Neighbours in the graph where no reach says how many.
_GRAPH = 15
# Samples of whose opinions the student learns.
_STUDENTS = 2_500
# Keeps the waves of a graph that falls apart, of eigenvalue 1, from being all there is.
_SHORTEST = 0.01
# Up to so many columns, how far a sample lies from the mean says more than rounding: directions
# alone leave a circle of a plane, and two points of a line.
_FEW_COLUMNS = 16


class CommitteeSpace(NamedTuple):
    """Several views of the same n samples.

    Over several devices, all but the density and the students is spread by its rows, and has the
    first ones again at the end, as many as are missing for each device to have as many.

    Attributes:
      features: float32 ``[n, d]``, averaged over neighbours, of unit length.
      density: float32 ``[n]``, IDC's representativeness of each sample among the features.
      plain: float32 ``[n, d]``, the same before averaging; ``[n, 0]`` where no student learns.
      smooth: float32 ``[n, e]``, coordinates on the graph, of unit length; e may be 0.
      further: float32 ``[n, d]`` each, views that are better on some data: as they came, averaged,
        for embeddings whose directions mean what they should; not averaged, and neither, where
        neighbours are of many classes. None where no answers weigh the members.
      neighbors: the graph, ``[n, k]`` each.
      graphs: the graph as a matrix, to as many neighbours as each reach has.
      widest: that of the most neighbours; None where nothing flows through it.
      students: int32 ``[s]``, the samples of whose opinions the student learns.
    """

    features: jax.Array
    density: jax.Array
    plain: jax.Array
    smooth: jax.Array
    further: tuple[jax.Array, ...]
    neighbors: ops.Neighbors
    graphs: tuple[Edges, ...]
    widest: Edges | None
    students: jax.Array


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
      x: ``[n, d]``.
      options: how.
      search: finds neighbours.
      num_samples: the first so many rows are samples, the others repeats; None for all.
    """
    size = len(x) if num_samples is None else num_samples
    if x.shape[1] <= _FEW_COLUMNS:
        x = _on_sphere(x)
    given = directions(x)
    z = decorrelate_neighbors(key, x) if options.decorrelate else given
    widest = max((k for k, _ in options.reaches), default=_GRAPH)
    # One number of neighbours for all searches: they share a program.
    count = max(widest, options.hop_neighbors, options.density_neighbors)
    found = search(z, count)
    features = _averaged(z, found, options.hop_neighbors, options.hops)
    near, around = ops.nearest(found, widest), search(features, count)
    density = scores.representativeness(features, options.density_neighbors, neighbors=around)
    start, choice = jax.random.split(jax.random.fold_in(key, 1))
    learns = options.student and options.regression
    needed = options.poisson or (options.coordinates and options.regression)
    graphs = {k: normalized_edges(ops.nearest(found, k)) for k, _ in options.reaches}
    edges = (graphs.get(widest) or normalized_edges(near)) if needed else None
    count = options.coordinates if edges is not None and options.regression else 0
    return CommitteeSpace(
        features=features,
        density=sharded.first(density, size),
        plain=z if learns else z[:, :0],
        smooth=_coordinates(start, edges, count) if count else z[:, :0],
        further=_further(z, given, around.indices.shape[1], options, search),
        neighbors=near,
        graphs=tuple(graphs[k] for k, _ in options.reaches),
        widest=edges if options.poisson else None,
        students=_drawn(choice, size),
    )


def _further(
    z: jax.Array, given: jax.Array, count: int, options: GraphCommitteeOptions, search: Search
) -> tuple[jax.Array, ...]:
    """Views beside the features, most useful first; ``count`` neighbours as elsewhere."""
    if not (options.stacking and options.views and options.regression):
        return ()
    if not options.decorrelate:
        return (z,)
    found = search(given, count)
    return _averaged(given, found, options.hop_neighbors, options.hops), z, given


@partial(jax.jit, static_argnames=("num_samples",))
def _drawn(key: jax.Array, num_samples: int) -> jax.Array:
    """The students, without one twice."""
    return sharded.whole(jax.random.permutation(key, num_samples)[:_STUDENTS].astype(jnp.int32))


@partial(jax.jit, static_argnames=("count",))
def _coordinates(key: jax.Array, edges: Edges, count: int) -> jax.Array:
    """Each sample's place ``[n, e]`` on the graph: long waves count for more than short ones."""
    values, vectors = leading_eigenpairs(key, edges, count)
    return ops.normalize(vectors * jax.lax.rsqrt(jnp.maximum(1.0 - values, 0.0) + _SHORTEST))


@jax.jit
def _on_sphere(x: jax.Array) -> jax.Array:
    return ops.on_sphere(x, *ops.center_and_radius(x))


@partial(jax.jit, static_argnames=("count", "hops"))
def _averaged(z: jax.Array, found: ops.Neighbors, count: int, hops: int) -> jax.Array:
    return ops.normalize(smooth(z, ops.nearest(found, count), hops=hops))
