"""What the committee carries, and samples that must be together."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from idc_jax import ops
from idc_jax.methods.committee.forecast import Trials
from idc_jax.models.base import Variables


class GraphCommitteeContext(NamedTuple):
    """What never changes.

    Attributes:
      variables: the network's; none where the input is compared itself.
      embeddings: float32 ``[n, d]``, averaged over neighbours, of unit length.
      neighbors: the graph, ``[n, k]`` each.
      density: float32 ``[n]``, IDC's representativeness of each sample among the embeddings.
    """

    variables: Variables
    embeddings: jax.Array
    neighbors: ops.Neighbors
    density: jax.Array


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
