"""The neighbour graph as a symmetric matrix, in a form that is fast to multiply by.

Every edge of the k-nearest-neighbour graph counts in both directions. Forward, each sample reads
its neighbours' rows. Backward, samples differ in how many name them: up to twice k are listed for
each sample and read as its neighbours are. What hubs have beyond stands in further lists of k,
whose sums are added in order of the sample, so that they do not change from run to run.
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

# Further lists are padded to a multiple of so many.
_FURTHER = 256
# Samples whose edges are sorted at a time.
_ROWS = 2**18


class Edges(NamedTuple):
    """A symmetric ``[n, n]`` matrix of the graph's weights.

    Attributes:
      indices, weights: ``[n, k]``, each sample's neighbours; weights of any precision.
      named_by, named_weights: ``[n, 2k]``, where the sample is a neighbour; 0 is padding.
      hubs: ``[s]``, rising: the samples for which that list is too short, each as often as it has
        further lists. Where rows are spread over devices, each has its own, and counts among its
        rows.
      further_by, further_weights: ``[s, k]``, these lists; 0 is padding.
      degrees: ``[n]``, D.
    """

    indices: jax.Array
    weights: jax.Array
    named_by: jax.Array
    named_weights: jax.Array
    hubs: jax.Array
    further_by: jax.Array
    further_weights: jax.Array
    degrees: jax.Array


def normalized_edges(neighbors: Neighbors, dtype: DTypeLike = jnp.float32) -> Edges:
    """``S = D^−½ W D^−½`` of a neighbour graph, with the weights W and the degrees D of
    :func:`~idc_jax.ops.graph.weights_and_degrees`.

    Not for use under ``jit``: its shapes depend on the graph.

    Args:
      neighbors: of each sample.
      dtype: of the weights. They are in (0, 1], and what they weigh stays float32.
    """
    found = _normalized(neighbors)
    if found.weights.dtype == dtype:
        return found
    names = ("weights", "named_weights", "further_weights")
    return found._replace(**{name: getattr(found, name).astype(dtype) for name in names})


def _normalized(neighbors: Neighbors) -> Edges:
    if how := sharded.divides(len(neighbors.indices)):
        return spread_edges(neighbors, how)
    found, degrees, named, _ = _weighed(neighbors)
    indices, weights = np.asarray(neighbors.indices), np.asarray(found)
    n, k = indices.shape
    starts = range(0, n, _ROWS)
    lists = _further(np.asarray(named), k)
    first, size = np.cumsum(lists) - lists, -(-int(lists.sum()) // _FURTHER) * _FURTHER
    by, by_weights = np.zeros((n, 2 * k), np.int32), np.zeros((n, 2 * k), np.float32)
    further_by, further_weights = np.zeros((size, k), np.int32), np.zeros((size, k), np.float32)
    count = np.zeros(n, np.int32)
    # Sorting all edges at once would take several times their memory.
    for start in starts:
        target, value = (a[start : start + _ROWS].ravel() for a in (indices, weights))
        order = np.argsort(target, kind="stable")
        target, value, source = target[order], value[order], start + order // k
        rank = np.arange(len(target)) - np.searchsorted(target, target) + count[target]
        count += np.bincount(target, minlength=n).astype(np.int32)
        late = rank >= 2 * k
        place = (target[~late], rank[~late])
        by[place], by_weights[place] = source[~late], value[~late]
        more, column = np.divmod(rank[late] - 2 * k, k)
        place = (first[target[late]] + more, column)
        further_by[place], further_weights[place] = source[late], value[late]
    # Padding stands at the end, where the order by sample wants the last one.
    hubs = np.full(size, n - 1, np.int32)
    hubs[: lists.sum()] = np.repeat(np.arange(n, dtype=np.int32), lists)
    made = (by, by_weights, hubs, further_by, further_weights)
    return Edges._make((neighbors.indices, found, *map(jax.device_put, made), degrees))


def _further(named: Any, k: int) -> Any:
    """How many further lists samples have that so many others name ``[n]``."""
    return -(-(named - 2 * k).clip(0) // k)


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
    further = gathered(x, edges.further_by, edges.further_weights)
    return added_by(forth + back, edges.hubs, further, rising=True)


@partial(jax.jit, static_argnames=("iterations",))
def propagate(
    seeds: jax.Array, edges: Edges, *, alpha: jax.Array | float, iterations: int = 40
) -> jax.Array:
    """Spread what is known of a few samples over the graph to all.

    Label spreading: ``P ← α S P + (1 − α) Y`` (Zhou et al., "Learning with Local and Global
    Consistency", 2004), with every edge used in both directions.

    Args:
      seeds: Y ``[n, c]``, non-negative; a row of zeros where nothing is known.
      edges: S.
      alpha: in [0, 1): how far an answer reaches.
      iterations: how often; the error falls as α to this power.

    Returns:
      P ``[n, c]``, not normalised: a row's sum tells how much evidence reached the sample, and
      is 0 where none did.
    """

    def step(_: jax.Array, spread: jax.Array) -> jax.Array:
        return alpha * multiply(edges, spread) + (1 - alpha) * seeds

    return jax.lax.fori_loop(0, iterations, step, (1 - alpha) * seeds)


def spread_edges(neighbors: Neighbors, how: sharded.Rows) -> Edges:
    """:func:`normalized_edges` of rows that are spread over devices, each making its own."""
    weights, degrees, named, most = _weighed(neighbors)
    size = -(-int(most) // _FURTHER) * _FURTHER
    lists = _named(neighbors.indices, weights, named, how, size)
    return Edges._make((neighbors.indices, weights, *lists, degrees))


@jax.jit
def _weighed(neighbors: Neighbors) -> tuple[jax.Array, ...]:
    """Weights ``[n, k]``, degrees ``[n]``, how many name each ``[n]``.

    And how many further lists some device has, at most.
    """
    indices = neighbors.indices
    weights, degrees = jax.lax.optimization_barrier(weights_and_degrees(neighbors))
    root = jax.lax.rsqrt(degrees)
    weights = weights * root[:, None] * sharded.at(root, indices)
    named = sharded.sums_at(indices, jnp.ones_like(indices))
    how = sharded.current()
    further = _further(named, indices.shape[1]).reshape(how.size if how else 1, -1)
    return weights, degrees, named, jnp.max(further.sum(1))


@partial(jax.jit, static_argnames=("how", "size"))
def _named(
    indices: jax.Array, weights: jax.Array, named: jax.Array, how: sharded.Rows, size: int
) -> tuple[jax.Array, ...]:
    """Who names each row: lists ``[n, 2k]`` of rows and weights, hubs, and their further lists.

    The parts of the graph are shown to all devices in turn, and each takes what names its own.
    """
    own, k = len(indices) // how.size, indices.shape[1]

    def local(indices: jax.Array, weights: jax.Array, named: jax.Array) -> tuple[jax.Array, ...]:
        me = jax.lax.axis_index(how.axis)
        needed = _further(named, k)
        first = jnp.append(jnp.cumsum(needed) - needed, 0)

        def take(part: jax.Array, state: tuple[Any, ...]) -> tuple[Any, ...]:
            lists, further, count = state
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
            rank = jnp.append(count, 0)[target] + jnp.arange(own * k) - begins[target]
            late = (target < own) & (rank >= 2 * k)
            place = jnp.where(late, first[target] + (rank - 2 * k) // k, size)
            lists = _put(lists, (target, rank), (source, value))
            further = _put(further, (place, rank % k), (source, value))
            return lists, further, count + jnp.diff(begins)

        def empty(rows: int, width: int) -> list[jax.Array]:
            return [jnp.zeros((rows, width), jnp.int32), jnp.zeros((rows, width))]

        start = (empty(own, 2 * k), empty(size, k), jnp.zeros(own, jnp.int32))
        lists, further, _ = jax.lax.fori_loop(0, how.size, take, start)
        # Padding stands at the end, where the order by sample wants the last one.
        hubs = jnp.repeat(jnp.arange(own), needed, total_repeat_length=size)
        return *lists, hubs, *further

    return sharded.on_each(local, how, (indices, weights, named))


def _put(
    lists: list[jax.Array], places: tuple[jax.Array, jax.Array], values: tuple[jax.Array, ...]
) -> list[jax.Array]:
    return [a.at[places].set(b, mode="drop") for a, b in zip(lists, values, strict=True)]
