"""Exact nearest neighbours without an n × n array."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from idc_jax.errors import check_at_least, check_one_of
from idc_jax.ops import arrays, blocks, ring, symmetric, topk
from idc_jax.ops.inputs import count, floats, takes

# Neighbours found beyond those wanted, so that rounding in the product cannot lose one.
SPARE = 4
# Below this many points, whole rows of the distance matrix are cheap and compile faster.
_SYMMETRIC_FROM = 2 * symmetric.TILE
# Rows of the distance matrix held at a time: as many as fit 256 MB.
_STRIPE_ENTRIES = 2**26
_MIN_STRIPE, _MAX_STRIPE = 16, 1024
_CHUNK = 64

# Distances and indices, as of Neighbors.
Pair = tuple[jax.Array, jax.Array]
Metric = Literal["sqeuclidean", "cosine"]


class Neighbors(NamedTuple):
    """The nearest points of each query, nearest first.

    Attributes:
      distances2: float32 ``[n, k]``, squared Euclidean distance, or ``1 − cosine``.
      indices: int32 ``[n, k]``, rows of ``x``.
    """

    distances2: jax.Array
    indices: jax.Array


@functools.partial(jax.jit, static_argnames="count")
def nearest(found: Neighbors, count: int) -> Neighbors:
    """The ``count`` nearest of those ``found``, ``[n, count]`` each."""
    return Neighbors(found.distances2[:, :count], found.indices[:, :count])


@takes(x=floats("n d"), k=count(0), queries=floats("m d"))
def knn(
    x: jax.Array,
    k: int,
    *,
    queries: jax.Array | None = None,
    metric: Metric = "sqeuclidean",
) -> Neighbors:
    """The ``k`` nearest rows of ``x`` to each row of ``x``, or of ``queries``.

    Without ``queries``, a point is left out of its own neighbours by its index, so duplicates
    are neighbours at distance zero; ``k`` is capped at ``n − 1``. With ``queries``, nothing is
    left out and ``k`` is capped at ``n``.

    Args:
      x: points ``[n, d]``.
      k: neighbours wanted, at least 0.
      queries: points ``[m, d]`` whose neighbours are wanted; ``x`` itself by default.
      metric: ``"sqeuclidean"`` or ``"cosine"`` (``1 − cosine``, of rows scaled to unit length).

    Returns:
      :class:`Neighbors`, ``[n, k]`` or ``[m, k]``.

    Raises:
      UserError: an unknown metric, ``k < 0``, or rows that are not finite.
    """
    check_one_of("metric", metric, get_args(Metric))
    check_at_least("k", k, 0)
    x = arrays.check_matrix(x)
    exclude_self = queries is None
    spread = ring.axis_of_rows(x)
    queries = x if queries is None else arrays.check_matrix(queries, "queries")
    k = min(k, x.shape[0] - int(exclude_self))
    if metric == "cosine":
        x, queries = arrays.normalize(x), arrays.normalize(queries)
    copies = ring.axis_of_copies(x) if exclude_self else None
    if spread and exclude_self:
        found = _knn_spread(x, k, *spread)
    elif spread:
        found = _knn_among_spread(x, queries, k, *spread)
    elif copies:
        found = _knn_divided(x, k, *copies)
    else:
        found = _knn(x, queries, k, exclude_self)
    return found._replace(distances2=found.distances2 / 2) if metric == "cosine" else found


@functools.partial(jax.jit, static_argnames=("k", "exclude_self"))
def _knn(x: jax.Array, queries: jax.Array, k: int, exclude_self: bool) -> Neighbors:
    # Distances do not change when the mean is taken off, and rounding errors shrink with it.
    mean = jnp.mean(x, axis=0)
    # Who is near has no gradient; how near does.
    centred, shifted = (jax.lax.stop_gradient(a - mean) for a in (x, queries))
    wanted = min(k + SPARE, x.shape[0] - int(exclude_self))
    by_stripes = functools.partial(_by_stripes, k=wanted, exclude_self=exclude_self)
    if exclude_self and x.shape[0] >= _SYMMETRIC_FROM and wanted < symmetric.TILE:
        indices = jax.lax.platform_dependent(
            centred,
            shifted,
            cpu=lambda x, _: symmetric.nearest(x, wanted),
            default=by_stripes,
        )
    else:
        indices = by_stripes(centred, shifted)
    found = refine(x, queries, indices)
    return Neighbors(found.distances2[:, :k], found.indices[:, :k])


@functools.partial(jax.jit, static_argnames=("k", "mesh", "axis"))
def _knn_spread(x: jax.Array, k: int, mesh: Mesh, axis: str) -> Neighbors:
    """The same for rows spread over the devices of a mesh."""
    wanted = min(k + SPARE, x.shape[0] - 1)

    def nearest(queries: jax.Array, points: jax.Array, same: jax.Array, k: int) -> Pair:
        mean = jnp.mean(points, axis=0)
        found = refine(points, queries, _by_stripes(points - mean, queries - mean, k, same))
        own = same & (found.indices == jnp.arange(queries.shape[0])[:, None])
        return jnp.where(own, jnp.inf, found.distances2), found.indices

    distances2, indices = ring.knn_around(x, wanted, mesh, axis, nearest)
    return Neighbors(distances2[:, :k], indices[:, :k])


@functools.partial(jax.jit, static_argnames=("k", "mesh", "axis"))
def _knn_among_spread(x: jax.Array, queries: jax.Array, k: int, mesh: Mesh, axis: str) -> Neighbors:
    """The same of ``queries`` that every device has: each device looks among its own points."""
    rows = x.shape[0] // mesh.shape[axis]
    wanted = min(k + SPARE, rows)
    mean = jnp.mean(x, axis=0)

    def local(x: jax.Array) -> Neighbors:
        found = refine(x, queries, _by_stripes(x - mean, queries - mean, wanted, False))
        indices = found.indices + jax.lax.axis_index(axis).astype(jnp.int32) * rows
        own = (found.distances2, indices)
        near = (jax.lax.all_gather(a, axis, axis=1, tiled=True) for a in own)
        return Neighbors(*(a[:, :k] for a in by_distance(*near)))

    among = jax.shard_map(
        local, mesh=mesh, in_specs=PartitionSpec(axis), out_specs=PartitionSpec(), check_vma=False
    )
    return among(x)


@functools.partial(jax.jit, static_argnames=("k", "mesh", "axis"))
def _knn_divided(x: jax.Array, k: int, mesh: Mesh, axis: str) -> Neighbors:
    """The same where every device of a mesh has all points: each looks for a part of them."""
    n = x.shape[0]
    wanted, part = min(k + SPARE, n - 1), -(-n // mesh.shape[axis])

    def local(x: jax.Array) -> Neighbors:
        centred = x - jnp.mean(x, axis=0)
        # The last devices may have less to do than a part: they look for the last point again.
        own = jnp.minimum(jax.lax.axis_index(axis) * part + jnp.arange(part), n - 1)
        return refine(x, x[own], _by_stripes(centred, centred[own], wanted, True, own))

    divided = jax.shard_map(
        local, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(axis), check_vma=False
    )
    whole = NamedSharding(mesh, PartitionSpec())
    found = jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, whole), divided(x))
    return Neighbors(found.distances2[:n, :k], found.indices[:n, :k])


def _by_stripes(
    x: jax.Array,
    queries: jax.Array,
    k: int,
    exclude_self: bool | jax.Array,
    rows: jax.Array | None = None,
) -> jax.Array:
    """Indices of the ``k`` nearest, from whole rows of the distance matrix, a few at a time.

    ``rows`` ``[m]`` says which of ``x`` the queries are; the first m where it does not.
    """
    n = x.shape[0]
    padded = jnp.pad(x, ((0, -n % _CHUNK), (0, 0)))
    columns = jnp.arange(padded.shape[0])
    bias = jnp.where(columns < n, -0.5 * arrays.squared_norms(padded), -jnp.inf)

    def nearest(rows: jax.Array, points: jax.Array) -> jax.Array:
        scores = arrays.inner(points, padded) + bias[None]
        own = exclude_self & (rows[:, None] == columns[None])
        return topk.top_k(jnp.where(own, -jnp.inf, scores), k, _CHUNK)[1]

    block = max(_MIN_STRIPE, min(_MAX_STRIPE, _STRIPE_ENTRIES // n))
    rows = jnp.arange(queries.shape[0]) if rows is None else rows
    return blocks.map_rows(nearest, (rows, queries), block)


def refine(x: jax.Array, queries: jax.Array, indices: jax.Array) -> Neighbors:
    """Distances recomputed by :func:`exact_distances2`, and sorted by them."""
    return by_distance(exact_distances2(x, queries, indices), indices)


def exact_distances2(
    x: jax.Array, queries: jax.Array, indices: jax.Array, block: int = 256
) -> jax.Array:
    """``Σ (q − x)²`` of each query and its neighbours ``[m, k]``, free of cancellation, in float32.

    An index of ``n`` stands for nothing: it is infinitely far.
    """

    def exact(points: jax.Array, found: jax.Array) -> jax.Array:
        gaps = points.astype(jnp.float32)[:, None] - x[found].astype(jnp.float32)
        distances2 = jnp.sum(jnp.square(gaps), axis=-1)
        return jnp.where(found < x.shape[0], distances2, jnp.inf)

    return blocks.map_rows(exact, (queries, indices), block)


def by_distance(distances2: jax.Array, indices: jax.Array) -> Neighbors:
    """Nearest first; equal distances are ordered by index."""
    return Neighbors(*jax.lax.sort((distances2, indices), num_keys=2))
