"""k-means: k-means++ starts, Lloyd steps in blocks, restarts, no empty clusters."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.errors import check_at_least, check_within
from idc_jax.ops import arrays, blocks, sharded
from idc_jax.ops.inputs import count, floats, key, takes
from idc_jax.ops.narrow import check_rows, variances, widened
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num, PRNGKeyArray
from idc_jax.ops.sums import sums_by

# Rows of one block of a Lloyd step: small enough for [block, c] distances to stay in cache.
_BLOCK = 4096
# Points on which centres are started, and fewest of them for each centre.
_SAMPLE, _SAMPLE_PER_CLUSTER = 8192, 32
# Up to so many clusters, sums are taken by a matrix product, beyond by scattering.
_DENSE_SUMS = 128
# A coordinate of centres that are not in use: as far as any number may be.
_OUT_OF_REACH = arrays.GREATEST


class KMeans(NamedTuple):
    """A clustering.

    Attributes:
      centers: float32 ``[c, d]``.
      assignments: int32 ``[n]``, the nearest centre of each point.
      inertia: float32 scalar, sum over points of the squared distance to their centre.
    """

    centers: jax.Array
    assignments: jax.Array
    inertia: jax.Array


@takes(
    key=key,
    x=floats("n d"),
    num_clusters=count(1),
    restarts=count(1),
    max_iterations=count(1),
    batch_size=count(1),
    used=count(1),
)
def kmeans(
    key: PRNGKeyArray,
    x: Num[Array, "n d"],
    num_clusters: int,
    *,
    restarts: int = 10,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    batch_size: int | None = None,
    used: int | None = None,
) -> KMeans:
    """Lloyd's k-means from k-means++ starts; the best of several restarts.

    Starts by D² sampling (Arthur and Vassilvitskii, "k-means++: the advantages of careful
    seeding"), on many points in a random sample of them, where Lloyd's steps also go first
    (Bradley and Fayyad, "Refining initial points for k-means clustering"); each restart has a
    sample of its own, and the steps over all points go on from the best of them alone. A cluster
    that loses all its points is moved to the point farthest from its centre. Float16 and bfloat16
    points stay as they are, and what is found is what a float32 copy of them would give.

    Args:
      key: PRNG key.
      x: points ``[n, d]``.
      num_clusters: clusters wanted, 1 to ``n``.
      restarts: independent runs, of which the one with the least inertia is returned.
      max_iterations: Lloyd steps of one run at most.
      tolerance: a run ends when the squared move of its centres, summed, is at most this
        times the mean variance of the columns of ``x``.
      batch_size: take ``max_iterations`` mini-batch steps of so many points in place of Lloyd's
        (Sculley, "Web-scale k-means clustering"): for millions of points.
      used: make so many of the ``num_clusters`` only; the others' centres are far from everything
        and no point is theirs. Other numbers up to ``num_clusters`` compile nothing anew.

    Raises:
      UserError: ``num_clusters``, ``used`` or ``restarts`` out of range, rows that are not finite.
    """
    x = check_rows(x)
    check_num_clusters(num_clusters, x.shape[0])
    check_at_least("restarts", restarts, 1)
    if used is not None:
        check_num_clusters(used, num_clusters)
    return _kmeans(key, x, num_clusters, restarts, max_iterations, tolerance, batch_size, used)


def check_num_clusters(num_clusters: int, num_points: int) -> None:
    """Refuse a number of clusters outside ``1 .. num_points``."""
    check_within("num_clusters", num_clusters, 1, num_points, "the points")


@functools.partial(
    jax.jit, static_argnames=("num_clusters", "restarts", "max_iterations", "batch_size")
)
def _kmeans(
    key: jax.Array,
    x: jax.Array,
    num_clusters: int,
    restarts: int,
    max_iterations: int,
    tolerance: float,
    batch_size: int | None,
    used: jax.Array | None,
) -> KMeans:
    def start(key: jax.Array) -> jax.Array:
        sample_key, start_key, _ = jax.random.split(key, 3)
        part = sample_of(sample_key, x, num_clusters)
        if part is x:
            return drawn(start_key, x, used)
        centers = sharded.alike(drawn, start_key, part, used)
        return lloyd(part, centers, max_iterations, tolerance).centers

    def drawn(key: jax.Array, x: jax.Array, used: jax.Array | None) -> jax.Array:
        return plus_plus(key, x, num_clusters, used=used)

    def settle(key: jax.Array, centers: jax.Array) -> KMeans:
        if batch_size is None:
            return lloyd(x, centers, max_iterations, tolerance)
        batch_key = jax.random.split(key, 3)[2]
        return _nearest(x, minibatch(batch_key, x, centers, max_iterations, batch_size))

    def best_of(runs: KMeans) -> KMeans:
        best = jnp.argmin(runs.inertia)
        return jax.tree.map(lambda leaf: leaf[best], runs)

    keys = jax.random.split(key, restarts)
    if x.shape[0] < 2 * _sample_size(num_clusters):
        x = widened(x)
        return best_of(jax.lax.map(lambda key: settle(key, start(key)), keys))
    # What a sample has settled, all points hardly change: one run over them is enough.
    return settle(keys[0], best_of(jax.lax.map(lambda key: _nearest(x, start(key)), keys)).centers)


def _nearest(x: jax.Array, centers: jax.Array) -> KMeans:
    assignments, distances2 = assign(x, centers)
    return KMeans(centers, assignments, blocks.total(distances2))


def sample_of(key: PRNGKeyArray, x: Num[Array, "n d"], num_clusters: int) -> Num[Array, "m d"]:
    """Random rows of ``x`` on which to start ``num_clusters`` centres; ``x`` itself if short."""
    rows = sample_rows(key, x.shape[0], num_clusters)
    return x if rows is None else widened(sharded.take(x, rows))


def sample_rows(key: PRNGKeyArray, num_points: int, num_clusters: int) -> Int[Array, "m"] | None:
    """Which points to start ``num_clusters`` centres on, int ``[m]``; None for all if few."""
    size = _sample_size(num_clusters)
    return None if num_points < 2 * size else jax.random.randint(key, (size,), 0, num_points)


def _sample_size(num_clusters: int) -> int:
    return max(_SAMPLE, _SAMPLE_PER_CLUSTER * num_clusters)


def plus_plus(
    key: PRNGKeyArray,
    x: Num[Array, "n d"],
    num_clusters: int,
    *,
    centers: Num[Array, "c d"] | None = None,
    given: Bool[Array, "c"] | None = None,
    used: jax.Array | int | None = None,
) -> Num[Array, "c d"]:
    """Starting centres ``[c, d]`` by D² sampling, each the best of ``2 + ⌊log c⌋`` draws.

    Args:
      key: PRNG key.
      x: points ``[n, d]``.
      num_clusters: centres wanted.
      centers: centres ``[c, d]`` of which some are known already.
      given: bool ``[c]``, which of ``centers`` are known; the others are sampled.
      used: sample so many centres only; the others are put out of everything's reach.
    """
    if centers is None or given is None:
        centers = jnp.zeros((num_clusters, x.shape[1]), x.dtype)
        given = jnp.zeros((num_clusters,), bool)
        known = jnp.full((x.shape[0],), jnp.inf)
    else:
        known = jnp.where(given[None], arrays.squared_distances(x, centers), jnp.inf).min(axis=1)

    num_draws = 2 + int(math.log(num_clusters))

    def draw(i: jax.Array, centers: jax.Array, nearest2: jax.Array) -> tuple[jax.Array, ...]:
        drawn = sharded.take(x, _sample_far(jax.random.fold_in(key, i), nearest2, num_draws))
        after = jnp.minimum(nearest2[:, None], arrays.squared_distances(x, drawn))
        best = jnp.argmin(jnp.sum(after, axis=0))
        return centers.at[i].set(drawn[best]), after[:, best]

    def step(i: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        # What is given counts from the start.
        return jax.lax.cond(given[i], lambda *_: state, draw, i, *state)

    if used is None:
        return jax.lax.fori_loop(0, num_clusters, step, (centers, known))[0]
    centers, _ = jax.lax.fori_loop(0, used, step, (centers, known))
    return jnp.where((jnp.arange(num_clusters) < used)[:, None], centers, _OUT_OF_REACH)


def _sample_far(key: jax.Array, nearest2: jax.Array, num_draws: int) -> jax.Array:
    """Indices ``[num_draws]`` drawn with probability proportional to ``nearest2`` ``[n]``."""
    # Infinite before any centre exists, zero where all points coincide: uniform in both cases.
    usable = jnp.isfinite(nearest2).all() & (nearest2.max() > 0)
    weights = jnp.where(usable, jnp.maximum(nearest2, 0.0), 1.0)
    # By the inverse of the distribution: one draw of numbers, not one for each point.
    sums = jnp.cumsum(weights)
    marks = sums[-1] * jax.random.uniform(key, (num_draws,))
    return jnp.minimum(jnp.searchsorted(sums, marks, side="right"), weights.shape[0] - 1)


def lloyd(
    x: Num[Array, "n d"],
    centers: Num[Array, "c d"],
    max_iterations: int,
    tolerance: float,
    fixed: Int[Array, "n"] | None = None,
) -> KMeans:
    """Lloyd steps from ``centers`` ``[c, d]`` until they rest.

    Args:
      x: points ``[n, d]``.
      centers: starting centres ``[c, d]``.
      max_iterations: steps at most.
      tolerance: see :func:`kmeans`.
      fixed: int ``[n]``, cluster of the points whose cluster is known, -1 for the others.
    """
    limit = tolerance * jnp.mean(variances(x))

    def resting(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        _, moved, i = state
        return (moved > limit) & (i < max_iterations)

    def step(
        state: tuple[jax.Array, jax.Array, jax.Array],
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        centers, _, i = state
        updated = _update(x, centers, fixed)
        return updated, jnp.sum(jnp.square(updated - centers)), i + 1

    centers, _, _ = jax.lax.while_loop(resting, step, (centers, jnp.float32(jnp.inf), jnp.int32(0)))
    assignments, distances2 = assign(x, centers, fixed)
    return KMeans(centers, assignments, blocks.total(distances2))


def assign(
    x: Num[Array, "n d"], centers: Num[Array, "c d"], fixed: Int[Array, "n"] | None = None
) -> tuple[Int[Array, "n"], Float[Array, "n"]]:
    """Nearest centre int32 ``[n]`` of each point and the squared distance ``[n]`` to it.

    A point with ``fixed >= 0`` belongs to that cluster wherever it lies.
    """
    if fixed is None:
        fixed = jnp.full((x.shape[0],), -1)

    def nearest(points: jax.Array, fixed: jax.Array) -> jax.Array:
        distances2 = arrays.squared_distances(widened(points), centers)
        chosen = jnp.where(fixed >= 0, fixed, jnp.argmin(distances2, axis=1))
        own = jnp.take_along_axis(distances2, chosen[:, None], axis=1)
        return jnp.concatenate([chosen[:, None].astype(jnp.float32), own], axis=1)

    both = blocks.map_rows(nearest, (x, fixed), _BLOCK)
    return both[:, 0].astype(jnp.int32), both[:, 1]


def _update(x: jax.Array, centers: jax.Array, fixed: jax.Array | None) -> jax.Array:
    """Means of the assigned points; empty clusters go to the points farthest from their centre."""
    assignments, distances2 = assign(x, centers, fixed)
    sums, counts = cluster_sums(x, assignments, centers.shape[0])
    means = sums / jnp.maximum(counts, 1.0)[:, None]
    unused = centers[:, 0] >= _OUT_OF_REACH
    means = jnp.where(unused[:, None], centers, means)
    empty = (counts == 0) & ~unused
    return jax.lax.cond(jnp.any(empty), lambda: _reseed(x, means, empty, distances2), lambda: means)


def cluster_sums(
    x: Num[Array, "n d"], assignments: Int[Array, "n"], num_clusters: int
) -> tuple[Float[Array, "c d"], Float[Array, "c"]]:
    """Sums ``[c, d]`` and counts ``[c]`` of the points of each cluster."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    counts = jnp.zeros((num_clusters,), dtype).at[assignments].add(1.0)
    dense = num_clusters <= _DENSE_SUMS
    # Rows that need not be widened are added all at once.
    block = x.shape[0] if not dense and x.dtype == dtype else _BLOCK

    def sums(fresh: jax.Array, points: jax.Array, own: jax.Array) -> jax.Array:
        points = widened(points)
        if not dense:
            return sums_by(own, jnp.where(fresh[:, None], points, 0.0), num_clusters)
        member = (own[None] == jnp.arange(num_clusters)[:, None]) & fresh[None]
        return arrays.matmul(member.astype(dtype), points)

    return blocks.sum_rows(sums, (x, assignments), block), counts


def minibatch(
    key: PRNGKeyArray,
    x: Num[Array, "n d"],
    centers: Num[Array, "c d"],
    num_steps: int,
    batch_size: int,
) -> Num[Array, "c d"]:
    """Centres ``[c, d]`` after mini-batch steps, each centre at the mean of all it was given."""
    num_clusters = centers.shape[0]

    def step(i: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        centers, seen = state
        rows = jax.random.randint(jax.random.fold_in(key, i), (batch_size,), 0, x.shape[0])
        batch = widened(sharded.take(x, rows))
        sums, counts = cluster_sums(batch, assign(batch, centers)[0], num_clusters)
        seen = seen + counts
        rate = 1.0 / jnp.maximum(seen, 1.0)[:, None]
        return centers + rate * (sums - counts[:, None] * centers), seen

    start = (centers, jnp.zeros((num_clusters,), centers.dtype))
    return jax.lax.fori_loop(0, num_steps, step, start)[0]


def _reseed(x: jax.Array, means: jax.Array, empty: jax.Array, distances2: jax.Array) -> jax.Array:
    """Put the r-th ``empty`` cluster on the r-th farthest point."""
    far = sharded.top_k(distances2, means.shape[0])[1]
    rank = jnp.cumsum(empty) - 1
    farthest = widened(sharded.take(x, far[jnp.maximum(rank, 0)]))
    return jnp.where(empty[:, None], farthest, means)
