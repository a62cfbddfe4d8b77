"""Epochs over raw samples: which are in which batch, and the network over everything."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from idc_jax.data.residency import Samples, chunks
from idc_jax.data.views import View, view_batch
from idc_jax.models import attention
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.ops import sharded
from idc_jax.ops.blocks import map_rows
from idc_jax.train.parallel import mesh_of, replicate

# Samples that are evaluated at a time, and pixels of theirs: 92 images of 224 by 224.
_BLOCK = 512
_PIXELS = _BLOCK * 95**2


@partial(jax.jit, static_argnames=("num_samples", "batch_size"))
def epoch_indices(key: jax.Array, num_samples: int, batch_size: int) -> jax.Array:
    """Shuffle the samples into whole batches, leaving out a remainder that differs each time.

    Returns:
      int32 ``[num_samples // b, b]`` with ``b = min(batch_size, num_samples)``, no index twice.
    """
    batch = min(batch_size, num_samples)
    steps = num_samples // batch
    order = jax.random.permutation(key, num_samples)
    return order[: steps * batch].reshape(steps, batch).astype(jnp.int32)


def epoch_key(key: jax.Array, epoch: int) -> jax.Array:
    """``jax.random.fold_in`` of an epoch's number, which is sent to the device by name."""
    return jax.random.fold_in(key, jax.device_put(np.uint32(epoch)))


def steps_per_epoch(num_samples: int, batch_size: int) -> int:
    """How many batches :func:`epoch_indices` makes."""
    return num_samples // min(batch_size, num_samples)


def host_generator(key: jax.Array) -> np.random.Generator:
    """NumPy's generator of ``key``: on the host no new number of samples needs a new program."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def repeated_epochs(
    generator: np.random.Generator,
    count: int,
    batch: int,
    steps: int,
    *,
    longest: int | None = None,
) -> np.ndarray:
    """Shuffled epochs of whole batches, one after the other, cut off after ``steps``.

    Args:
      generator: shuffles.
      count: how many there are.
      batch: of a step, at most ``count``.
      steps: how many.
      longest: an epoch begins anew after so many steps; None for when all have been in one.

    Returns:
      int ``[steps, batch]``, places from 0 to ``count − 1``.
    """
    per_epoch = max(min(count // batch, longest or count), 1)
    epochs = -(-steps // per_epoch)
    orders = [generator.permutation(count)[: per_epoch * batch] for _ in range(epochs)]
    return np.concatenate(orders).reshape(-1, batch)[:steps]


def run_network(
    model: Model,
    variables: Variables,
    view: View,
    data: Samples,
    *,
    only: tuple[str, ...] = Outputs._fields,
    block: int | None = None,
) -> Outputs:
    """The evaluated network's outputs for all samples, in order.

    Args:
      model: the network.
      variables: its variables.
      view: a deterministic view; its key is a constant.
      data: raw samples ``[n, ...]``.
      only: the outputs that are wanted; of many samples the others would take much memory.
      block: samples at a time; None for 512, fewer of large images, and for those that a network
        that attends was trained on, in the order of the data.

    Returns:
      :class:`Outputs` of ``[n, ...]`` arrays, None for what is not wanted, whose rows are spread
      over devices where those of the data are and the network does not attend.
    """
    total = data.shape[0]
    block = min(block or _block(model, view, data), total)
    if sharded.is_spread(data) and model.module.attention is None:
        with sharded.like(data):
            variables = replicate(variables, mesh_of(data))
            return _over_rows(model, variables, view, data, only, block)
    mesh = mesh_of(data)
    if mesh and model.module.attention is None:
        # Something to do for every device.
        block = min(block, -(-total // mesh.size))
    blocks = np.append(np.arange(total), np.full(-total % block, -1)).reshape(-1, block)
    # A deterministic view ignores its key; any will do.
    blocks = blocks.astype(np.int32)
    outputs = run_blocks(_any_key(), model, variables, view, data, blocks, only=only)
    return sharded.first(jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), outputs), total)


@partial(jax.jit, static_argnames=("model", "view", "only", "block"))
def _over_rows(
    model: Model,
    variables: Variables,
    view: View,
    data: jax.Array,
    only: tuple[str, ...],
    block: int,
) -> Outputs:
    def one(raw: jax.Array, variables: Variables) -> Outputs:
        shown = view_batch(view, _any_key(), raw)
        return _these(only, model.apply(variables, shown, False)[0])

    return map_rows(one, (data,), block, (variables,))


@jax.jit
def _any_key() -> jax.Array:
    return jax.random.key(0)


def _block(model: Model, view: View, data: Samples) -> int:
    if model.module.attention is not None:
        return attention.BLOCK
    one = jax.ShapeDtypeStruct(data.shape[1:], data.dtype)
    seen = jax.eval_shape(view, jax.eval_shape(_any_key), one).shape
    return min(_BLOCK, max(_PIXELS // math.prod(seen[:-1]), 1))


def run_blocks(
    key: jax.Array,
    model: Model,
    variables: Variables,
    view: View,
    data: Samples,
    blocks: np.ndarray,
    *,
    only: tuple[str, ...] = Outputs._fields,
) -> Outputs:
    """The evaluated network over every block of samples.

    Over several devices each runs blocks of its own, so that what it finds is what one device
    would.

    Args:
      key: of the views.
      model: the network; one that attends sees a block at a time.
      variables: its variables.
      view: what it is shown.
      data: raw samples ``[n, ...]``.
      blocks: int32 ``[g, b]``, the samples of each block, -1 for padding.
      only: the outputs that are wanted.

    Returns:
      :class:`Outputs` of ``[g, b, ...]`` arrays, None for what is not wanted; those of padding mean
      nothing. Over several devices the blocks are spread, with padding at the end where the devices
      do not divide them.
    """
    mesh = mesh_of(data)
    devices = 1 if mesh is None else mesh.size
    blocks = padded(blocks, devices)
    size = blocks.shape[1]
    keys = jax.random.split(key, len(blocks)).reshape(devices, -1)
    # Steps of one block for each device.
    steps = blocks.clip(0).reshape(devices, -1, size).swapaxes(0, 1).reshape(-1, devices * size)
    variables = replicate(variables, mesh)
    parts = [
        _run(
            model,
            variables,
            view,
            part.array,
            part.indices.reshape(-1, devices, size).swapaxes(0, 1),
            jax.device_put(blocks.reshape(devices, -1, size)[:, part.steps] >= 0),
            keys[:, part.steps],
            only,
            mesh,
        )
        for part in chunks(data, steps)
    ]
    return parts[0] if len(parts) == 1 else _joined(parts, devices)


def padded(blocks: np.ndarray, multiple: int) -> np.ndarray:
    """``blocks`` ``[g, b]`` with blocks of -1 at the end, up to a multiple."""
    return np.pad(blocks, ((0, -len(blocks) % multiple), (0, 0)), constant_values=-1)


def _these(only: tuple[str, ...], outputs: Outputs) -> Outputs:
    nothing: Any = None
    others = [name for name in Outputs._fields if name not in only]
    return outputs._replace(**dict.fromkeys(others, nothing))


@partial(jax.jit, static_argnames=("model", "view", "only", "mesh"))
def _run(
    model: Model,
    variables: Variables,
    view: View,
    array: jax.Array,
    rows: jax.Array,
    masks: jax.Array,
    keys: jax.Array,
    only: tuple[str, ...],
    mesh: Mesh | None,
) -> Outputs:
    """Of ``s`` blocks of each of ``p`` devices, ``[p, s, b]``, those of the first device first."""

    def own(
        rows: jax.Array, masks: jax.Array, keys: jax.Array, array: jax.Array, variables: Variables
    ) -> Outputs:
        def one(xs: tuple[jax.Array, jax.Array, jax.Array]) -> Outputs:
            rows, mask, key = xs
            shown = view_batch(view, key, array[rows])
            return _these(only, model.apply(variables, shown, False, mask)[0])

        return jax.lax.map(one, (rows[0], masks[0], keys[0]))

    if mesh is None:
        return own(rows, masks, keys, array, variables)
    how = sharded.Rows(mesh.axis_names[0], mesh.size, mesh)
    return sharded.on_each(own, how, (rows, masks, keys), shared=(array, variables))


@partial(jax.jit, static_argnames="devices")
def _joined(parts: list[Outputs], devices: int) -> Outputs:
    """The blocks of all ``parts``, those of the first device first."""

    def join(*arrays: jax.Array) -> jax.Array:
        own = [a.reshape(devices, -1, *a.shape[1:]) for a in arrays]
        return jnp.concatenate(own, axis=1).reshape(-1, *arrays[0].shape[1:])

    return jax.tree.map(join, *parts)
