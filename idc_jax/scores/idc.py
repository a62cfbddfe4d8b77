"""The three scores by which IDC chooses samples ("Interactive Deep Clustering via Value Mining").

All use the natural logarithm and treat rows as directions: inputs are scaled to unit length.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import arrays, sharded
from idc_jax.ops.inputs import count, floats, ints, takes
from idc_jax.ops.neighbors import Neighbors, knn
from idc_jax.ops.shapes import Array, Float, Int, Num

# Where the formulas meet log 0: duplicates, antipodes, rounding.
_FLOOR = 1e-6
_SUM_FLOOR = 1e-12


@takes(z=floats("n d"), centers=floats("c d"))
@jax.jit
def hardness(z: Num[Array, "n d"], centers: Num[Array, "c d"]) -> Float[Array, "n"]:
    """How close a sample is to a second cluster: ``h = log(1 − s₁ + s₂)``.

    ``s₁ ≥ s₂`` are the two highest cosines to the cluster centres. A centre of length zero (an
    empty cluster) is passed over; with fewer than two others, hardness is zero.

    Args:
      z: embeddings ``[n, d]``.
      centers: cluster centres ``[c, d]``.

    Returns:
      float32 ``[n]``, 0 on the border of two clusters and negative inside one.
    """
    if centers.shape[0] < 2:
        return jnp.zeros((z.shape[0],), jnp.float32)
    exists = jnp.linalg.norm(centers, axis=1) > 0
    cosines = arrays.inner(arrays.normalize(z), arrays.normalize(centers))
    first, second = sharded.two_largest(jnp.where(exists[None], cosines, -jnp.inf))
    gap = jnp.where(jnp.isfinite(second), first - second, 0.0)
    return jnp.log(jnp.clip(1.0 - gap, _FLOOR))


@takes(z=floats("n d"), k=count(0))
def representativeness(
    z: Num[Array, "n d"],
    k: int = 20,
    *,
    reference: bool = False,
    neighbors: Neighbors | None = None,
) -> Float[Array, "n"]:
    """How densely a sample is surrounded: ``r = −log Σⱼ |z − z₍ⱼ₎|²`` over ``k`` neighbours.

    Args:
      z: embeddings ``[n, d]``.
      k: neighbours, capped at ``n − 1``; with none, zeros are returned.
      reference: follow the published code, which takes the mean over ``k`` neighbours of which
        the first is the sample itself.
      neighbors: neighbours of the unit-length ``z`` found before, at least ``k`` of them where
        there are as many.

    Returns:
      float32 ``[n]``.

    Raises:
      UserError: fewer neighbours given than asked for.
    """
    others = min(k, z.shape[0]) - 1 if reference else min(k, z.shape[0] - 1)
    if others <= 0:
        return jnp.zeros((z.shape[0],), jnp.float32)
    if neighbors is None:
        neighbors = knn(arrays.normalize(z), others)
    if neighbors.distances2.shape[1] < others:
        raise UserError(f"{neighbors.distances2.shape[1]} neighbours given; {others} are needed")
    scale = 1.0 / (others + 1) if reference else 1.0
    return _negative_log_sum(neighbors.distances2[:, :others], scale)


@jax.jit
def _negative_log_sum(distances2: jax.Array, scale: float) -> jax.Array:
    return log_density(jnp.sum(distances2, axis=1) * scale)


@jax.jit
def log_density(distances2: jax.Array) -> jax.Array:
    """``−log`` of the squared distances to its neighbours that each sample has in all, ``[n]``."""
    return -jnp.log(jnp.maximum(distances2, _SUM_FLOOR))


@takes(cosines=floats("..."))
def log_dissimilarity(cosines: Num[Array, "..."]) -> Float[Array, "..."]:
    """``log(1 − cosine)``, with its argument kept within ``[1e-6, 2]``."""
    return jnp.log(jnp.clip(1.0 - cosines, _FLOOR, 2.0))


@takes(z=floats("n d"), selected=ints("m"))
def diversity(z: Num[Array, "n d"], selected: Int[Array, "m"]) -> Float[Array, "n"]:
    """How unlike the selected samples a sample is: ``d = min_{j ∈ S} log(1 − z·zⱼ)``.

    Args:
      z: embeddings ``[n, d]``.
      selected: int ``[m]``, rows selected so far; -1 is passed over.

    Returns:
      float32 ``[n]``; zeros where nothing is selected.
    """
    if selected.shape[0] == 0:
        return jnp.zeros((z.shape[0],), jnp.float32)
    z = arrays.normalize(z)
    pairs = log_dissimilarity(arrays.inner(z, z[selected]))
    nearest = jnp.min(jnp.where(selected[None] >= 0, pairs, jnp.inf), axis=1)
    return jnp.where(jnp.isfinite(nearest), nearest, 0.0)
