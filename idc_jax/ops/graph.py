"""The nearest-neighbour graph at work: averaging over it, and how much its edges weigh."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays, blocks, narrow, ring, sharded
from idc_jax.ops.narrow import widened
from idc_jax.ops.neighbors import Neighbors, knn
from idc_jax.ops.probing import true_neighbors
from idc_jax.ops.views import View

# Entries of neighbours' rows that are gathered at once: of a few, a pass for each neighbour saves
# nothing and takes long to compile.
_GATHERED_WHOLE = 2**20


@partial(jax.jit, static_argnames=("hops",))
def smooth(x: jax.Array, neighbors: Neighbors, *, hops: int) -> jax.Array:
    """Average every row with its neighbours' rows, ``hops`` times over.

    This is the propagation step of simplified graph convolutions (Wu et al., "Simplifying Graph
    Convolutional Networks", 2019) on the k-nearest-neighbour graph: what a sample has in common
    with those around it stays, what it has alone is averaged away.

    Args:
      x: ``[n, d]`` of any precision; of many rows, a few columns are averaged at a time.
      neighbors: of the same n samples, self excluded.
      hops: how often; 0 gives ``x`` back.

    Returns:
      ``[n, d]``, as narrow as ``x``.
    """
    share = 1.0 / (neighbors.indices.shape[1] + 1)
    weights = jnp.full(neighbors.indices.shape[-1:], share)

    def mean(own: jax.Array, x: jax.Array, indices: jax.Array) -> jax.Array:
        even = jnp.broadcast_to(weights, indices.shape)
        return share * own + gathered(x, indices, even)

    def averaged(x: jax.Array) -> jax.Array:
        hop = lambda _, x: sharded.by_columns(mean, x, neighbors.indices)  # noqa: E731
        return jax.lax.fori_loop(0, hops, hop, x)

    return blocks.replace_columns(averaged, x)


@jax.jit
def distances2_along(x: jax.Array, indices: jax.Array) -> jax.Array:
    """The squared distances, added up, from each row of ``x`` to those that it names: ``[n]``.

    Args:
      x: ``[n, d]`` of any precision; of many rows, a few columns are looked at at a time.
      indices: ``[n, k]``, rows of ``x``.
    """

    def apart(own: jax.Array, x: jax.Array, indices: jax.Array) -> jax.Array:
        return sum((jnp.square(own - x[near]) for near in indices.T), jnp.zeros_like(own))

    def step(total: jax.Array, start: jax.Array, fresh: jax.Array) -> jax.Array:
        columns = widened(jax.lax.dynamic_slice_in_dim(x, start, len(fresh), axis=1))
        found = sharded.by_columns(apart, columns, indices)
        return total + jnp.sum(found, axis=1, where=fresh)

    width = blocks.num_columns(*x.shape)
    return blocks.scan_rows(step, jnp.zeros(len(x)), x.shape[1], width)


class Directions(NamedTuple):
    """How rows are looked at: by their directions from a mean, perhaps turned and stretched.

    Attributes:
      mean: ``[d]``, of the rows.
      center: ``[d]``, of the directions; None where they are as they are.
      turn: ``[d, d]``, by which they are multiplied.
    """

    mean: jax.Array
    center: jax.Array | None = None
    turn: jax.Array | None = None

    def of(self, rows: jax.Array) -> jax.Array:
        """What ``rows`` ``[m, d]`` of any precision look like: float32, of unit length."""
        found = arrays.normalize(widened(rows) - self.mean)
        if self.center is None or self.turn is None:
            return found
        return arrays.normalize(arrays.matmul(found - self.center, self.turn))


def decorrelate_neighbors(
    key: jax.Array,
    x: jax.Array,
    *,
    num_neighbors: int = 5,
    num_queries: int = 4096,
    shrinkage: float = 0.05,
) -> jax.Array:
    """Rescale ``x`` so that neighbours differ equally much in every direction.

    The directions in which neighbours differ most say least of what they have in common. This is
    the whitening of relevant component analysis (Shental, Hertz, Weinshall and Pavel, "Adjustment
    Learning and Relevant Component Analysis", 2002), where nearest neighbours stand in for the
    groups that somebody would have to name.

    Args:
      key: draws the queries.
      x: ``[n, d]``; only the rows' directions from their mean count.
      num_neighbors: of each query, whose differences are measured.
      num_queries: samples whose neighbours are looked at, at most.
      shrinkage: in [0, 1], how far the covariance of the differences is drawn to a sphere.

    Returns:
      ``[n, d]``, rows of unit length, as narrow as ``x``.
    """
    look = decorrelation(
        key, x, num_neighbors=num_neighbors, num_queries=num_queries, shrinkage=shrinkage
    )
    return looked_at(x, look)


def decorrelation(
    key: jax.Array,
    x: jax.Array,
    *,
    num_neighbors: int = 5,
    num_queries: int = 4096,
    shrinkage: float = 0.05,
) -> Directions:
    """How :func:`decorrelate_neighbors` looks at rows."""
    look, z = _seen_plainly(x)
    n = z.shape[0]
    if n <= num_queries:
        turned = _whitened(z, z, knn(z, num_neighbors).indices, shrinkage)
        return Directions(look.mean, *turned)
    rows, queries = _drawn(key, z, num_queries)
    if z.dtype == jnp.float32 or ring.axis_of_rows(z):
        # One more than wanted: the nearest to a query is itself.
        found = knn(z, num_neighbors + 1, queries=queries).indices[:, 1:]
    else:
        found = true_neighbors(z, View(jnp.zeros(z.shape[1])), rows, num_neighbors).indices
    return Directions(look.mean, *_whitened(z, queries, found, shrinkage))


@partial(jax.jit, static_argnames="count")
def _drawn(key: jax.Array, z: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    rows = jax.random.permutation(key, len(z))[:count]
    return sharded.whole(rows), sharded.take(z, rows)


@jax.jit
def plain_directions(x: jax.Array) -> Directions:
    """Each row's direction from the mean of all."""
    return Directions(narrow.mean(x))


@jax.jit
def _seen_plainly(x: jax.Array) -> tuple[Directions, jax.Array]:
    look = plain_directions(x)
    return look, looked_at(x, look)


@jax.jit
def looked_at(x: jax.Array, look: Directions) -> jax.Array:
    """``x`` ``[n, d]`` as it looks: ``[n, d]`` of unit length, as narrow as ``x``."""
    return narrow.each(look.of, x)


@jax.jit
def _whitened(
    z: jax.Array, queries: jax.Array, found: jax.Array, shrinkage: float
) -> tuple[jax.Array, jax.Array]:
    """The mean ``[d]`` of ``z`` ``[n, d]`` and the turn ``[d, d]``."""
    d = z.shape[1]
    differences = (widened(queries)[:, None] - widened(sharded.take(z, found))).reshape(-1, d)
    covariance = arrays.matmul(differences.T, differences) / max(differences.shape[0], 1)
    sphere = jnp.maximum(jnp.trace(covariance) / d, 1e-12) * jnp.eye(d)
    values, vectors = jnp.linalg.eigh((1 - shrinkage) * covariance + shrinkage * sphere)
    scale = jax.lax.rsqrt(jnp.maximum(values, 1e-12 * values[-1]))
    # The same direction of each axis on every machine: a network learns otherwise of the opposite.
    largest = jnp.take_along_axis(vectors, jnp.argmax(jnp.abs(vectors), axis=0)[None], axis=0)
    return narrow.mean(z), vectors * (scale * jnp.sign(largest))


@jax.jit
def weights_and_degrees(neighbors: Neighbors) -> tuple[jax.Array, jax.Array]:
    """The edges' own weights ``[n, k]``, in (0, 1], and what they add up to at each end ``[n]``.

    A distance counts relative to the sample's own k-th distance (Zelnik-Manor and Perona,
    "Self-Tuning Spectral Clustering", 2004), so that no scale has to be chosen.
    """
    distances2, indices = neighbors.distances2, neighbors.indices
    local = jnp.maximum(distances2[:, -1], 1e-12)
    scale = jnp.sqrt(local[:, None] * sharded.at(local, indices))
    weights = jnp.exp(-distances2 / scale)
    # Each by itself: fused with the sums, XLA rounds weights in another way, and begins the sums
    # with what is added to them.
    weights = jax.lax.optimization_barrier(weights)
    given_back = jax.lax.optimization_barrier(sharded.sums_at(indices, weights))
    return weights, jnp.maximum(weights.sum(1) + given_back, 1e-12)


def gathered(x: jax.Array, indices: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted sums ``[m, d]`` of the rows of ``x`` ``[n, d]`` at the ``indices`` ``[m, k]``."""
    if indices.size * x.shape[1] <= _GATHERED_WHOLE:
        return (weights[:, :, None] * x[indices]).sum(1)
    total = jnp.zeros((len(indices), x.shape[1]), x.dtype)
    # One neighbour of every sample at a time: a fused pass, where a product would first gather.
    for near, weight in zip(indices.T, weights.T, strict=True):
        total += weight[:, None] * x[near]
    return total
