"""Greedy picking of samples far from what is picked already: exact, and read a few times only.

Each pick lowers the values of the others, ``v ← base + min(d, D(·, pick))``, and never raises
one. A value that is not yet lowered by the last picks is therefore an upper bound, and picks can
be made from a small pool of the best, kept up to date among themselves, for as long as the
pool's best beats every bound outside it. Only then are all samples brought up to date, with one
matrix product for all the pending picks. The picks are those of the plain loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.ops import blocks
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection

# Samples that are kept up to date pick by pick.
_POOL = 1024
# Picks after which all samples are brought up to date at the latest.
_PENDING = 64
# Samples brought up to date at a time.
_BLOCK = 4096

# (rows [a, d], rows [b, d]) -> dissimilarities [a, b], larger is farther.
Dissimilarity = Callable[[jax.Array, jax.Array], jax.Array]


class _State(NamedTuple):
    distance: jax.Array  # [n], to the picks that were pending before the last update
    free: jax.Array  # bool [n]
    selection: Selection
    made: jax.Array  # picks made


def farthest(
    x: jax.Array,
    base: jax.Array,
    budget: int,
    labelled: jax.Array,
    candidates: jax.Array,
    dissimilarity: Dissimilarity,
    first: jax.Array | float = 0.0,
) -> Selection:
    """Greedy maximum of ``base + min_{j ∈ S} D(x, xⱼ)``, the lowest index among equals.

    Args:
      x: samples ``[n, d]``.
      base: what a sample is worth by itself ``[n]``.
      budget: picks wanted.
      labelled: bool ``[n]``, members of S from the start.
      candidates: bool ``[n]``, who may be picked.
      dissimilarity: ``D``, of two sets of rows.
      first: what stands for the minimum while S is empty.
    """
    distance = to_labelled(x, labelled, dissimilarity)
    start = _State(distance, candidates, masks.nothing(budget), jnp.int32(0))
    wanted = jnp.minimum(budget, jnp.sum(candidates))

    def round_(state: _State) -> _State:
        empty = jnp.isinf(state.distance[0])
        value = base + jnp.where(empty, first, state.distance)
        value = jnp.where(state.free, value, -jnp.inf)
        # With nothing selected, values may yet rise: a single pick, then an update.
        limit = jnp.where(empty, 1, jnp.minimum(_PENDING, wanted - state.made))
        return _pick_from_pool(x, base, value, state, limit, dissimilarity)

    return jax.lax.while_loop(lambda s: s.made < wanted, round_, start).selection


def to_labelled(x: jax.Array, labelled: jax.Array, dissimilarity: Dissimilarity) -> jax.Array:
    """Smallest dissimilarity ``[n]`` to a labelled sample; infinite where there is none."""
    n = x.shape[0]
    # Labelled rows first, so that only the blocks that hold any are visited.
    order = jnp.argsort(~labelled, stable=True)
    block = min(_PENDING, n)

    def step(state: tuple) -> tuple:
        distance, start = state
        places = start + jnp.arange(block)
        rows = order[jnp.minimum(places, n - 1)]
        used = (places < n) & labelled[rows]
        return _lower(x, distance, x[rows], used, dissimilarity), start + block

    total = jnp.sum(labelled)
    state = (jnp.full((n,), jnp.inf, jnp.float32), jnp.int32(0))
    return jax.lax.while_loop(lambda s: s[1] < total, step, state)[0]


def _lower(
    x: jax.Array,
    distance: jax.Array,
    chosen: jax.Array,
    used: jax.Array,
    dissimilarity: Dissimilarity,
) -> jax.Array:
    """``min(distance, D(x, chosen))`` over the used rows of ``chosen`` ``[p, d]``."""

    def nearer(points: jax.Array, distance: jax.Array) -> jax.Array:
        found = jnp.where(used[None], dissimilarity(points, chosen), jnp.inf)
        return jnp.minimum(distance, jnp.min(found, axis=1))

    return blocks.map_rows(nearer, (x, distance), _BLOCK)


def _pick_from_pool(
    x: jax.Array,
    base: jax.Array,
    value: jax.Array,
    state: _State,
    limit: jax.Array,
    dissimilarity: Dissimilarity,
) -> _State:
    """Make up to ``limit`` picks from up-to-date ``value`` ``[n]``, then update all distances."""
    size = min(_POOL, x.shape[0])
    pool, bound = _best(value, size)
    points, pending = x[pool], jnp.full((_PENDING,), -1, jnp.int32)

    def safe(loop: tuple) -> jax.Array:
        values, _, made, _ = loop
        best = jnp.max(values)
        # The first pick is exact whatever lies outside; an equal outside may have a lower index.
        return (made < limit) & ((made == 0) | (best > bound)) & (best > -jnp.inf)

    def pick(loop: tuple) -> tuple:
        values, pending, made, selection = loop
        place = jnp.argmax(values)
        selection = masks.record(
            selection, state.made + made, pool[place], values[place], jnp.bool_(True)
        )
        pending = pending.at[made].set(pool[place])
        lowered = base[pool] + dissimilarity(points, points[place][None])[:, 0]
        # Before the first pick the distance is infinite, and the values of the pool are not.
        values = jnp.where(made + 1 < limit, jnp.minimum(values, lowered), values)
        return values.at[place].set(-jnp.inf), pending, made + 1, selection

    start = (value[pool], pending, jnp.int32(0), state.selection)
    _, pending, made, selection = jax.lax.while_loop(safe, pick, start)
    return _apply(x, state, pending, made, selection, dissimilarity)


def _apply(
    x: jax.Array,
    state: _State,
    pending: jax.Array,
    made: jax.Array,
    selection: Selection,
    dissimilarity: Dissimilarity,
) -> _State:
    used = pending >= 0
    distance = _lower(x, state.distance, x[jnp.maximum(pending, 0)], used, dissimilarity)
    places = jnp.where(used, pending, x.shape[0])
    free = state.free.at[places].set(False, mode="drop")
    return _State(distance, free, selection, state.made + made)


def _best(value: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """The ``size`` places of highest value, in ascending order, and a bound on those outside."""
    n = value.shape[0]
    if size == n:
        return jnp.arange(n), jnp.float32(-jnp.inf)
    values, places = jax.lax.top_k(value, size)
    # What lies outside is at most the least value inside; ascending, so that the lowest index
    # wins among equals.
    return jnp.sort(places), jnp.min(values)
