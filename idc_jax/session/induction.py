"""What is predicted of samples that were not there when the method learned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import gen_batches

from idc_jax import ops

# Queries looked at together.
_BLOCK = 1024


class Neighborhood(NamedTuple):
    """Fitted samples in the space where neighbours are looked for.

    Attributes:
      center: ``[d]``, their mean.
      radius: a scalar, how far they are from it, the root of the mean square.
      points: float32 ``[n, d + 1]``, where they lie on the sphere.
      index: of the points.
    """

    center: np.ndarray
    radius: np.ndarray
    points: np.ndarray
    index: NearestNeighbors


def settle(x: np.ndarray) -> Neighborhood:
    """Prepare for queries about neighbours among ``x`` ``[n, d]``."""
    center, radius = ops.center_and_radius(x.astype(np.float64))
    points = _placed(x, center, radius)
    return Neighborhood(center, radius, points, NearestNeighbors().fit(points))


def vote(
    neighborhood: Neighborhood, distributions: np.ndarray, x: np.ndarray, num_neighbors: int
) -> np.ndarray:
    """The mean of the nearest samples' ``distributions``, weighted by one over the distance.

    A sample that lies where fitted ones do gets theirs alone.

    Args:
      neighborhood: the fitted samples.
      distributions: ``[n, k]``, of each of them over the classes.
      x: ``[m, d]``, the samples asked about.
      num_neighbors: how many vote; all where there are fewer.

    Returns:
      ``[m, k]``, rows summing to one.
    """
    count = min(num_neighbors, len(neighborhood.points))
    found = np.empty((len(x), distributions.shape[1]))
    for rows in gen_batches(len(x), _BLOCK):
        queries = _placed(x[rows], neighborhood.center, neighborhood.radius)
        near = neighborhood.index.kneighbors(queries, count, return_distance=False)
        # Measured again: a distance taken from inner products is not 0 between equals.
        distance = np.linalg.norm(neighborhood.points[near] - queries[:, None], axis=2)
        same = distance == 0
        weight = np.where(same.any(1, keepdims=True), same, 1 / np.where(same, 1, distance))
        weight /= weight.sum(1, keepdims=True)
        found[rows] = (weight[:, :, None] * distributions[near]).sum(1)
    return found


def _placed(x: np.ndarray, center: np.ndarray, radius: np.ndarray) -> np.ndarray:
    points: np.ndarray = ops.on_sphere(x.astype(np.float64), center, radius)
    return points.astype(np.float32)
