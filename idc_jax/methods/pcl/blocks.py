"""PCL's fixed blocks of samples, and what is held of them: each device has blocks of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from idc_jax.data.residency import upload
from idc_jax.ops import sharded
from idc_jax.train.loop import padded

Make = Callable[[np.ndarray], np.ndarray]


def make_blocks(key: jax.Array, train: np.ndarray, size: int) -> np.ndarray:
    """Shuffle the samples into blocks of ``size``, training samples first.

    Args:
      key: of the shuffle; the blocks stay the same for the whole run.
      train: bool ``[n]``.
      size: b.

    Returns:
      int32 ``[g, b]``, each sample once; the last training block and the very last block are
      padded with -1.
    """
    order = np.asarray(jax.random.permutation(key, len(train)))
    parts = [order[train[order]], order[~train[order]]]
    filled = [np.append(part, np.full(-len(part) % size, -1)) for part in parts]
    return np.concatenate(filled).reshape(-1, size).astype(np.int32)


def of_blocks(make: Make, blocks: np.ndarray, mesh: Mesh | None) -> jax.Array:
    """What ``make`` says of blocks, on the device; over ``mesh`` each process makes its devices'.

    Args:
      make: of int ``[g, b]`` blocks to ``[g, ...]``.
      blocks: ``[g, b]``.
      mesh: devices, or None for one.

    Returns:
      ``[g, ...]``, spread over ``mesh``, with blocks of padding where it does not divide them.
    """
    if mesh is None:
        return jnp.asarray(make(blocks))
    blocks = padded(blocks, mesh.size)
    shape = (len(blocks), *make(blocks[:1]).shape[1:])

    def own(part: Any) -> np.ndarray:
        return make(blocks[part[0]])

    return jax.make_array_from_callback(shape, sharded.rows_over(mesh), own)


def in_order(
    values: jax.Array, blocks: np.ndarray, num_samples: int, mesh: Mesh | None
) -> jax.Array:
    """``[g, b, d]`` in the samples' own order, ``[n, d]``.

    Args:
      values: of ``blocks``, and perhaps of some of padding after them, spread over ``mesh``.
      blocks: int ``[g, b]``, each of the samples once, -1 for padding.
      num_samples: n.
      mesh: devices, or None for one.

    Returns:
      The rows; over ``mesh`` they are spread again, with some at the end that mean nothing.
    """
    flat = blocks.reshape(-1)
    places = np.zeros(num_samples, np.int32)
    places[flat[flat >= 0]] = np.flatnonzero(flat >= 0)
    if mesh is None:
        return _taken(values, jax.device_put(places))
    # As many as there are places in all, which the devices divide.
    places = np.resize(places, values.shape[0] * values.shape[1])
    with sharded.like(values):
        return _taken(values, upload(places, sharded.rows_over(mesh)))


@jax.jit
def _taken(values: jax.Array, places: jax.Array) -> jax.Array:
    rows = values.reshape(-1, values.shape[-1])
    return sharded.by_columns(lambda _, rows, places: rows[places], rows, places)
