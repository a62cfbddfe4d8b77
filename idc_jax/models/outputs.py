"""What a network returns for a batch."""

from __future__ import annotations

from typing import NamedTuple

import jax


class Outputs(NamedTuple):
    """What a clustering network returns for a batch.

    Attributes:
      embedding: ``[b, d]``, what the heads see, not normalised: the backbone's output, attended
        where the network attends.
      instance: ``[b, 128]``, the instance head's output, of unit length.
      logits: ``[b, c]``, the cluster head's output before the softmax.
    """

    embedding: jax.Array
    instance: jax.Array
    logits: jax.Array
