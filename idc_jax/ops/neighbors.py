"""Exact nearest neighbours without an n × n array."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import arrays, blocks

Metric = Literal["sqeuclidean", "cosine"]


class Neighbors(NamedTuple):
    """The nearest points of each query, nearest first.

    Attributes:
      distances2: float32 ``[n, k]``, squared Euclidean distance, or ``1 − cosine``.
      indices: int32 ``[n, k]``, rows of ``x``.
    """

    distances2: jax.Array
    indices: jax.Array


def knn(
    x: jax.Array,
    k: int,
    *,
    queries: jax.Array | None = None,
    metric: Metric = "sqeuclidean",
    block: int = 1024,
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
      block: queries handled at a time; memory grows as ``block × n``.

    Returns:
      :class:`Neighbors`, ``[n, k]`` or ``[m, k]``.

    Raises:
      UserError: an unknown metric, ``k < 0``, or rows that are not finite.
    """
    if metric not in ("sqeuclidean", "cosine"):
        raise UserError(f"metric is {metric!r}; 'sqeuclidean' or 'cosine' would do")
    if k < 0:
        raise UserError(f"k is {k}; 0 or more would do")
    x = arrays.check_matrix(x)
    exclude_self = queries is None
    queries = x if queries is None else arrays.check_matrix(queries, "queries")
    k = min(k, x.shape[0] - int(exclude_self))
    if metric == "cosine":
        x, queries = arrays.normalize(x), arrays.normalize(queries)
    found = _knn(x, queries, k, exclude_self, block)
    return found._replace(distances2=found.distances2 / 2) if metric == "cosine" else found


@functools.partial(jax.jit, static_argnames=("k", "exclude_self", "block"))
def _knn(x: jax.Array, queries: jax.Array, k: int, exclude_self: bool, block: int) -> Neighbors:
    columns = jnp.arange(x.shape[0])

    def nearest(rows: jax.Array, points: jax.Array) -> jax.Array:
        distances2 = arrays.squared_distances(points, x)
        if exclude_self:
            distances2 = jnp.where(rows[:, None] == columns[None], jnp.inf, distances2)
        return jax.lax.top_k(-distances2, k)[1]

    indices = blocks.map_rows(nearest, (jnp.arange(queries.shape[0]), queries), block)
    return _refine(x, queries, indices)


def _refine(x: jax.Array, queries: jax.Array, indices: jax.Array, block: int = 256) -> Neighbors:
    """Distances recomputed as ``Σ (q − x)²``, free of cancellation, and sorted by them."""

    def exact(points: jax.Array, found: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(points[:, None] - x[found]), axis=-1)

    distances2 = blocks.map_rows(exact, (queries, indices), block)
    # Two keys: equal distances are ordered by index.
    distances2, indices = jax.lax.sort((distances2, indices), num_keys=2)
    return Neighbors(distances2, indices)
