"""Features that stay as they are: the input itself, or what a network makes of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from idc_jax.data.residency import Samples, Streamed
from idc_jax.errors import UserError
from idc_jax.methods.contract import Parts
from idc_jax.models.base import Variables
from idc_jax.train.loop import run_network


def as_they_are(data: Samples) -> jax.Array:
    """The samples themselves as rows, float32 ``[n, d]``.

    Raises:
      UserError: they do not fit on the device.
    """
    if isinstance(data, Streamed):
        raise UserError(
            "space is 'input', which compares the samples themselves, and they do not fit on the "
            "device; use space=network, or raise data.device_gigabytes"
        )
    return data.reshape(data.shape[0], -1).astype(jnp.float32)


def embed(parts: Parts, space: str, key: jax.Array) -> tuple[Variables, jax.Array]:
    """The network's variables, none for the ``"input"``, and the features ``[n, d]``.

    Args:
      parts: the data and the network.
      space: the ``"input"`` as it is, the ``"network"``'s embedding, or the ``"instance"`` head's
        output.
      key: begins the network.
    """
    if space == "input":
        return {}, as_they_are(parts.data)
    variables = parts.begin(key)
    only = "instance" if space == "instance" else "embedding"
    outputs = run_network(parts.model, variables, parts.views.val, parts.data, only=(only,))
    return variables, getattr(outputs, only)
