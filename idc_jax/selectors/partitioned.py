"""IDC in two rounds for samples that no single machine holds."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops.inputs import count, flags, floats, takes
from idc_jax.ops.shapes import Array, Bool, Num
from idc_jax.selectors.base import Selection
from idc_jax.selectors.idc import idc_from_scores


@takes(z=floats("n d"), base=floats("n"), budget=count(0), num_parts=count(1), allowed=flags("n"))
def idc_partitioned(
    z: Num[Array, "n d"],
    base: Num[Array, "n"],
    budget: int,
    num_parts: int,
    *,
    allowed: Bool[Array, "n"] | None = None,
) -> Selection:
    """Each part picks ``budget`` samples; of all these, ``budget`` are picked again (GreeDi:
    Mirzasoleiman, Karbasi, Sarkar and Krause, "Distributed submodular maximization").

    Only the candidates, ``num_parts · budget`` rows, ever move. Part ``i`` takes every
    ``num_parts``-th row from ``i`` on, so that rows in order of class spread evenly.

    Args:
      z: unit-length embeddings ``[n, d]``.
      base: hardness and representativeness summed ``[n]``.
      budget: picks wanted, at most ``⌊n / num_parts⌋``.
      num_parts: parts; ``n`` need not be a multiple of it, a rest of rows is left out.
      allowed: bool ``[n]``, the samples that may be picked.

    Raises:
      UserError: more picks wanted than a part holds.
    """
    n = z.shape[0]
    if num_parts < 1 or budget > n // num_parts:
        raise UserError(f"{num_parts} parts of {n} samples cannot pick {budget} each; pick fewer")
    candidates = jnp.ones((n,), bool) if allowed is None else jnp.asarray(allowed, bool)
    return _two_rounds(z, base, candidates, budget, num_parts)


@functools.partial(jax.jit, static_argnames=("budget", "num_parts"))
def _two_rounds(
    z: jax.Array, base: jax.Array, candidates: jax.Array, budget: int, num_parts: int
) -> Selection:
    rows = z.shape[0] // num_parts
    parts = jnp.arange(rows * num_parts).reshape(rows, num_parts).T

    def pick(rows: jax.Array, usable: jax.Array) -> Selection:
        nothing = jnp.zeros_like(usable)
        found = idc_from_scores(z[rows], base[rows], budget, labelled=nothing, candidates=usable)
        picked = found.indices >= 0
        return found._replace(indices=jnp.where(picked, rows[found.indices], -1))

    first = jax.lax.map(lambda part: pick(part, candidates[part]).indices, parts)
    union = jnp.sort(first.reshape(-1))
    return pick(jnp.maximum(union, 0), union >= 0)
