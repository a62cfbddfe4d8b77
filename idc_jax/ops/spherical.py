"""k-means on the unit sphere, by cosine."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.ops import arrays, sharded
from idc_jax.ops.inputs import count, floats, key, takes
from idc_jax.ops.kmeans import KMeans, assign, check_num_clusters, plus_plus
from idc_jax.ops.shapes import Array, Num, PRNGKeyArray
from idc_jax.ops.sums import sums_by

# The centres, how far they moved, and the steps so far.
_Moving = tuple[jax.Array, jax.Array, jax.Array]


@takes(key=key, x=floats("n d"), num_clusters=count(1), restarts=count(1), max_iterations=count(1))
def spherical_kmeans(
    key: PRNGKeyArray,
    x: Num[Array, "n d"],
    num_clusters: int,
    *,
    restarts: int = 10,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
) -> KMeans:
    """k-means of directions: rows and centres have unit length (Dhillon and Modha,
    "Concept decompositions for large sparse text data using clustering").

    Args:
      key: PRNG key.
      x: points ``[n, d]``; their lengths play no part.
      num_clusters: clusters wanted, 1 to ``n``.
      restarts: independent runs, of which the best is returned.
      max_iterations: steps of one run at most.
      tolerance: a run ends when the summed squared move of its centres is at most this.

    Returns:
      :class:`~idc_jax.ops.KMeans` with unit centres; ``inertia`` is ``Σ |x̄ − c|²``, that is
      twice the summed cosine distance.

    Raises:
      UserError: ``num_clusters`` out of range, or rows that are not finite.
    """
    x = arrays.check_matrix(x)
    check_num_clusters(num_clusters, x.shape[0])
    return _spherical(key, arrays.normalize(x), num_clusters, restarts, max_iterations, tolerance)


@functools.partial(jax.jit, static_argnames=("num_clusters", "restarts", "max_iterations"))
def _spherical(
    key: jax.Array,
    z: jax.Array,
    num_clusters: int,
    restarts: int,
    max_iterations: int,
    tolerance: float,
) -> KMeans:
    def run(key: jax.Array) -> KMeans:
        start = plus_plus(key, z, num_clusters)
        state: _Moving = (start, jnp.float32(jnp.inf), jnp.int32(0))
        going = lambda s: (s[1] > tolerance) & (s[2] < max_iterations)  # noqa: E731
        centers, _, _ = jax.lax.while_loop(going, functools.partial(_step, z), state)
        assignments, distances2 = assign(z, centers)
        return KMeans(centers, assignments, jnp.sum(distances2))

    runs = jax.lax.map(run, jax.random.split(key, restarts))
    best = jnp.argmin(runs.inertia)
    return jax.tree.map(lambda leaf: leaf[best], runs)


def _step(z: jax.Array, state: _Moving) -> _Moving:
    centers, _, i = state
    assignments, distances2 = assign(z, centers)
    sums = sums_by(assignments, z, len(centers))
    # A cluster without points, or whose points cancel, restarts from the farthest direction.
    empty = jnp.linalg.norm(sums, axis=1) <= 1e-12
    far = sharded.top_k(distances2, centers.shape[0])[1]
    reseeded = z[far[jnp.maximum(jnp.cumsum(empty) - 1, 0)]]
    updated = jnp.where(empty[:, None], reseeded, arrays.normalize(sums))
    return updated, jnp.sum(jnp.square(updated - centers)), i + 1
