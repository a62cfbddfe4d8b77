"""The contract of a network: two stateless functions over plain dicts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Variables = dict[str, Any]


class Outputs(NamedTuple):
    """What a clustering network gives for a batch.

    Attributes:
      embedding: ``[b, d]``, the backbone's output, not normalised.
      instance: ``[b, 128]``, the instance head's output, of unit length.
      logits: ``[b, c]``, the cluster head's output before the softmax.
    """

    embedding: jax.Array
    instance: jax.Array
    logits: jax.Array


class Model(NamedTuple):
    """A network as functions.

    Attributes:
      init: ``(key, x [b, ...]) -> variables``, a plain dict with ``"params"`` and, where the
        network has BatchNorm, ``"batch_stats"``.
      apply: ``(variables, x, train) -> (Outputs, variables)``: with ``train=True`` BatchNorm uses
        the batch's statistics and the returned variables carry the moved averages; with
        ``train=False`` the variables come back unchanged.
    """

    init: Callable[[jax.Array, jax.Array], Variables]
    apply: Callable[[Variables, jax.Array, bool], tuple[Outputs, Variables]]
