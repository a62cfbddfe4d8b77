"""One function of many parts of the rows, and what it finds put where it belongs."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays
from idc_jax.ops.inputs import in_32_bits

# Parts at a time, at most.
_WORKERS = 8
# An array, or a tree of arrays, with a row for each row.
Rows = TypeVar("Rows")


def cut_in_parts(count: int, at_once: int) -> np.ndarray:
    """The numbers 0 to ``count − 1`` as int32 ``[p, a]``, ``a`` at most ``at_once``.

    The last comes again as often as it takes for parts of one shape.
    """
    num_parts = -(-count // at_once)
    every = np.arange(num_parts * -(-count // num_parts), dtype=np.int32)
    return every.clip(max=count - 1).reshape(num_parts, -1)


def collect(
    function: Callable[[jax.Array], tuple[jax.Array, Rows]],
    parts: np.ndarray,
    out: Rows,
    x: jax.Array,
) -> Rows:
    """``out`` with what ``function`` finds in each of the ``parts``.

    Much of a part keeps one core of a CPU busy, and XLA runs calls of several threads at once. An
    accelerator, or a mesh, is handed one part after the other.

    Args:
      function: ``part -> rows [r], a tree of [r, ...]``; compiled. Rows past the end are dropped.
      parts: ``[p, ...]``.
      out: a tree of ``[n, ...]``, which is given away.
      x: what is looked at: where it is says how many parts go at a time.
    """
    if not arrays.is_concrete(x):
        step = lambda out, part: (_put(out, *function(part)), None)  # noqa: E731
        return jax.lax.scan(step, out, jnp.asarray(parts))[0]

    def of(part: np.ndarray) -> tuple[jax.Array, Rows]:
        # A thread begins with the width that is usual outside.
        with in_32_bits():
            return jax.block_until_ready(function(jnp.asarray(part)))

    put = _put_in_place if len(x.devices()) == 1 else _put
    with ThreadPoolExecutor(_workers(x)) as pool:
        for rows, found in pool.map(of, parts):
            out = put(out, rows, found)
    return out


def _workers(x: jax.Array) -> int:
    (first, *others) = x.devices()
    return 1 if others or first.platform != "cpu" else min(os.cpu_count() or 1, _WORKERS)


def _set(out: Rows, rows: jax.Array, found: Rows) -> Rows:
    return jax.tree.map(lambda a, b: a.at[rows].set(b, mode="drop"), out, found)


_put = jax.jit(_set)
_put_in_place = jax.jit(_set, donate_argnums=0)
