"""What the committee carries, and samples that must be together."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from idc_jax.methods.committee.space import CommitteeSpace
from idc_jax.models.base import Variables
from idc_jax.outlook import Trials


class GraphCommitteeContext(NamedTuple):
    """What never changes.

    Attributes:
      variables: the network's; none where the input is compared itself.
      space: where samples are compared.
    """

    variables: Variables
    space: CommitteeSpace

    @property
    def embeddings(self) -> jax.Array:
        """``[n, d]``, averaged over neighbours, of unit length, as narrow as what was given."""
        return self.space.features


class GraphCommitteeState(NamedTuple):
    """What is learned.

    The number of outputs c grows where people name more classes than clusters were wanted.

    Attributes:
      probabilities: float32 ``[n, c]``, the present prediction.
      slots: int32 ``[c]``, the group that each output stands for, -1 for none yet.
      trials: predictions that answers have tested.
      history: float32 ``[r, 2]``, answers and expected accuracy after each round.
    """

    probabilities: jax.Array
    slots: np.ndarray
    trials: Trials
    history: np.ndarray
