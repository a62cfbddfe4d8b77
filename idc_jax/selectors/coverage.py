"""Greedy coverage: pick the samples that stand best for all the others, exactly and lazily.

The value of a set is ``F(S) = Σⱼ wⱼ max_{s ∈ S} k(xⱼ, s)`` with a kernel ``k ≥ 0``: facility
location, of which MaxHerding, UHerding and ProbCover are cases with other kernels and weights. F is
submodular, so a gain computed earlier bounds the gain now (Minoux, "Accelerated greedy algorithms
for maximizing submodular set functions"), and only the few samples whose bound is high need be
looked at again. A pool of them keeps its rows of the kernel matrix, so that looking again costs
memory traffic and no matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays, blocks
from idc_jax.ops.shapes import Array, Bool, Float
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection

# Entries of the kernel matrix kept for the pool: 256 MB.
_POOL_ENTRIES = 2**26
_POOL = 512
# Gains of the pool recomputed at a time.
_BATCH = 16
# Sides of a tile of the kernel matrix in a pass over all of it.
_TILE = 1024

# (rows [a, d], rows [b, d]) -> kernel values [a, b], none negative.
Kernel = Callable[[jax.Array, jax.Array], jax.Array]


class _State(NamedTuple):
    cover: jax.Array  # [t], how well each target is covered by the picks
    bound: jax.Array  # [n], upper bound of each gain; -inf for those that cannot be picked
    fresh: jax.Array  # bool [n], whether the bound is the gain itself
    selection: Selection
    made: jax.Array
    idle: jax.Array  # pools gone through since the last pick


class _Pool(NamedTuple):
    members: jax.Array  # [p]
    rows: jax.Array  # [p, t], kernel between members and targets
    outside: jax.Array  # the highest bound outside
    outside_index: jax.Array  # the lowest index that has it


class Targets(NamedTuple):
    """What is to be covered.

    Attributes:
      points: ``[t, d]``, all samples or a sample of them.
      weights: ``[t]``, what covering each is worth, none negative.
      same: whether the targets are the samples themselves.
    """

    points: jax.Array
    weights: jax.Array
    same: bool


def targets_of(x: Float[Array, "n d"], weights: Float[Array, "n"], limit: int | None) -> Targets:
    """All rows of ``x`` ``[n, d]`` as targets, or ``limit`` evenly spaced ones of them."""
    n = x.shape[0]
    if limit is None or n <= limit:
        return Targets(x, weights, True)
    rows = jnp.asarray(np.linspace(0, n - 1, limit).round(), jnp.int32)
    return Targets(x[rows], weights[rows] * (n / limit), False)


def greedy(
    x: Float[Array, "n d"],
    targets: Targets,
    budget: int,
    labelled: Bool[Array, "n"],
    candidates: Bool[Array, "n"],
    kernel: Kernel,
) -> Selection:
    """Greedy maximum of F; each pick's value is its gain, the lowest index first among equals.

    Args:
      x: samples ``[n, d]``.
      targets: the ``xⱼ`` and ``wⱼ``.
      budget: picks wanted.
      labelled: bool ``[n]``, members of S from the start.
      candidates: bool ``[n]``, the samples that may be picked.
      kernel: ``k``, of two sets of rows, symmetric.
    """
    cover = cover_of(x, targets.points, labelled, kernel)
    bound = jnp.where(candidates, jnp.inf, -jnp.inf)
    nothing = masks.nothing(budget)
    start = _State(cover, bound, ~candidates, nothing, jnp.int32(0), jnp.int32(0))
    wanted = jnp.minimum(budget, jnp.sum(candidates))
    n, size = x.shape[0], _pool_size(x.shape[0], cover.shape[0])
    # Looking at a quarter of the samples pool by pool costs as much as a pass over all.
    patience = n // (4 * size)

    def refresh(state: _State) -> _State:
        gains = _known(all_gains(x, targets, state.cover, kernel))
        gains = jnp.minimum(gains, state.bound)
        return state._replace(bound=gains, fresh=jnp.ones_like(state.fresh), idle=jnp.int32(0))

    def round_(state: _State) -> _State:
        unsure = jnp.isposinf(jnp.max(state.bound)) | (state.idle > patience)
        state = jax.lax.cond(unsure, refresh, lambda state: state, state)
        pool = _fill(x, targets.points, state.bound, kernel, size)
        after = _pick_while_safe(targets.weights, pool, state, wanted)
        return after._replace(idle=jnp.where(after.made > state.made, 0, state.idle + 1))

    return jax.lax.while_loop(lambda s: s.made < wanted, round_, start).selection


def _known(gains: jax.Array) -> jax.Array:
    """``gains`` as finite numbers, whatever came: each round then picks a sample, and ends."""
    return jnp.nan_to_num(gains, nan=0.0, posinf=jnp.finfo(jnp.float32).max)


def _pool_size(n: int, num_targets: int) -> int:
    return min(n, _POOL, max(_BATCH, _POOL_ENTRIES // num_targets))


def cover_of(
    x: Float[Array, "n d"], points: Float[Array, "t d"], members: Bool[Array, "n"], kernel: Kernel
) -> Float[Array, "t"]:
    """``max_{s ∈ S} k(s, point)`` ``[t]``, S being ``members`` (bool ``[n]``), 0 if none."""
    n = x.shape[0]
    order = jnp.argsort(~members, stable=True)
    block = min(_BATCH, n)

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        cover, start = state
        places = start + jnp.arange(block)
        chosen = order[jnp.minimum(places, n - 1)]
        used = (places < n) & members[chosen]
        found = jnp.where(used[:, None], kernel(x[chosen], points), 0.0)
        return jnp.maximum(cover, jnp.max(found, axis=0)), start + block

    state = (jnp.zeros((points.shape[0],), jnp.float32), jnp.int32(0))
    return jax.lax.while_loop(lambda s: s[1] < jnp.sum(members), step, state)[0]


def all_gains(
    x: Float[Array, "n d"], targets: Targets, cover: Float[Array, "t"], kernel: Kernel
) -> Float[Array, "n"]:
    """``Σⱼ wⱼ max(k(x, xⱼ) − coverⱼ, 0)`` ``[n]``, the gain of every sample."""
    if targets.same:
        return _gains_symmetric(x, targets.weights, cover, kernel)

    def gains(points: jax.Array) -> jax.Array:
        shared = kernel(points, targets.points)
        return arrays.matmul(jnp.maximum(shared - cover[None], 0.0), targets.weights)

    return blocks.map_rows(gains, (x,), _TILE)


def _gains_symmetric(
    x: jax.Array, weights: jax.Array, cover: jax.Array, kernel: Kernel
) -> jax.Array:
    """The same where the targets are the samples: each tile serves its rows and its columns."""
    n = x.shape[0]
    tile = min(_TILE, n)
    num_blocks = -(-n // tile)
    padding = (0, num_blocks * tile - n)
    padded = jnp.pad(x, (padding, (0, 0)))
    # Padding weighs nothing.
    weights, cover = jnp.pad(weights, padding), jnp.pad(cover, padding)

    def block(a: jax.Array, i: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(a, i * tile, tile)

    def step(t: jax.Array, gains: jax.Array) -> jax.Array:
        i, j = first[t], second[t]
        shared = kernel(block(padded, i), block(padded, j))
        rows = arrays.matmul(jnp.maximum(shared - block(cover, j)[None], 0.0), block(weights, j))
        columns = arrays.matmul(
            block(weights, i), jnp.maximum(shared - block(cover, i)[:, None], 0.0)
        )
        gains = gains.at[i].add(rows)
        return gains.at[j].add(jnp.where(i == j, 0.0, columns))

    first, second = (jnp.asarray(a, jnp.int32) for a in np.triu_indices(num_blocks))
    gains = jnp.zeros((num_blocks, tile), jnp.float32)
    return jax.lax.fori_loop(0, first.shape[0], step, gains).reshape(-1)[:n]


def _fill(x: jax.Array, points: jax.Array, bound: jax.Array, kernel: Kernel, size: int) -> _Pool:
    """The samples of highest bound, in ascending order, with their rows of the kernel."""
    n = x.shape[0]
    if size == n:
        members = jnp.arange(n)
        return _Pool(members, kernel(x, points), jnp.float32(-jnp.inf), jnp.int32(n))
    # One more than the pool holds: the best outside, of lowest index among equals. The barrier
    # keeps XLA from turning a sliced top-k into a sort.
    values, members = jax.lax.optimization_barrier(jax.lax.top_k(bound, size + 1))
    inside = jnp.sort(members[:size])
    return _Pool(inside, kernel(x[inside], points), values[size], members[size])


def _pick_while_safe(weights: jax.Array, pool: _Pool, state: _State, wanted: jax.Array) -> _State:
    """Pick from the pool until something outside might be better."""

    def best_is_fresh(state: _State) -> jax.Array:
        bound = state.bound[pool.members]
        return state.fresh[pool.members][jnp.argmax(bound)]

    def sharpen(state: _State) -> _State:
        """Recompute the gains of the stale members of highest bound."""
        stale = jnp.where(state.fresh[pool.members], -jnp.inf, state.bound[pool.members])
        places = jax.lax.top_k(stale, min(_BATCH, stale.shape[0]))[1]
        over = jnp.maximum(pool.rows[places] - state.cover[None], 0.0)
        chosen = pool.members[places]
        # Never above the old bound, whatever rounding did; what cannot be picked stays so.
        gains = jnp.minimum(_known(arrays.matmul(over, weights)), state.bound[chosen])
        return state._replace(
            bound=state.bound.at[chosen].set(gains), fresh=state.fresh.at[chosen].set(True)
        )

    def settle(state: _State) -> _State:
        return jax.lax.while_loop(lambda s: ~best_is_fresh(s), sharpen, state)

    def safe(state: _State) -> jax.Array:
        bound = state.bound[pool.members]
        best, index = jnp.max(bound), pool.members[jnp.argmax(bound)]
        before = (best > pool.outside) | ((best == pool.outside) & (index < pool.outside_index))
        return (state.made < wanted) & (best > -jnp.inf) & before

    def pick(state: _State) -> _State:
        place = jnp.argmax(state.bound[pool.members])
        chosen = pool.members[place]
        picked = masks.record(
            state.selection, state.made, chosen, state.bound[chosen], jnp.bool_(True)
        )
        return settle(
            _State(
                cover=jnp.maximum(state.cover, pool.rows[place]),
                bound=state.bound.at[chosen].set(-jnp.inf),
                fresh=jnp.zeros_like(state.fresh).at[chosen].set(True),
                selection=picked,
                made=state.made + 1,
                idle=state.idle,
            )
        )

    return jax.lax.while_loop(safe, pick, settle(state))
