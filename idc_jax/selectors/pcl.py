"""PCL: uncertain pairs, and pairs on which two views disagree ("Personalized clustering via
targeted representation learning").
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from idc_jax import scores
from idc_jax.errors import UserError, check_at_least
from idc_jax.ops import arrays, blocks, sharded
from idc_jax.ops.inputs import count, flags, floats, takes
from idc_jax.ops.shapes import Array, Bool, Num
from idc_jax.scores.pcl import UNCERTAIN
from idc_jax.selectors.base import Selection

# Blocks scored at a time: bounds memory at a few [blocks, s, s] arrays.
_BLOCKS = 64


@takes(
    embeddings=floats("b s d"),
    known=floats("b s s"),
    budget=count(0),
    other=floats("b s d"),
    valid=flags("b s"),
    asked=flags("b s s"),
    per_block=count(0),
)
def pcl(
    embeddings: Num[Array, "b s d"],
    known: Num[Array, "b s s"],
    budget: int,
    *,
    remaining_fraction: jax.Array | float = 1.0,
    other: Num[Array, "b s d"] | None = None,
    valid: Bool[Array, "b s"] | None = None,
    asked: Bool[Array, "b s s"] | None = None,
    per_block: int | None = None,
    use_uncertain: bool = True,
    use_hard: bool = True,
    uncertain_at: jax.Array | float = UNCERTAIN,
) -> Selection:
    """Pick unknown pairs within fixed blocks of samples, the highest score first.

    Every block gives its ``per_block`` best pairs; of these, the blocks' first choices come
    before their second ones, and among equals in this the higher score comes first. A known pair,
    a pair of a sample with itself and a pair with padding are never picked.

    Args:
      embeddings: ``[b, s, d]``, ``b`` blocks of ``s`` samples, in the first view.
      known: int ``[b, s, s]``: 1 must-link, -1 cannot-link, 0 unknown.
      budget: pairs wanted.
      remaining_fraction: share of the whole run's budget that is left, 1 to 0; the lower, the
        more disagreement counts. One for all, or ``[b]``, one of each block.
      other: embeddings ``[b, s, d]`` in the second view; the first by default.
      valid: bool ``[b, s]``, false for padding and for samples not to be asked about.
      asked: bool ``[b, s, s]``, symmetric: pairs not to be asked about again, whatever is known.
      per_block: pairs of one block at most; ``⌈budget / b⌉`` by default.
      use_uncertain: count the first term.
      use_hard: count the second term.
      uncertain_at: the similarity at which the first term is greatest.

    Returns:
      :class:`~idc_jax.selectors.Selection` with ``indices`` ``[m, 2]``, numbered through the
      blocks: sample ``i`` of block ``j`` is ``j·s + i``.

    Raises:
      UserError: shapes that do not fit together, or embeddings that are not finite.
    """
    num_blocks, size = _check(embeddings, known, budget)
    rows = embeddings.reshape(-1, embeddings.shape[-1])
    arrays.check_finite(rows, "embeddings")
    arrays.check_scale(rows, "embeddings")
    other = embeddings if other is None else other
    valid = jnp.ones((num_blocks, size), bool) if valid is None else valid
    asked = jnp.zeros(known.shape, bool) if asked is None else asked
    wanted = math.ceil(budget / num_blocks) if per_block is None else per_block
    each = min(wanted, size * size)
    weights = (float(use_uncertain), float(use_hard))
    left = jnp.broadcast_to(jnp.asarray(remaining_fraction, jnp.float32), (num_blocks,))
    middle = jnp.asarray(uncertain_at, jnp.float32)
    with sharded.like(embeddings):
        return _pcl((embeddings, other, known, valid, asked, left), middle, weights, each, budget)


def _check(embeddings: jax.Array, known: jax.Array, budget: int) -> tuple[int, int]:
    if embeddings.ndim != 3 or known.shape != (*embeddings.shape[:2], embeddings.shape[1]):
        raise UserError(
            f"embeddings {embeddings.shape} and known {known.shape} do not fit; "
            "they must be [b, s, d] and [b, s, s]"
        )
    check_at_least("budget", budget, 0)
    return embeddings.shape[0], embeddings.shape[1]


@functools.partial(jax.jit, static_argnames=("weights", "each", "budget"))
def _pcl(
    given: tuple[jax.Array, ...],
    uncertain_at: jax.Array,
    weights: tuple[float, float],
    each: int,
    budget: int,
) -> Selection:
    num_blocks, size = given[0].shape[:2]

    def best(*block: jax.Array) -> tuple[jax.Array, ...]:
        z, z_other, known, valid, asked, left = block
        up, hp = scores.pair_scores(
            z, known, left, other=z_other, valid=valid, uncertain_at=uncertain_at
        )
        open_ = jnp.triu((known == 0) & ~asked, 1) & valid[:, None] & valid[None]
        score = jnp.where(open_, weights[0] * up + weights[1] * hp, -jnp.inf)
        values, flat = jax.lax.top_k(score.reshape(-1), each)
        return values, flat

    values, flat = sharded.whole(blocks.map_rows(jax.vmap(best), given, _BLOCKS))
    pairs = jnp.stack([flat // size, flat % size], axis=-1)
    pairs += size * jnp.arange(num_blocks)[:, None, None]
    return _best_first(pairs, values, budget)


def _best_first(pairs: jax.Array, values: jax.Array, budget: int) -> Selection:
    """The first ``budget`` of pairs ``[b, e, 2]``, by rank in the block and then by value."""
    num_blocks, each = values.shape
    wanted = min(budget, num_blocks * each)
    missing = jnp.isneginf(values)
    rank = jnp.where(missing, each, jnp.arange(each)[None])
    order = jnp.lexsort((-values.reshape(-1), rank.reshape(-1)))[:wanted]
    picked = ~missing.reshape(-1)[order]
    return Selection(
        jnp.where(picked[:, None], pairs.reshape(-1, 2)[order], -1).astype(jnp.int32),
        values.reshape(-1)[order],
    )
