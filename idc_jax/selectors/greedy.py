"""Greedy picking of samples far from what is picked already: exact, and read a few times only.

Each pick lowers the values of the others, ``v ← base + min(d, D(·, pick))``, and never raises
one. A value that is not yet lowered by the last picks is therefore an upper bound, and picks can
be made from a small pool of the best, kept up to date among themselves, for as long as the
pool's best beats every bound outside it. Only then are the others brought up to date, with one
matrix product for all the pending picks. Of many samples, only a field of the best is brought up
to date, for as long as its best beats every bound outside the field; then another field is taken.
The picks are those of the plain loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from idc_jax.ops import blocks, sharded
from idc_jax.ops.shapes import Array, Bool, Float
from idc_jax.selectors import masks
from idc_jax.selectors.base import Selection

# Samples that are kept up to date pick by pick.
_POOL = 1024
# Samples that are kept up to date from pool to pool.
_FIELD = 16384
# Picks after which the samples are brought up to date at the latest.
_PENDING = 64
# Samples brought up to date at a time.
_BLOCK = 4096
# Stands for infinity; twice as much is still a number.
_FAR = 1e37
# What each of a pool is worth, the picks not yet compared with the rest, their number, all picks.
_Drawn = tuple[jax.Array, jax.Array, jax.Array, Selection]

# (rows [a, d], rows [b, d]) -> dissimilarities [a, b], larger is farther.
Dissimilarity = Callable[[jax.Array, jax.Array], jax.Array]


class _Samples(NamedTuple):
    x: jax.Array  # [m, d]
    base: jax.Array  # [m]
    ids: jax.Array  # [m], which of all samples these are, ascending


class _State(NamedTuple):
    distance: jax.Array  # [m], to the picks that were pending before the last update
    free: jax.Array  # bool [m]
    selection: Selection
    made: jax.Array  # picks made


def farthest(
    x: Float[Array, "n d"],
    base: Float[Array, "n"],
    budget: int,
    labelled: Bool[Array, "n"],
    candidates: Bool[Array, "n"],
    dissimilarity: Dissimilarity,
    first: jax.Array | float = 0.0,
) -> Selection:
    """Greedy maximum of ``base + min_{j ∈ S} D(x, xⱼ)``, the lowest index among equals.

    Args:
      x: samples ``[n, d]``.
      base: what a sample is worth by itself ``[n]``.
      budget: picks wanted.
      labelled: bool ``[n]``, members of S from the start.
      candidates: bool ``[n]``, the samples that may be picked.
      dissimilarity: ``D``, of two sets of rows.
      first: what stands for the minimum while S is empty.
    """
    n = x.shape[0]
    # Nothing but finite numbers, whatever came: each round then picks a sample, and ends.
    base, dissimilarity = _bounded(base, -_FAR), _bounded_of(dissimilarity)
    samples = _Samples(x, base, jnp.arange(n))
    wanted = jnp.minimum(budget, jnp.sum(candidates))
    distance = to_labelled(x, labelled, dissimilarity)
    start = _State(distance, candidates, masks.nothing(budget), jnp.int32(0))
    if budget == 0:
        return start.selection
    # With nothing selected, values may yet rise: a single pick, then an update of all.
    start = jax.lax.cond(
        jnp.isinf(distance[0]) & (wanted > 0),
        lambda: _first_pick(samples, start, first, dissimilarity),
        lambda: start,
    )

    def alone(state: _State) -> _State:
        return _pool_round(samples, _values(samples, state), state, wanted, dissimilarity)

    def by_fields(state: tuple[_State, jax.Array]) -> tuple[_State, jax.Array]:
        return _field_round(samples, *state, wanted, dissimilarity)

    if n <= _FIELD:
        return jax.lax.while_loop(lambda s: s.made < wanted, alone, start).selection
    seen = jnp.broadcast_to(start.made, (n,))
    return jax.lax.while_loop(lambda s: s[0].made < wanted, by_fields, (start, seen))[0].selection


def _bounded(values: jax.Array, nan: float) -> jax.Array:
    """``values`` with large numbers for infinities, and ``nan`` for what is no number."""
    return jnp.nan_to_num(values, nan=nan, posinf=_FAR, neginf=-_FAR)


def _bounded_of(dissimilarity: Dissimilarity) -> Dissimilarity:
    return lambda a, b: _bounded(dissimilarity(a, b), _FAR)


def _values(samples: _Samples, state: _State) -> jax.Array:
    return jnp.where(state.free, samples.base + state.distance, -jnp.inf)


def _first_pick(
    samples: _Samples, state: _State, first: jax.Array | float, dissimilarity: Dissimilarity
) -> _State:
    value = jnp.where(state.free, samples.base + first, -jnp.inf)
    place = jnp.argmax(value)
    selection = masks.record(state.selection, state.made, place, value[place], jnp.bool_(True))
    chosen = sharded.take(samples.x, place[None])
    distance = _lower(samples.x, state.distance, chosen, jnp.ones((1,), bool), dissimilarity)
    return _State(distance, state.free.at[place].set(False), selection, state.made + 1)


def _field_round(
    samples: _Samples,
    state: _State,
    seen: jax.Array,
    wanted: jax.Array,
    dissimilarity: Dissimilarity,
) -> tuple[_State, jax.Array]:
    """Bring a field of the best up to date and pick from it while it beats all others.

    ``seen`` ``[n]`` tells how many picks each distance accounts for; values of those that have
    not seen all picks are upper bounds.
    """
    members, outside = _best(_values(samples, state), _FIELD)
    stale = jnp.min(seen[members]) < state.made
    field = _Samples(*(sharded.take(a, members) for a in samples))
    distance = _to_picks(
        field.x,
        sharded.take(state.distance, members),
        samples.x,
        state.selection.indices,
        jnp.min(seen[members]),
        state.made,
        dissimilarity,
    )
    inner = state._replace(distance=distance, free=sharded.take(state.free, members))

    def going(loop: tuple[_State, jax.Array]) -> jax.Array:
        return (loop[0].made > loop[1]) & (loop[0].made < wanted)

    def round_(loop: tuple[_State, jax.Array]) -> tuple[_State, jax.Array]:
        value = _values(field, loop[0])
        after = _pool_round(field, value, loop[0], wanted, dissimilarity, outside)
        return after, loop[0].made

    inner, _ = jax.lax.while_loop(going, round_, (inner, jnp.int32(-1)))
    after = _State(
        state.distance.at[members].set(inner.distance),
        state.free.at[members].set(inner.free),
        inner.selection,
        inner.made,
    )
    # Where more samples than a field holds are worth the same, no field decides: all do.
    return jax.lax.cond(
        stale | (inner.made > state.made),
        lambda: (after, seen.at[members].set(inner.made)),
        lambda: _round_of_all(samples, state, seen, wanted, dissimilarity),
    )


def _round_of_all(
    samples: _Samples,
    state: _State,
    seen: jax.Array,
    wanted: jax.Array,
    dissimilarity: Dissimilarity,
) -> tuple[_State, jax.Array]:
    """Bring all samples up to date and make a pick at least."""
    picks = state.selection.indices
    distance = _to_picks(
        samples.x, state.distance, samples.x, picks, jnp.min(seen), state.made, dissimilarity
    )
    state = state._replace(distance=distance)
    after = _pool_round(samples, _values(samples, state), state, wanted, dissimilarity)
    return after, jnp.full_like(seen, after.made)


def _to_picks(
    points: jax.Array,
    distance: jax.Array,
    x: jax.Array,
    picks: jax.Array,
    start: jax.Array,
    stop: jax.Array,
    dissimilarity: Dissimilarity,
) -> jax.Array:
    """``distance`` of ``points`` lowered by the rows ``picks[start:stop]`` of ``x``."""
    picks = jnp.pad(picks, (0, _PENDING))

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        distance, start = state
        rows = jax.lax.dynamic_slice_in_dim(picks, start, _PENDING)
        used = start + jnp.arange(_PENDING) < stop
        return _lower(
            points, distance, sharded.take(x, rows), used, dissimilarity
        ), start + _PENDING

    return jax.lax.while_loop(lambda s: s[1] < stop, step, (distance, start))[0]


def to_labelled(
    x: Float[Array, "n d"], labelled: Bool[Array, "n"], dissimilarity: Dissimilarity
) -> Float[Array, "n"]:
    """Smallest dissimilarity ``[n]`` to a labelled sample; infinite where there is none."""
    n = x.shape[0]
    # Labelled rows first, so that only the blocks that hold any are visited.
    order = jnp.argsort(~labelled, stable=True)
    block = min(_PENDING, n)

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        distance, start = state
        places = start + jnp.arange(block)
        rows = order[jnp.minimum(places, n - 1)]
        used = (places < n) & labelled[rows]
        return _lower(x, distance, sharded.take(x, rows), used, dissimilarity), start + block

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


def _pool_round(
    samples: _Samples,
    value: jax.Array,
    state: _State,
    limit: jax.Array,
    dissimilarity: Dissimilarity,
    outside: jax.Array | None = None,
) -> _State:
    """Make picks, ``limit`` in all, from up-to-date ``value`` ``[m]``, then update all ``m``.

    ``outside`` bounds what is not among the samples, if there is anything.
    """
    pool, bound = _best(value, min(_POOL, value.shape[0]))
    points, base = (sharded.take(a, pool) for a in (samples.x, samples.base))
    alone = -jnp.inf if outside is None else outside
    bound = jnp.maximum(bound, alone)
    limit = jnp.minimum(limit - state.made, _PENDING)

    def safe(loop: _Drawn) -> jax.Array:
        values, _, made, _ = loop
        best = jnp.max(values)
        # The first pick is the best of the samples; an equal outside may have a lower index.
        sure = (made == 0) & ((best > alone) | (outside is None))
        return (made < limit) & (sure | (best > bound)) & (best > -jnp.inf)

    def pick(loop: _Drawn) -> _Drawn:
        values, pending, made, selection = loop
        place = jnp.argmax(values)
        chosen = samples.ids[pool[place]]
        selection = masks.record(
            selection, state.made + made, chosen, values[place], jnp.bool_(True)
        )
        pending = pending.at[made].set(pool[place])
        lowered = base + dissimilarity(points, points[place][None])[:, 0]
        values = jnp.minimum(values, lowered).at[place].set(-jnp.inf)
        return values, pending, made + 1, selection

    pending = jnp.full((_PENDING,), -1, jnp.int32)
    start = (value[pool], pending, jnp.int32(0), state.selection)
    _, pending, made, selection = jax.lax.while_loop(safe, pick, start)
    used = pending >= 0
    chosen = sharded.take(samples.x, jnp.maximum(pending, 0))
    distance = _lower(samples.x, state.distance, chosen, used, dissimilarity)
    places = jnp.where(used, pending, value.shape[0])
    free = state.free.at[places].set(False, mode="drop")
    return _State(distance, free, selection, state.made + made)


def _best(value: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """The ``size`` places of highest value, in ascending order, and a bound on those outside."""
    n = value.shape[0]
    if size == n:
        return jnp.arange(n), jnp.float32(-jnp.inf)
    values, places = sharded.top_k(value, size)
    # What lies outside is at most the least value inside; ascending, so that the lowest index
    # wins among equals.
    return jnp.sort(places), jnp.min(values)
