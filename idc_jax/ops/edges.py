"""The neighbour graph as a symmetric matrix, in a form that is fast to multiply by.

Every edge of the k-nearest-neighbour graph counts in both directions. Forward, each sample reads
its neighbours' rows. Backward, samples differ in how many name them: up to twice k are listed for
each sample and read as its neighbours are, and what the few hubs have beyond is added at the end,
in order of the sample, so that sums do not change from run to run.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from idc_jax.ops import sharded
from idc_jax.ops.graph import gathered, weights_and_degrees
from idc_jax.ops.neighbors import Neighbors
from idc_jax.ops.sums import added_by

# Edges beyond the lists are padded to a multiple of so many.
_SPILL = 1024
# Samples whose edges are sorted at a time.
_ROWS = 2**18


class Edges(NamedTuple):
    """A symmetric ``[n, n]`` matrix of the graph's weights.

    Attributes:
      indices, weights: ``[n, k]``, each sample's neighbours; weights of any precision.
      named_by, named_weights: ``[n, 2k]``, where the sample is a neighbour; 0 is padding.
      spill_to, spill_from, spill_weights: ``[s]``, edges for which that list is too short. Where
        rows are spread over devices, each has its own, and ``spill_to`` counts among its rows.
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


def normalized_edges(neighbors: Neighbors, dtype: DTypeLike = jnp.float32) -> Edges:
    """``S = D^−½ W D^−½`` of a neighbour graph, W as in :func:`~idc_jax.ops.graph.edge_weights`.

    Not for use under ``jit``: its shapes depend on the graph.

    Args:
      neighbors: of each sample.
      dtype: of the weights. They are in (0, 1], and what they weigh stays float32.
    """
    found = _normalized(neighbors)
    if found.weights.dtype == dtype:
        return found
    names = ("weights", "named_weights", "spill_weights")
    return found._replace(**{name: getattr(found, name).astype(dtype) for name in names})


def _normalized(neighbors: Neighbors) -> Edges:
    if how := sharded.divides(len(neighbors.indices)):
        return spread_edges(neighbors, how)
    raw, degrees = weights_and_degrees(neighbors)
    indices, root = np.asarray(neighbors.indices), 1.0 / np.sqrt(np.asarray(degrees))
    weights = np.asarray(raw) * root[:, None] * root[indices]
    n, k = indices.shape
    named_by, named_weights = np.zeros((n, 2 * k), np.int32), np.zeros((n, 2 * k), np.float32)
    count, spills = np.zeros(n, np.int32), []
    # Sorting all edges at once would take several times their memory.
    for start in range(0, n, _ROWS):
        target, value = (a[start : start + _ROWS].ravel() for a in (indices, weights))
        order = np.argsort(target, kind="stable")
        target, value, source = target[order], value[order], (start + order // k).astype(np.int32)
        rank = np.arange(len(target)) - np.searchsorted(target, target) + count[target]
        count += np.bincount(target, minlength=n).astype(np.int32)
        listed = rank < 2 * k
        named_by[target[listed], rank[listed]] = source[listed]
        named_weights[target[listed], rank[listed]] = value[listed]
        spills.append([part[~listed] for part in (target, source, value)])
    spill = [np.concatenate(parts) for parts in zip(*spills, strict=True)]
    order = np.argsort(spill[0], kind="stable")
    # Padding stands at the end, where the order by sample wants the last one.
    missing = (0, -len(order) % _SPILL)
    spill_to, spill_from, spilled = (
        np.pad(part[order], missing, constant_values=filling)
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
    return sharded.by_columns(_multiplied, x, edges)


def _multiplied(own: jax.Array, x: jax.Array, edges: Edges) -> jax.Array:
    del own
    if edges.weights.dtype != x.dtype:
        # Else a loop's compiler would make all weights wide before the loop.
        edges, x = jax.lax.optimization_barrier((edges, x))
    forth = gathered(x, edges.indices, edges.weights)
    back = gathered(x, edges.named_by, edges.named_weights)
    spilled = edges.spill_weights[:, None] * x[edges.spill_from]
    return added_by(forth + back, edges.spill_to, spilled)


def spread_edges(neighbors: Neighbors, how: sharded.Rows) -> Edges:
    """:func:`normalized_edges` of rows that are spread over devices, each making its own."""
    weights, degrees, longest = _weighed(neighbors)
    spill = -(-int(longest) // _SPILL) * _SPILL
    lists, spilled = _named(neighbors.indices, weights, how, spill)
    return Edges._make((neighbors.indices, weights, *lists, *spilled, degrees))


@jax.jit
def _weighed(neighbors: Neighbors) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Weights ``[n, k]``, degrees ``[n]``, and how many edges some device's lists lack room for."""
    weights, degrees = weights_and_degrees(neighbors)
    root, indices = jax.lax.rsqrt(degrees), neighbors.indices
    weights = weights * root[:, None] * sharded.at(root, indices)
    named = sharded.sums_at(indices, jnp.ones_like(indices))
    beyond = jnp.maximum(named - 2 * indices.shape[1], 0)
    how = sharded.current()
    return weights, degrees, jnp.max(jnp.sum(beyond.reshape(how.size if how else 1, -1), axis=1))


@partial(jax.jit, static_argnames=("how", "spill"))
def _named(
    indices: jax.Array, weights: jax.Array, how: sharded.Rows, spill: int
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Who names each row: lists ``[n, 2k]`` of rows and weights, and what they lack room for.

    The parts of the graph are shown to all devices in turn, and each takes what names its own.
    """
    own, k = len(indices) // how.size, indices.shape[1]

    def local(indices: jax.Array, weights: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        me = jax.lax.axis_index(how.axis)

        def take(part: jax.Array, state: tuple[Any, ...]) -> tuple[Any, ...]:
            lists, spilled, count, used = state
            shown = jax.lax.psum(
                jax.tree.map(lambda a: jnp.where(me == part, a, 0), (indices, weights)), how.axis
            )
            target = shown[0].ravel() - me * own
            target = jnp.where((target >= 0) & (target < own), target, own)
            order = jnp.argsort(target, stable=True)
            target, value = target[order], shown[1].ravel()[order]
            source = part * own + order // k
            begins = jnp.searchsorted(target, jnp.arange(own + 1))
            # What is not this device's, and what its lists lack room for, falls off them.
            place = jnp.append(count, 0)[target] + jnp.arange(own * k) - begins[target]
            found = zip(lists, (source, value), strict=True)
            lists = [a.at[target, place].set(b, mode="drop") for a, b in found]
            late = (target < own) & (place >= 2 * k)
            place = jnp.where(late, used + jnp.cumsum(late) - 1, spill)
            filled = zip(spilled, (target, source, value), strict=True)
            spilled = [a.at[place].set(b, mode="drop") for a, b in filled]
            count = count + jnp.diff(begins)
            return lists, spilled, count, used + jnp.sum(late)

        lists = [jnp.zeros((own, 2 * k), jnp.int32), jnp.zeros((own, 2 * k))]
        # Padding stands at the end, where the order by sample wants the last one.
        spilled = [jnp.full(spill, own - 1), jnp.zeros(spill, jnp.int32), jnp.zeros(spill)]
        start = (lists, spilled, jnp.zeros(own, jnp.int32), jnp.int32(0))
        lists, spilled, _, _ = jax.lax.fori_loop(0, how.size, take, start)
        return lists, spilled

    return sharded.on_each(local, how, (indices, weights))
