"""Distances, neighbours and clusterings of plain arrays."""

from idc_jax.ops.approximate import approximate_knn, recall
from idc_jax.ops.arrays import (
    center_and_radius,
    check_finite,
    inner,
    matmul,
    normalize,
    on_sphere,
    squared_distances,
    within_cluster_squared_distances,
)
from idc_jax.ops.contingency import contingency
from idc_jax.ops.cosines import cosine_exceeded_by
from idc_jax.ops.kmeans import KMeans, kmeans
from idc_jax.ops.neighbors import Neighbors, knn, nearest
from idc_jax.ops.semi_supervised import semi_supervised_kmeans
from idc_jax.ops.spherical import spherical_kmeans

__all__ = [
    "KMeans",
    "Neighbors",
    "approximate_knn",
    "center_and_radius",
    "check_finite",
    "contingency",
    "cosine_exceeded_by",
    "inner",
    "kmeans",
    "knn",
    "matmul",
    "nearest",
    "normalize",
    "on_sphere",
    "recall",
    "semi_supervised_kmeans",
    "spherical_kmeans",
    "squared_distances",
    "within_cluster_squared_distances",
]
