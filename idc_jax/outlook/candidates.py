"""Numbers of clusters that the samples themselves suggest, before anybody has said anything."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops
from idc_jax.ops.graph import decorrelate_neighbors, smooth

# Numbers that are tried, each about a fifth more than the one before.
NUMBERS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 29, 35, 42, 50)
# Samples that are looked at, and how often they are halved.
_SAMPLES, _HALVINGS = 2_000, 4
# As the committee compares samples.
_NEIGHBORS, _HOPS = 10, 3
# Groups that people have in mind, whatever the samples are like.
_USUAL = 10
# Stabilities that differ by less are as good as equal.
_AS_GOOD = 0.03
# A cluster of fewer samples would say nothing of whether it comes again.
_PER_CLUSTER = 5


class Candidates(NamedTuple):
    """Numbers of clusters and how well each comes again.

    Attributes:
      numbers: int ``[k]``, ascending.
      stability: float ``[k]``: 1 where clusters of other samples are the same, 0 by chance.
    """

    numbers: np.ndarray
    stability: np.ndarray

    @property
    def peaks(self) -> np.ndarray:
        """Bool ``[k]``, the numbers that are more stable than those beside them."""
        padded = np.pad(self.stability, 1, constant_values=-np.inf)
        return (self.stability >= padded[:-2]) & (self.stability >= padded[2:])

    @property
    def guess(self) -> int:
        """The number to begin with: between the finest that is stable and ten.

        The finest is the largest number that is about as stable as the most stable one: clusters
        that are too fine can be named alike, while one that is too coarse hides what is in it. But
        people are not after the finest groups or the two that gaps part best. So it is drawn to ten
        by half of what lies between, in ratios.
        """
        good = self.stability >= self.stability.max() - _AS_GOOD
        finest = int(self.numbers[np.flatnonzero(good)[-1]])
        return round((finest * _USUAL) ** 0.5)


def candidates(key: jax.Array, x: jax.Array | np.ndarray) -> Candidates:
    """Find numbers of clusters that come out alike from other samples of the same kind.

    Stability as in Lange, Roth, Braun and Buhmann, "Stability-based validation of clustering
    solutions", 2004: the samples are halved, k-means of each half says of all of them which
    cluster they are of, and the two are compared (adjusted Rand index), for each number of
    clusters. Features are averaged over the neighbour graph first, where what is dense draws
    together.

    Args:
      key: draws samples, halves and starts.
      x: ``[n, d]``, n at least 2.
    """
    draw, space, *halvings = jax.random.split(key, 2 + _HALVINGS)
    # Rows are taken where they lie: not all of them need to fit on the device.
    kept = np.asarray(jax.random.permutation(draw, len(x))[:_SAMPLES])
    features = _averaged(space, jnp.asarray(x[kept], jnp.float32))
    numbers = [k for k in NUMBERS if k * _PER_CLUSTER <= len(features)] or [min(2, len(features))]
    most = min(numbers[-1], len(features) // 2)
    found = [[_agreement(one, features, min(k, most), most) for k in numbers] for one in halvings]
    return Candidates(np.array(numbers), np.mean(found, axis=0))


def _averaged(key: jax.Array, x: jax.Array) -> jax.Array:
    if len(x) < 3:
        return x
    z = decorrelate_neighbors(key, x)
    return ops.normalize(smooth(z, ops.knn(z, min(_NEIGHBORS, len(x) - 1)), hops=_HOPS))


def _agreement(key: jax.Array, features: jax.Array, k: int, most: int) -> jax.Array:
    """How far k-means of one half and of the other put the same samples together."""
    order = jax.random.permutation(key, len(features))
    half = len(features) // 2
    halves = (features[order[:half]], features[order[half : 2 * half]])
    how = {"restarts": 2, "max_iterations": 30, "used": k}
    one, other = (ops.kmeans(key, part, most, **how).centers for part in halves)
    return _rand_index(features, one, other)


@jax.jit
def _rand_index(features: jax.Array, one: jax.Array, other: jax.Array) -> jax.Array:
    """Of the clusters about two sets of centres, adjusted for chance (Hubert and Arabie,
    "Comparing partitions", 1985).
    """
    most = len(one)
    nearest = [jnp.argmin(ops.squared_distances(features, c), axis=1) for c in (one, other)]
    table = ops.contingency(*nearest, most, most).astype(jnp.float32)

    def pairs(counts: jax.Array) -> jax.Array:
        return jnp.sum(counts * (counts - 1.0)) / 2.0

    both, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    chance = rows * columns / jnp.maximum(pairs(table.sum()), 1.0)
    room = (rows + columns) / 2.0 - chance
    return jnp.where(room > 0, (both - chance) / jnp.maximum(room, 1e-6), 1.0)
