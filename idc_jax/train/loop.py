"""Epochs over raw samples: who is in which batch, and the network over everything."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from idc_jax.data.residency import Samples, slabs
from idc_jax.data.views import View, view_batch
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.train.parallel import gather, mesh_of, replicate, split


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


def run_network(
    model: Model, variables: Variables, view: View, data: Samples, *, block: int = 512
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
    mesh = mesh_of(data)
    variables = replicate(variables, mesh)
    parts = [_run(model, variables, view, slab, block, mesh) for slab in slabs(data, block)]
    return parts[0] if len(parts) == 1 else jax.tree.map(lambda *a: jnp.concatenate(a), *parts)


@partial(jax.jit, static_argnames=("model", "view", "block", "mesh"))
def _run(
    model: Model, variables: Variables, view: View, data: jax.Array, block: int, mesh: Mesh | None
) -> Outputs:
    num_samples = data.shape[0]
    block = min(block, num_samples)

    def outputs(raw: jax.Array) -> Outputs:
        # A deterministic view ignores its key; any will do.
        shown = split(view_batch(view, jax.random.key(0), raw), mesh)
        return gather(model.apply(variables, shown, False)[0], mesh)

    whole = num_samples // block
    head = data[: whole * block].reshape(whole, block, *data.shape[1:])
    done = jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), jax.lax.map(outputs, head))
    if whole * block == num_samples:
        return done
    rest = outputs(data[whole * block :])
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), done, rest)
