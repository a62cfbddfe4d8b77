"""The nearest of a few candidates of each point, where the points are spread over devices.

The points go round the ring, and each device compares its own with those candidates of theirs that
visit: it computes no distance but these.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.ops import ring
from idc_jax.ops.local import on_each_here
from idc_jax.ops.neighbors import Neighbors, by_distance
from idc_jax.ops.parts import collect, cut_in_parts
from idc_jax.ops.sharded import Rows, on_each

# Points whose distances to candidates are computed at a time, and numbers of points compared.
_POINTS, _COMPARED = 4096, 2**21


def nearest_of(x: jax.Array, indices: jax.Array, how: Rows, k: int) -> Neighbors:
    """The ``k`` nearest of those that ``indices`` ``[n, w]`` name, each once."""
    rows, distances2 = (x, _starts(len(x), how)), None
    for step in range(how.size):
        if step:
            # The first that is sent stays where it is, too.
            send = ring.given_onwards if step > 1 else ring.onwards
            rows = send(rows, how.mesh, how.axis)
        distances2 = on_each_here(_compared, how, x, indices, rows, distances2)
    return on_each_here(functools.partial(_first, k=k), how, distances2, indices)


@functools.partial(jax.jit, static_argnames=("n", "how"))
def _starts(n: int, how: Rows) -> jax.Array:
    """The first of each device's rows among all ``n``: int32 ``[p]``, spread."""
    return on_each(lambda me: me * (n // how.size), how, (ring.numbers(how.size),))


def _compared(
    x: jax.Array,
    indices: jax.Array,
    rows: tuple[jax.Array, jax.Array],
    distances2: jax.Array | None,
) -> jax.Array:
    """Squared distances of one device's points and their candidates ``[m, w]``, as far as known.

    Args:
      x: its points ``[m, d]``.
      indices: ``[m, w]``, of all rows.
      rows: some ``[r, d]`` of all rows, and which is the first ``[1]``.
      distances2: those known before.
    """
    found = collect(
        lambda part: (part, _distances2(x, indices, *rows, part)),
        cut_in_parts(len(x), _POINTS),
        jnp.zeros(indices.shape, jnp.float32),
        x,
    )
    return found if distances2 is None else _nearer(distances2, found)


_nearer = jax.jit(jnp.minimum, donate_argnums=0)


@jax.jit
def _distances2(
    x: jax.Array, indices: jax.Array, rows: jax.Array, start: jax.Array, part: jax.Array
) -> jax.Array:
    """``Σ (q − x)²`` as of :func:`~idc_jax.ops.neighbors.exact_distances2`, ``[b, w]``.

    Of the points ``part`` and those of their candidates that are among ``rows``; others are
    infinitely far, and cost nothing.
    """
    others = indices[part] - start
    there = (others >= 0) & (others < len(rows))
    (_, width), num_pairs = others.shape, others.size
    at_once = max(1, min(num_pairs, _COMPARED // rows.shape[1]))
    # Those that are there come first.
    pairs = jnp.where(there.reshape(-1), jnp.arange(num_pairs, dtype=jnp.int32), num_pairs)
    pairs = jnp.pad(jax.lax.sort(pairs), (0, at_once), constant_values=num_pairs)

    def step(i: jax.Array, distances2: jax.Array) -> jax.Array:
        pair = jax.lax.dynamic_slice_in_dim(pairs, i * at_once, at_once)
        points, near = x[part[pair // width]], rows[others.reshape(-1)[pair]]
        gaps = points.astype(jnp.float32) - near.astype(jnp.float32)
        return distances2.at[pair].set(jnp.sum(jnp.square(gaps), axis=1), mode="drop")

    steps = -(-jnp.sum(there, dtype=jnp.int32) // at_once)
    nothing = jnp.full(num_pairs, jnp.inf, jnp.float32)
    return jax.lax.fori_loop(0, steps, step, nothing).reshape(others.shape)


@functools.partial(jax.jit, static_argnames="k")
def _first(distances2: jax.Array, indices: jax.Array, k: int) -> Neighbors:
    return Neighbors(*(a[:, :k] for a in by_distance(distances2, indices)))
