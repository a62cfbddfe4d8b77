"""Raw samples on the device: all of them where they fit, chunk by chunk where they do not.

Either way the caller runs one compiled scan over ``(state, array, indices)``: `chunks` gives the
whole array once with all indices, or one chunk's rows at a time with indices into that chunk.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from idc_jax.errors import UserError


class Resident(NamedTuple):
    """All samples, on the device.

    Attributes:
      array: ``[n, ...]``, uint8 images or float32 features.
    """

    array: jax.Array


class Streamed(NamedTuple):
    """All samples on the host, uploaded as they are needed.

    Attributes:
      inputs: ``[n, ...]``, perhaps memory-mapped.
      budget: bytes of the device that uploaded samples may take.
    """

    inputs: np.ndarray
    budget: int


Residency = Resident | Streamed


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


def place(inputs: np.ndarray, budget: int) -> Residency:
    """Put ``inputs`` ``[n, ...]`` on the default device if they take at most ``budget`` bytes.

    Raises:
      UserError: a negative budget.
    """
    if budget < 0:
        raise UserError(f"a device budget of {budget} bytes is impossible: use 0 or more")
    if inputs.nbytes <= budget:
        return Resident(jax.device_put(np.ascontiguousarray(inputs)))
    return Streamed(inputs, budget)


def chunks(residency: Residency, indices: np.ndarray) -> Iterator[Chunk]:
    """Give all steps of a schedule, in order.

    While the device works on one streamed chunk the next is being uploaded, so each takes at most
    half of the budget, but never less than one step. All chunks have the same number of steps
    where some good number divides the schedule, else the last is shorter: two shapes at most.

    Args:
      residency: what `place` gave.
      indices: int ``[steps, b]``, the samples of each step.
    """
    if isinstance(residency, Resident):
        yield Chunk(residency.array, jax.device_put(indices.astype(np.int32)), slice(len(indices)))
        return
    pending: Chunk | None = None
    for steps in _schedule(residency, indices):
        upload = _upload(residency.inputs, indices[steps], steps)
        if pending is not None:
            yield pending
        pending = upload
    if pending is not None:
        yield pending


def rows(residency: Residency, indices: np.ndarray) -> jax.Array:
    """Return the samples at ``indices`` ``[m]`` on the device, ``[m, ...]``."""
    if isinstance(residency, Resident):
        return residency.array[np.asarray(indices)]
    return jax.device_put(residency.inputs[indices])


def _schedule(residency: Streamed, indices: np.ndarray) -> Iterator[slice]:
    total, batch = indices.shape
    row_bytes = max(residency.inputs.nbytes // len(residency.inputs), 1)
    length = steps_per_chunk(total, residency.budget // 2 // (batch * row_bytes))
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


def _upload(inputs: np.ndarray, indices: np.ndarray, steps: slice) -> Chunk:
    local = np.arange(indices.size, dtype=np.int32).reshape(indices.shape)
    return Chunk(jax.device_put(inputs[indices.ravel()]), jax.device_put(local), steps)
