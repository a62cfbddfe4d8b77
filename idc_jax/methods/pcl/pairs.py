"""Which pairs are asked about: by PCL's score, either term alone, or at random."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import selectors
from idc_jax.ops import arrays
from idc_jax.scores.pcl import UNCERTAIN

PairPicks = Literal["both", "uncertain", "hard", "random"]

# How many times the wanted pairs are looked at where pairs must not share a sample.
_SPARE = 8


class Unknown(NamedTuple):
    """What is known of the pairs within blocks.

    Attributes:
      known: int8 ``[g, b, b]``, q.
      asked: bool ``[g, b, b]``, pairs that were asked about, whatever the answer.
      valid: bool ``[g, b]``, False for padding.
    """

    known: jax.Array
    asked: jax.Array
    valid: jax.Array


def pick_pairs(
    key: jax.Array,
    picks: PairPicks,
    views: tuple[jax.Array, jax.Array],
    unknown: Unknown,
    budget: int,
    *,
    left: jax.Array,
    per_block: int,
    distinct: bool,
    uncertain_at: jax.Array | float = UNCERTAIN,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose pairs among those neither known nor asked.

    Args:
      key: of random picks.
      picks: by which score.
      views: embeddings ``[g, b, d]`` of either view.
      unknown: which pairs may be asked about.
      budget: pairs wanted.
      left: ``[g]``, the share of the whole budget that is left when each block is asked about.
      per_block: at most so many of one block; 0 for as many as the budget needs.
      distinct: prefer pairs that share no sample.
      uncertain_at: the similarity of the pairs that are least certain.

    Returns:
      int ``[m, 2]``, places numbered through the blocks, and their values ``[m]``.
    """
    blocks, size = unknown.valid.shape
    # Twice the even share: a block that has little left to ask passes its part on.
    most = per_block or 2 * -(-budget // blocks)
    spare = _SPARE if distinct else 1
    if picks == "random":
        open_ = (unknown.known == 0) & ~unknown.asked
        found = random_pairs(key, open_, unknown.valid, spare * budget)
    else:
        found = selectors.pcl(
            views[0],
            unknown.known,
            spare * most * blocks,
            remaining_fraction=left,
            other=views[1],
            valid=unknown.valid,
            asked=unknown.asked,
            per_block=min(spare * most, size * size),
            use_uncertain=picks != "hard",
            use_hard=picks != "uncertain",
            uncertain_at=uncertain_at,
        )
    indices, values = np.asarray(found.indices), np.asarray(found.values)
    kept = keep_pairs(indices, size, budget, most, distinct)
    return indices[kept], values[kept]


def turning_point(
    views: tuple[jax.Array, jax.Array], groups: jax.Array, valid: jax.Array
) -> jax.Array:
    """The similarity at which two samples are as likely of one group as of two: a scalar.

    As many pairs within a predicted group are less similar as pairs of two groups are more so.

    Args:
      views: embeddings ``[g, b, d]`` of either view.
      groups: int ``[g, b]``, the predicted groups.
      valid: bool ``[g, b]``, False for padding.
    """
    within = [jnp.einsum("gid,gjd->gij", *(arrays.normalize(view),) * 2) for view in views]
    similar = 0.5 * (within[0] + within[1])
    counted = jnp.triu(valid[:, :, None] & valid[:, None, :], 1).reshape(-1)
    alike = (groups[:, :, None] == groups[:, None, :]).reshape(-1) & counted
    order = jnp.argsort(jnp.where(counted, similar.reshape(-1), jnp.inf))
    # Below each place: pairs of one group; above it: pairs of two.
    below = jnp.cumsum(alike[order])
    apart = (counted & ~alike)[order]
    above = apart.sum() - jnp.cumsum(apart)
    return similar.reshape(-1)[order][jnp.argmax(below >= above)]


def keep_pairs(
    pairs: np.ndarray, size: int, budget: int, per_block: int, distinct: bool
) -> np.ndarray:
    """Go down a ranked list of pairs and keep the first that fit.

    Args:
      pairs: int ``[m, 2]``, places numbered through blocks of ``size``, best first; -1 for none.
      size: b.
      budget: how many to keep at most.
      per_block: of one block at most.
      distinct: a second pair of a sample waits until no other is left.

    Returns:
      int ``[k]``, positions in ``pairs``, first those that share no sample.
    """
    used: set[int] = set()
    count: dict[int, int] = {}
    kept: list[int] = []
    waiting: list[int] = []

    def keep(position: int, first: int, second: int) -> None:
        block = first // size
        if count.get(block, 0) < per_block and len(kept) < budget:
            count[block] = count.get(block, 0) + 1
            used.update((first, second))
            kept.append(position)

    for position, (first, second) in enumerate(pairs.tolist()):
        if first >= 0 and distinct and (first in used or second in used):
            waiting.append(position)
        elif first >= 0:
            keep(position, first, second)
    for position in waiting:
        keep(position, *pairs[position].tolist())
    return np.asarray(kept, np.int64)


def random_pairs(
    key: jax.Array, open_: jax.Array, valid: jax.Array, budget: int
) -> selectors.Selection:
    """Uniform over the open pairs ``[g, b, b]`` above the diagonal, without replacement."""
    size = open_.shape[1]
    open_ = jnp.triu(open_, 1) & valid[:, :, None] & valid[:, None, :]
    draws = jnp.where(open_, jax.random.uniform(key, open_.shape), -jnp.inf).reshape(-1)
    values, flat = jax.lax.top_k(draws, min(budget, draws.shape[0]))
    block, place = flat // size**2, flat % size**2
    pairs = jnp.stack([place // size, place % size], axis=-1) + size * block[:, None]
    found = jnp.isfinite(values)
    return selectors.Selection(
        jnp.where(found[:, None], pairs, -1).astype(jnp.int32),
        jnp.where(found, 0.0, -jnp.inf),
    )
