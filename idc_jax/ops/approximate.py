"""Nearest neighbours among a few leaves of a tree: nearly all of them, for a fraction of the work.

The points are halved again and again at the median of their principal direction (a PCA tree, as
in Verma, Kpotufe and Dasgupta, "Which spatial partition trees are adaptive to intrinsic
dimension?"), so that all leaves are equally large and everything is a dense matrix product. The
points of a leaf are compared with those of the leaves whose centres are nearest.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import arrays, blocks, topk
from idc_jax.ops.neighbors import Neighbors, knn, refine

# Points of a node from which its principal direction is taken, and steps of the power method.
_SAMPLE, _POWER_STEPS = 64, 4


def approximate_knn(x: jax.Array, k: int, *, probes: int = 64, leaf: int = 256) -> Neighbors:
    """Nearly the ``k`` nearest other rows of ``x`` ``[n, d]``; distances are exact.

    The recall depends on the data: measure it with :func:`recall`. The more ``probes``, the higher
    it is and the longer it takes; when they cover all leaves, the result is exact.

    Args:
      x: points ``[n, d]``.
      k: neighbours wanted, capped at ``n − 1``.
      probes: leaves that each leaf is compared with.
      leaf: points of a leaf; a leaf's own size is within a factor two of it.

    Raises:
      UserError: ``probes`` leaves hold no ``k`` points, or rows that are not finite.
    """
    x = arrays.check_matrix(x)
    k = min(k, x.shape[0] - 1)
    levels = max(0, math.ceil(math.log2(x.shape[0] / leaf)))
    size = -(-x.shape[0] // 2**levels)
    probes = min(probes, 2**levels)
    if k < 0 or probes * size <= k + 2**levels:
        return knn(x, k)
    if probes < 1:
        raise UserError(f"probes is {probes}; 1 or more would do")
    return _approximate(x, k, probes, levels, size)


@functools.partial(jax.jit, static_argnames=("k", "probes", "levels", "size"))
def _approximate(x: jax.Array, k: int, probes: int, levels: int, size: int) -> Neighbors:
    n, d = x.shape
    centred = x - jnp.mean(x, axis=0)
    order = tree_order(centred, levels, size)
    real = order < n
    leaves = jnp.where(real[:, None], centred[jnp.minimum(order, n - 1)], 0.0)
    bias = jnp.where(real, -0.5 * arrays.squared_norms(leaves), -jnp.inf)
    leaves, bias = leaves.reshape(-1, size, d), bias.reshape(-1, size)
    counts = jnp.maximum(jnp.sum(real.reshape(-1, size), axis=1), 1)
    centers = jnp.sum(leaves, axis=1) / counts[:, None]
    near = jax.lax.top_k(-arrays.squared_distances(centers, centers), probes)[1]

    def search(own: jax.Array, points: jax.Array, near: jax.Array) -> jax.Array:
        """Places in the order, ``[1, size, k]``, of the neighbours of one leaf."""
        others = leaves[near[0]].reshape(-1, d)
        scores = arrays.inner(points[0], others) + bias[near[0]].reshape(-1)[None]
        places = (near[0][:, None] * size + jnp.arange(size)).reshape(-1)
        myself = own[0] * size + jnp.arange(size)
        scores = jnp.where(places[None] == myself[:, None], -jnp.inf, scores)
        return places[topk.top_k(scores, k)[1]][None]

    found = blocks.map_rows(search, (jnp.arange(leaves.shape[0]), leaves, near), 1)
    indices = order[found.reshape(-1, k)]
    rows = jnp.where(real, order, n)
    back = jnp.zeros((n, k), jnp.int32).at[rows].set(jnp.minimum(indices, n - 1), mode="drop")
    return refine(x, x, back)


def tree_order(x: jax.Array, levels: int, size: int) -> jax.Array:
    """Order ``[size · 2^levels]`` of the points in which each run of ``size`` is a leaf.

    Places beyond the number of points hold numbers from ``n`` on.
    """
    n = x.shape[0]
    total = size * 2**levels
    half = max(1, 2 ** (levels - 1)) if levels else 1

    def split(level: jax.Array, order: jax.Array) -> jax.Array:
        width = total >> level
        offsets = (jnp.arange(_SAMPLE) * width) // _SAMPLE
        places = jnp.minimum(jnp.arange(half)[:, None] * width + offsets[None], total - 1)
        sampled = x[jnp.minimum(order[places], n - 1)]
        directions = _principal(sampled - jnp.mean(sampled, axis=1, keepdims=True))
        node = jnp.arange(total) // width
        project = lambda rows, node: jnp.sum(x[rows] * directions[node], axis=1)  # noqa: E731
        rows = jnp.minimum(order, n - 1)
        along = blocks.map_rows(project, (rows, node), 8192)
        # Padding goes to the end of its node, in equal parts as far as it reaches.
        along = jnp.where(order < n, along, jnp.inf)
        return jax.lax.sort((node, along, order), num_keys=2)[2]

    # Padding is spread evenly, so that no leaf is made of it alone.
    spread = (jnp.arange(total - n) + 0.5) / max(total - n, 1)
    start = jnp.argsort(jnp.concatenate([jnp.arange(n) / n, spread]))
    return jax.lax.fori_loop(0, levels, split, start.astype(jnp.int32))


def _principal(x: jax.Array) -> jax.Array:
    """Leading direction ``[g, d]`` of each of ``g`` centred samples ``[g, s, d]``."""
    start = x[:, 0] + 1e-3

    def step(_: jax.Array, v: jax.Array) -> jax.Array:
        along = jnp.einsum("gsd,gd->gs", x, v)
        return arrays.normalize(jnp.einsum("gs,gsd->gd", along, x))

    return jax.lax.fori_loop(0, _POWER_STEPS, step, arrays.normalize(start))


def recall(key: jax.Array, x: jax.Array, found: Neighbors, num_queries: int = 256) -> jax.Array:
    """Share of the true neighbours that were ``found``, measured on random rows of ``x``.

    A neighbour as near as the farthest true one counts, so that ties cost nothing.

    Args:
      key: PRNG key.
      x: points ``[n, d]``.
      found: neighbours ``[n, k]`` of each.
      num_queries: rows looked at.
    """
    rows = jax.random.randint(key, (num_queries,), 0, x.shape[0])
    k = found.indices.shape[1]
    true = knn(x, k + 1, queries=x[rows])
    # The row itself is its own nearest, at distance zero.
    limit = true.distances2[:, -1:] * (1.0 + 1e-6)
    return jnp.mean(found.distances2[rows] <= limit)
