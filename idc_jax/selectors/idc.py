"""IDC: hard, representative and diverse samples ("Interactive Deep Clustering via Value Mining").

Algorithm 1 of the paper picks greedily the sample of highest ``v = h + r + d``.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax import scores
from idc_jax.ops import arrays
from idc_jax.ops.inputs import count, flags, floats, takes
from idc_jax.ops.narrow import widened
from idc_jax.ops.neighbors import Neighbors
from idc_jax.ops.shapes import Array, Bool, Float, Num
from idc_jax.selectors import greedy, masks
from idc_jax.selectors.base import Selection


@takes(
    embeddings=floats("n d"),
    centers=floats("c d"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    num_neighbors=count(0),
)
def idc(
    embeddings: Num[Array, "n d"],
    centers: Num[Array, "c d"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    num_neighbors: int = 20,
    use_hardness: bool = True,
    use_representativeness: bool = True,
    use_diversity: bool = True,
    reference: bool = False,
    neighbors: Neighbors | None = None,
) -> Selection:
    """Pick the samples worth asking about by hardness, representativeness and diversity.

    Args:
      embeddings: ``[n, d]``; only their directions count.
      centers: cluster centres ``[c, d]``.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, asked before: never picked again, but new picks keep away from them.
      allowed: bool ``[n]``, the samples that may be picked.
      num_neighbors: K of the representativeness.
      use_hardness: count ``h``.
      use_representativeness: count ``r``.
      use_diversity: count ``d``; without it, the picks are the samples of highest ``h + r``.
      reference: representativeness as in the published code, which counts a sample among its
        own neighbours.
      neighbors: neighbours of the unit-length embeddings, where they are known already.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value is ``v`` when the sample was picked.

    Raises:
      UserError: embeddings or centres that are not finite, masks of another length.
    """
    z = arrays.normalize(arrays.check_matrix(embeddings, "embeddings"))
    centers = arrays.check_matrix(centers, "centers")
    budget = masks.check_budget(budget, z.shape[0])
    labelled, candidates = masks.masks(z.shape[0], labelled, allowed)
    base = jnp.zeros((z.shape[0],), jnp.float32)
    if use_hardness:
        base += scores.hardness(z, centers)
    if use_representativeness:
        base += scores.representativeness(
            z, num_neighbors, reference=reference, neighbors=neighbors
        )
    return idc_from_scores(
        z, base, budget, labelled=labelled, candidates=candidates, use_diversity=use_diversity
    )


@takes(
    z=floats("n d"), base=floats("n"), budget=count(0), labelled=flags("n"), candidates=flags("n")
)
@functools.partial(jax.jit, static_argnames=("budget", "use_diversity"))
def idc_from_scores(
    z: Float[Array, "n d"],
    base: Float[Array, "n"],
    budget: int,
    *,
    labelled: Bool[Array, "n"],
    candidates: Bool[Array, "n"],
    use_diversity: bool = True,
) -> Selection:
    """Algorithm 1 on unit-length ``z`` ``[n, d]`` with ``h + r`` given as ``base`` ``[n]``.

    Float16 and bfloat16 rows stay as they are.
    """
    if not use_diversity:
        return masks.top(base, candidates, budget)
    return greedy.farthest(z, base, budget, labelled, candidates, _log_dissimilarity)


def _log_dissimilarity(z: jax.Array, other: jax.Array) -> jax.Array:
    return scores.log_dissimilarity(arrays.inner(widened(z), widened(other)))
