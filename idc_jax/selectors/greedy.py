"""Greedy picking of samples far from what is picked already."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax import scores
from idc_jax.selectors.base import Selection


@functools.partial(jax.jit, static_argnames=("budget",))
def diverse(
    z: jax.Array, base: jax.Array, budget: int, labelled: jax.Array, candidates: jax.Array
) -> Selection:
    """Greedy maximum of ``base + min_{j ∈ S} log(1 − z·zⱼ)``; the first pick has no S, so 0."""
    order = jnp.arange(z.shape[0])

    def against(distance: jax.Array, chosen: jax.Array) -> jax.Array:
        return jnp.minimum(distance, scores.log_dissimilarity(z @ z[chosen]))

    def absorb(i: jax.Array, distance: jax.Array) -> jax.Array:
        return jax.lax.cond(labelled[i], lambda: against(distance, i), lambda: distance)

    def pick(i: jax.Array, state: tuple) -> tuple:
        distance, free, selection = state
        value = base + jnp.where(jnp.isfinite(distance), distance, 0.0)
        best = jnp.max(jnp.where(free, value, -jnp.inf))
        chosen = jnp.argmax(free & ((value == best) | ~jnp.isfinite(best)))
        picked = Selection(
            selection.indices.at[i].set(jnp.where(free[chosen], chosen, -1)),
            selection.values.at[i].set(jnp.where(free[chosen], value[chosen], -jnp.inf)),
        )
        free = free & (order != chosen)
        return against(distance, chosen), free, picked

    distance = jnp.full((z.shape[0],), jnp.inf, jnp.float32)
    distance = jax.lax.fori_loop(0, z.shape[0], absorb, distance)
    empty = Selection(
        jnp.full((budget,), -1, jnp.int32), jnp.full((budget,), -jnp.inf, jnp.float32)
    )
    _, _, selection = jax.lax.fori_loop(0, budget, pick, (distance, candidates, empty))
    return selection
