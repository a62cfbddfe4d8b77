"""Raw samples for training: on the device where they fit, streamed chunk by chunk where not.

Either way the caller runs one compiled scan over ``(state, array, indices)``: `chunks` yields the
whole array with all indices, or one chunk's rows at a time with indices into that chunk.
"""

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError
from idc_jax.ops import sharded

# Threads that read a chunk's rows from the disk while the device is at work.
_READERS = 4
# Bytes of samples that are spread over devices and are brought to all of them at a time.
_BROUGHT = 2**26


@dataclass(frozen=True)
class Streamed:
    """Samples that stay on the host and are uploaded as they are needed.

    Attributes:
      inputs: ``[n, ...]``, perhaps memory-mapped.
      budget: bytes of the device that uploaded samples may take.
      sharding: where uploaded samples go; None for the default device.
    """

    inputs: np.ndarray
    budget: int
    sharding: jax.sharding.Sharding | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all samples together."""
        return self.inputs.shape

    @property
    def dtype(self) -> np.dtype:
        """Of each number."""
        return self.inputs.dtype

    def __getitem__(self, wanted: slice | np.ndarray) -> jax.Array:
        """The samples at ``wanted``, on the device."""
        return upload(self.inputs[wanted], self.sharding)


Samples = jax.Array | Streamed
"""Raw samples ``[n, ...]``, uint8 images or float32 features."""


class Chunk(NamedTuple):
    """What one call of the compiled scan works on.

    Attributes:
      array: ``[m, ...]``, samples on the device.
      indices: int32 ``[s, b]``, the rows of ``array`` for each of s steps.
      steps: which steps of the schedule these are.
    """

    array: jax.Array
    indices: jax.Array
    steps: slice


def place(
    inputs: np.ndarray, budget: int, sharding: jax.sharding.Sharding | None = None
) -> Samples:
    """Put ``inputs`` ``[n, ...]`` on the device if they take at most ``budget`` bytes.

    Args:
      inputs: raw samples, perhaps memory-mapped.
      budget: bytes of a device's memory that they may take.
      sharding: where they go; None for the default device.

    Raises:
      UserError: a negative budget, or too much data and nothing to stream them with.
    """
    if budget < 0:
        raise UserError(f"a device budget of {budget} bytes is impossible: use 0 or more")
    if inputs.nbytes <= budget:
        return upload(inputs, sharding)
    if importlib.util.find_spec("grain") is None:
        raise UserError(
            f"the samples take {inputs.nbytes / 1e9:.1f} GB, more than the {budget / 1e9:.1f} "
            "allowed on the device; streaming them needs grain: pip install grain"
        )
    return Streamed(inputs, budget, sharding)


def place_rows(inputs: np.ndarray, sharding: jax.sharding.NamedSharding) -> tuple[jax.Array, int]:
    """Spread the rows of ``inputs`` ``[n, ...]`` over the devices of a mesh; each reads its own.

    Args:
      inputs: raw samples, perhaps memory-mapped.
      sharding: by rows.

    Returns:
      Those on the devices, the first ones again at the end so that each has as many, and how many
      are there again.
    """
    repeats = -len(inputs) % sharding.mesh.size

    def rows(part: Any) -> np.ndarray:
        own = range(len(inputs) + repeats)[part[0]]
        return np.take(inputs, own, axis=0, mode="wrap")

    shape = (len(inputs) + repeats, *inputs.shape[1:])
    return jax.make_array_from_callback(shape, sharding, rows), repeats


def upload(array: np.ndarray, sharding: jax.sharding.Sharding | None) -> jax.Array:
    """Put a host array where ``sharding`` says; None for the default device."""
    if sharding is None:
        return jax.device_put(np.ascontiguousarray(array))
    # Unlike device_put this asks no other process whether it has the same.
    return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])


def some(samples: Samples, count: int) -> jax.Array:
    """The first ``count`` of the ``samples``, on the device, or on each."""
    if sharded.is_spread(samples):
        return sharded.rows_at(samples, jnp.arange(count))
    return samples[:count]


def chunks(
    samples: Samples, indices: jax.Array | np.ndarray, most: int | None = None
) -> Iterator[Chunk]:
    """Yield all steps of a schedule, in order.

    While the device works on one streamed chunk the next is being read and uploaded, so each
    takes at most half of the budget, but never less than one step. Samples that are spread over
    devices are brought to all of them, 64 MB at a time. All chunks have the same
    number of steps where some good number divides the schedule, else the last is shorter: two
    shapes at most.

    Args:
      samples: what `place` gave.
      indices: int ``[steps, b]``, the samples of each step.
      most: steps of a chunk at most; None for no limit but the budget.
    """
    total = indices.shape[0]
    most = total if most is None else most
    if isinstance(samples, Streamed):
        yield from _streamed(samples, np.asarray(indices), most)
        return
    if spread := sharded.is_spread(samples):
        most = min(most, max(_BROUGHT // (indices.shape[1] * _row_bytes(samples)), 1))
    for steps in spans(total, most):
        rows = taken(indices, steps).astype(jnp.int32)
        yield (
            Chunk(sharded.rows_at(samples, rows.reshape(-1)), _places(rows.shape), steps)
            if spread
            else Chunk(samples, rows, steps)
        )


def _places(shape: tuple[int, ...]) -> jax.Array:
    """Where the rows of a chunk of its own stand in it, int32 of a ``shape``."""
    return jax.device_put(np.arange(math.prod(shape), dtype=np.int32).reshape(shape))


def taken(schedule: jax.Array | np.ndarray, steps: slice) -> jax.Array:
    """Of a schedule ``[steps, ...]`` some steps, on the device.

    What lies there as it is wanted stays as it is, and NumPy's is sent by name: an epoch sends
    nothing unseen.
    """
    whole = steps.start == 0 and steps.stop >= len(schedule)
    part = schedule if whole else schedule[steps]
    return part if isinstance(part, jax.Array) else jax.device_put(part)


def slabs(samples: Samples, multiple: int) -> Iterator[jax.Array]:
    """Yield all samples in order, as much at a time as may be on the device.

    Args:
      samples: what `place` gave.
      multiple: of which a slab's length is one, but for the last's.
    """
    if isinstance(samples, jax.Array):
        yield samples
        return
    total = samples.shape[0]
    length = max(samples.budget // 2 // _row_bytes(samples) // multiple, 1) * multiple
    for start in range(0, total, length):
        yield samples[start : start + length]


def spans(total: int, most: int) -> Iterator[slice]:
    """``total`` steps in order, as many at a time as :func:`steps_per_chunk` says."""
    length = steps_per_chunk(total, most)
    for start in range(0, total, length):
        yield slice(start, min(start + length, total))


def steps_per_chunk(total: int, most: int) -> int:
    """Return how many of ``total`` steps a chunk takes, ``most`` at most but at least one.

    The greatest divisor of ``total`` where that is more than half of ``most``, so that all chunks
    are equal; else as even as can be.
    """
    most = max(1, min(most, total))
    for length in range(most, most // 2, -1):
        if total % length == 0:
            return length
    return math.ceil(total / math.ceil(total / most))


def _streamed(samples: Streamed, indices: np.ndarray, most: int) -> Iterator[Chunk]:
    total, batch = indices.shape
    if not total:
        return
    affordable = samples.budget // 2 // (batch * _row_bytes(samples))
    length = steps_per_chunk(total, min(most, max(affordable, 1)))
    start = 0
    pending: Chunk | None = None
    for rows in _read_ahead(samples.inputs, indices, length):
        steps = slice(start, start + rows.shape[0])
        start = steps.stop
        array = upload(rows.reshape(-1, *rows.shape[2:]), samples.sharding)
        if pending is not None:
            yield pending
        pending = Chunk(array, _places(rows.shape[:2]), steps)
    if pending is not None:
        yield pending


def _read_ahead(inputs: np.ndarray, indices: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """The samples of ``length`` steps at a time, ``[s, b, ...]``, read by threads beforehand."""
    import grain

    steps = grain.MapDataset.range(len(indices)).map(lambda step: inputs[indices[step]])
    read = steps.to_iter_dataset(
        grain.ReadOptions(num_threads=_READERS, prefetch_buffer_size=max(length, _READERS))
    )
    yield from read.batch(length, drop_remainder=False)


def _row_bytes(samples: Samples) -> int:
    return max(math.prod(samples.shape[1:]) * samples.dtype.itemsize, 1)
