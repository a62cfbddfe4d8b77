"""The scores of DSAC: confidence and compactness.

Zhao et al., "Deep Self-paced Active Learning for Image Clustering".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import sharded
from idc_jax.ops.inputs import count, floats, ints, takes
from idc_jax.ops.neighbors import Neighbors, knn
from idc_jax.ops.shapes import Array, Float, Int, Num

_SUM_FLOOR = 1e-12


@takes(distances2=floats("n"))
def self_paced_weights(
    distances2: Num[Array, "n"], percentile: float = 95.0
) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    """Weights that fall linearly with the distance to the centre: ``w = max(1 − d/λ, 0)``.

    λ is a percentile of ``d`` over all samples. Where λ = 0, samples at distance zero weigh one
    and the others nothing.

    Args:
      distances2: squared distances ``[n]`` to the own centre.
      percentile: which percentile λ is, 0 to 100.

    Returns:
      Weights float32 ``[n]`` in ``[0, 1]``, and λ (scalar).
    """
    distances2 = jnp.asarray(distances2, jnp.float32)
    age = jnp.percentile(distances2, percentile)
    falling = jnp.maximum(1.0 - distances2 / jnp.where(age > 0, age, 1.0), 0.0)
    return jnp.where(age > 0, falling, (distances2 <= 0).astype(jnp.float32)), age


@takes(x=floats("n d"), k=count(0), rows=ints("m"))
def compactness(
    x: Num[Array, "n d"],
    k: int = 6,
    *,
    normalized: bool = False,
    neighbors: Neighbors | None = None,
    rows: Int[Array, "m"] | None = None,
) -> Float[Array, "m"]:
    """How close a sample's neighbours are: ``C = 1 / Σⱼ |x − x₍ⱼ₎|²`` over ``k`` of them.

    Args:
      x: embeddings ``[n, d]``.
      k: neighbours, capped at ``n − 1``; with none, ones are returned.
      normalized: divide by the mean over samples, so that weights average one.
      neighbors: neighbours of ``x`` found before, at least ``k`` where there are as many.
      rows: int ``[m]``, the samples wanted, where it is not all of them; their neighbours are
        still looked for among all of ``x``.

    Returns:
      float32 ``[n]``, or ``[m]`` with ``rows``; positive and finite: the sum is kept above 1e-12.

    Raises:
      UserError: fewer neighbours given than asked for.
    """
    k = min(k, x.shape[0] - 1)
    if k <= 0:
        return jnp.ones((x.shape[0] if rows is None else rows.shape[0],), jnp.float32)
    if neighbors is None:
        neighbors = knn(x, k) if rows is None else _neighbors_of(x, rows, k)
    elif rows is not None:
        neighbors = sharded.rows_at(neighbors, rows)
    if neighbors.distances2.shape[1] < k:
        raise UserError(f"{neighbors.distances2.shape[1]} neighbours given; {k} are needed")
    values = 1.0 / jnp.maximum(jnp.sum(neighbors.distances2[:, :k], axis=1), _SUM_FLOOR)
    return values / jnp.mean(values) if normalized else values


def _neighbors_of(x: jax.Array, rows: jax.Array, k: int) -> Neighbors:
    """The ``k`` nearest of ``x`` to some of its own rows, each left out of its own by index."""
    found = knn(x, k + 1, queries=sharded.rows_at(x, rows))
    distances2 = jnp.where(found.indices == rows[:, None], jnp.inf, found.distances2)
    distances2, indices = jax.lax.sort((distances2, found.indices), num_keys=2)
    return Neighbors(distances2[:, :k], indices[:, :k])
