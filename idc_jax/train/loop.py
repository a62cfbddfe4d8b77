"""Epochs over device-resident data: who is in which batch, and the network over everything."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from idc_jax.data.views import View, view_batch
from idc_jax.models.base import Model, Outputs, Variables


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


def steps_per_epoch(num_samples: int, batch_size: int) -> int:
    """How many batches :func:`epoch_indices` makes."""
    return num_samples // min(batch_size, num_samples)


@partial(jax.jit, static_argnames=("model", "view", "block"))
def run_network(
    model: Model, variables: Variables, view: View, data: jax.Array, *, block: int = 512
) -> Outputs:
    """The evaluated network's outputs for all samples, in order.

    Args:
      model: the network.
      variables: its variables.
      view: a deterministic view; its key is a constant.
      data: raw samples ``[n, ...]``.
      block: samples at a time.

    Returns:
      :class:`Outputs` of ``[n, ...]`` arrays.
    """
    num_samples = data.shape[0]
    block = min(block, num_samples)

    def outputs(raw: jax.Array) -> Outputs:
        # A deterministic view ignores its key; any will do.
        return model.apply(variables, view_batch(view, jax.random.key(0), raw), False)[0]

    whole = num_samples // block
    head = data[: whole * block].reshape(whole, block, *data.shape[1:])
    done = jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), jax.lax.map(outputs, head))
    if whole * block == num_samples:
        return done
    rest = outputs(data[whole * block :])
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), done, rest)
