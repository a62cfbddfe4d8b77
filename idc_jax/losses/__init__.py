"""The losses of the methods, on arrays alone: JAX and NumPy, no networks, no files."""

from idc_jax.losses.classification import class_balanced_mean, cross_entropy, masked_mean
from idc_jax.losses.dsac import class_means, self_paced, weighted_center, weighted_class
from idc_jax.losses.idc import negative, positive, regularisation
from idc_jax.losses.ipc import pair_loss
from idc_jax.losses.pcl import (
    cluster_contrast,
    cluster_entropy,
    cluster_loss,
    constrained_contrast,
    instance_loss,
    must_link_weight,
)
from idc_jax.losses.pseudo import confident_labels, update_pseudo_labels

__all__ = [
    "class_balanced_mean",
    "class_means",
    "cluster_contrast",
    "cluster_entropy",
    "cluster_loss",
    "confident_labels",
    "constrained_contrast",
    "cross_entropy",
    "instance_loss",
    "masked_mean",
    "must_link_weight",
    "negative",
    "pair_loss",
    "positive",
    "regularisation",
    "self_paced",
    "update_pseudo_labels",
    "weighted_center",
    "weighted_class",
]
