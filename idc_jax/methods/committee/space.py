"""Where the committee compares samples: features, graphs, and what is drawn from them."""

from __future__ import annotations

from typing import NamedTuple

import jax

from idc_jax import ops
from idc_jax.ops.edges import Edges


class CommitteeSpace(NamedTuple):
    """Several views of the same n samples.

    Attributes:
      features: float32 ``[n, d]``, averaged over neighbours, of unit length.
      plain: float32 ``[n, d]``, the same before averaging; ``[n, 0]`` where no student learns.
      smooth: float32 ``[n, e]``, coordinates on the graph, of unit length; e may be 0.
      neighbors: the graph, ``[n, k]`` each.
      edges: the graph as a matrix; None where nothing flows through it.
      students: int32 ``[s]``, the samples of whose opinions the student learns.
    """

    features: jax.Array
    plain: jax.Array
    smooth: jax.Array
    neighbors: ops.Neighbors
    edges: Edges | None
    students: jax.Array
