"""What IDC carries from round to round."""

from __future__ import annotations

from typing import NamedTuple

import jax

from idc_jax import ops
from idc_jax.models.base import Variables


class Compared(NamedTuple):
    """Where samples are compared.

    Attributes:
      embeddings: float32 ``[n, d]``, of unit length.
      neighbors: the graph along which answers spread, ``[n, k]`` each.
      near: the nearest by ``embeddings``, ``[n, K]`` each, for the representativeness.
    """

    embeddings: jax.Array
    neighbors: ops.Neighbors
    near: ops.Neighbors


class IDCContext(NamedTuple):
    """What never changes.

    Attributes:
      prior: float32 ``[n, c]``, the prediction before any answer.
      compared: where samples are compared, if that is the input itself.
    """

    prior: jax.Array
    compared: Compared | None

    @property
    def embeddings(self) -> jax.Array | None:
        """Float32 ``[n, d]``, if they stay."""
        return None if self.compared is None else self.compared.embeddings


class IDCState(NamedTuple):
    """What is learned.

    Attributes:
      variables: the network's.
      probabilities: float32 ``[n, c]``, the present prediction.
      slots: int32 ``[c]``, the group that each output stands for, -1 for none yet.
      store: int32 ``[n]``, pseudo-labels of the published code's memory.
      compared: where samples are compared, if the answers move it.
    """

    variables: Variables
    probabilities: jax.Array
    slots: jax.Array
    store: jax.Array
    compared: Compared | None

    @property
    def embeddings(self) -> jax.Array | None:
        """Float32 ``[n, d]``, if they move."""
        return None if self.compared is None else self.compared.embeddings


def compared_in(context: IDCContext, state: IDCState) -> Compared:
    """Where samples are compared at present."""
    found = state.compared or context.compared
    assert found is not None
    return found
