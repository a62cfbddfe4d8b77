"""The neighbour graph as a symmetric matrix, in a form that is fast to multiply by.

Every edge of the k-nearest-neighbour graph counts in both directions. Forward, each sample reads
its neighbours' rows. Backward, samples differ in how many name them: up to twice k are listed for
each sample and read as its neighbours are, and what the few hubs have beyond is added at the end,
in order of the sample, so that sums do not change from run to run.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from idc_jax.ops.graph import gathered, weights_and_degrees
from idc_jax.ops.neighbors import Neighbors
from idc_jax.ops.sums import added_by

# Edges beyond the lists are padded to a multiple of so many.
_SPILL = 1024


class Edges(NamedTuple):
    """A symmetric ``[n, n]`` matrix of the graph's weights.

    Attributes:
      indices, weights: ``[n, k]``, each sample's neighbours.
      named_by, named_weights: ``[n, 2k]``, where the sample is a neighbour; 0 is padding.
      spill_to, spill_from, spill_weights: ``[s]``, edges for which that list is too short.
      degrees: ``[n]``, D.
    """

    indices: jax.Array
    weights: jax.Array
    named_by: jax.Array
    named_weights: jax.Array
    spill_to: jax.Array
    spill_from: jax.Array
    spill_weights: jax.Array
    degrees: jax.Array


def normalized_edges(neighbors: Neighbors) -> Edges:
    """``S = D^−½ W D^−½`` of a neighbour graph, W as in :func:`~idc_jax.ops.graph.edge_weights`.

    Not for use under ``jit``: its shapes depend on the graph.
    """
    raw, degrees = weights_and_degrees(neighbors)
    indices, root = np.asarray(neighbors.indices), 1.0 / np.sqrt(np.asarray(degrees))
    weights = np.asarray(raw) * root[:, None] * root[indices]
    n, k = indices.shape
    target, value = indices.ravel(), weights.ravel()
    order = np.argsort(target, kind="stable")
    target, value, source = target[order], value[order], (order // k).astype(np.int32)
    rank = np.arange(n * k) - np.searchsorted(target, np.arange(n))[target]
    listed = rank < 2 * k
    named_by, named_weights = np.zeros((n, 2 * k), np.int32), np.zeros((n, 2 * k), np.float32)
    named_by[target[listed], rank[listed]] = source[listed]
    named_weights[target[listed], rank[listed]] = value[listed]
    spill = [part[~listed] for part in (target, source, value)]
    # Padding stands at the end, where the order by sample wants the last one.
    missing = (0, -len(spill[0]) % _SPILL)
    spill_to, spill_from, spilled = (
        np.pad(part, missing, constant_values=filling)
        for part, filling in zip(spill, (n - 1, 0, 0), strict=True)
    )
    return Edges(
        indices=neighbors.indices,
        weights=jax.device_put(weights),
        named_by=jax.device_put(named_by),
        named_weights=jax.device_put(named_weights),
        spill_to=jax.device_put(spill_to),
        spill_from=jax.device_put(spill_from),
        spill_weights=jax.device_put(spilled),
        degrees=degrees,
    )


def multiply(edges: Edges, x: jax.Array) -> jax.Array:
    """``S x`` ``[n, d]`` for ``x`` ``[n, d]``."""
    forth = gathered(x, edges.indices, edges.weights)
    back = gathered(x, edges.named_by, edges.named_weights)
    spilled = edges.spill_weights[:, None] * x[edges.spill_from]
    return added_by(forth + back, edges.spill_to, spilled)
