"""Which pairs are asked about: by PCL's score, either term alone, or at random."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import selectors
from idc_jax.ops import arrays, sharded
from idc_jax.ops.blocks import map_rows
from idc_jax.scores.pcl import UNCERTAIN

PairPicks = Literal["both", "uncertain", "hard", "random"]

# How many times the wanted pairs are looked at where pairs must not share a sample.
_SPARE = 8
# Blocks whose similarities are computed at a time.
_BLOCKS = 64
# What stands for a pair that does not count: greater than any similarity.
_NOTHING = np.iinfo(np.int32).max


class Unknown(NamedTuple):
    """What is known of the pairs within blocks, which may be spread over devices.

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
      left: the share of the whole budget that is left when each block is asked about; of fewer
        blocks, where the last are padding.
      per_block: at most so many of one block; 0 for as many as the budget needs.
      distinct: prefer pairs that share no sample.
      uncertain_at: the similarity of the pairs that are least certain.

    Returns:
      int ``[m, 2]``, places numbered through the blocks, and their values ``[m]``.
    """
    blocks, size = len(left), unknown.valid.shape[1]
    # Twice the even share: a block that has little left to ask passes its part on.
    most = per_block or 2 * -(-budget // blocks)
    spare = _SPARE if distinct else 1
    if picks == "random":
        found = random_pairs(key, unknown, spare * budget)
    else:
        found = selectors.pcl(
            views[0],
            unknown.known,
            spare * most * blocks,
            remaining_fraction=jnp.pad(left, (0, len(unknown.valid) - blocks)),
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
    with sharded.like(valid):
        return _turning_point(views, groups, valid)


@jax.jit
def _turning_point(
    views: tuple[jax.Array, jax.Array], groups: jax.Array, valid: jax.Array
) -> jax.Array:
    ranks = map_rows(_ranks, (*views, valid), _BLOCKS)
    counted, alike = ranks < _NOTHING, groups[:, :, None] == groups[:, None, :]
    lowest = jnp.min(ranks)
    highest = jnp.max(jnp.where(counted, ranks, lowest))

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        # The mean, rounded down, of numbers whose sum would overflow.
        middle = (low & high) + ((low ^ high) >> 1)
        below = jnp.sum((ranks <= middle) & counted & alike)
        above = jnp.sum((ranks > middle) & counted & ~alike)
        enough = below >= above
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    # Every step halves what is left of 2³² floats.
    return _similarity(jax.lax.fori_loop(0, 32, halve, (lowest, highest))[1])


def _ranks(first: jax.Array, second: jax.Array, valid: jax.Array) -> jax.Array:
    """The mean similarities of two views, as integers in their order, ``[g, b, b]``."""
    z = [arrays.normalize(view) for view in (first, second)]
    similar = 0.5 * sum(jnp.einsum("gid,gjd->gij", one, one) for one in z)
    bits = jax.lax.bitcast_convert_type(similar, jnp.int32)
    counted = jnp.triu(valid[:, :, None] & valid[:, None, :], 1)
    return jnp.where(counted, _turned(bits), _NOTHING)


def _similarity(rank: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(_turned(rank), jnp.float32)


def _turned(bits: jax.Array) -> jax.Array:
    """A float's bits as an integer in the order of floats, or back: negative ones run backwards."""
    return bits ^ ((bits >> 31) & _NOTHING)


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


def random_pairs(key: jax.Array, unknown: Unknown, budget: int) -> selectors.Selection:
    """Uniform over the pairs that may be asked about, without replacement."""
    with sharded.like(unknown.valid):
        return _random_pairs(key, unknown, budget)


@partial(jax.jit, static_argnames="budget")
def _random_pairs(key: jax.Array, unknown: Unknown, budget: int) -> selectors.Selection:
    size, valid = unknown.valid.shape[1], unknown.valid
    open_ = (unknown.known == 0) & ~unknown.asked
    open_ = jnp.triu(open_, 1) & valid[:, :, None] & valid[:, None, :]
    draws = jnp.where(open_, jax.random.uniform(key, open_.shape), -jnp.inf).reshape(-1)
    values, flat = sharded.top_k(draws, min(budget, draws.shape[0]))
    block, place = flat // size**2, flat % size**2
    pairs = jnp.stack([place // size, place % size], axis=-1) + size * block[:, None]
    found = jnp.isfinite(values)
    return selectors.Selection(
        jnp.where(found[:, None], pairs, -1).astype(jnp.int32),
        jnp.where(found, 0.0, -jnp.inf),
    )
