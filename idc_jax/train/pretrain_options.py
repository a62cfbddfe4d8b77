"""How the pre-training is set, and what of that cannot be."""

from __future__ import annotations

from typing import NamedTuple

from idc_jax.errors import UserError, check_above, check_at_least


class PretrainOptions(NamedTuple):
    """How to pre-train.

    Attributes:
      epochs: passes over the data.
      batch_size: samples per step, each in two views; capped at the data's size.
      learning_rate: AdamW's highest, after a linear warm-up; falls to 0 along a cosine.
      weight_decay: AdamW's, decoupled.
      warmup: share of all steps over which the learning rate rises.
      instance_weight: weight of the instance-level contrast.
      cluster_weight: weight of the cluster-level contrast.
      entropy_weight: weight of the term that keeps the clusters even.
      agreement_weight: weight of the assignments' agreement within a pair (SCAN's).
      cluster_start: share of the epochs before the cluster head's three terms set in.
      instance_temperature: of the instance-level contrast.
      cluster_temperature: of the cluster-level contrast.
      neighbors: a positive may come from this many nearest neighbours; 0 for views of the
        sample itself only.
      neighbor_start: share of the epochs after which neighbours are taken, by the embedding at
        that moment and again every ``neighbor_every`` epochs. 0 takes the input's own
        neighbours from the first step on.
      neighbor_every: epochs between two searches.
      neighbor_share: how often the positive is a neighbour, where neighbours are taken.
    """

    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    instance_weight: float = 1.0
    cluster_weight: float = 1.0
    entropy_weight: float = 1.0
    agreement_weight: float = 0.0
    cluster_start: float = 0.0
    instance_temperature: float = 0.5
    cluster_temperature: float = 1.0
    neighbors: int = 0
    neighbor_start: float = 0.5
    neighbor_every: int = 10
    neighbor_share: float = 0.5


def searches_neighbors(options: PretrainOptions, epoch: int) -> bool:
    """Whether neighbours are looked for before ``epoch`` (from 0)."""
    if not options.neighbors:
        return False
    since = epoch - round(options.neighbor_start * options.epochs)
    if options.neighbor_start == 0 and since == 0:
        return False
    return since >= 0 and since % options.neighbor_every == 0


def check_options(options: PretrainOptions, num_samples: int) -> None:
    """Refuse options that cannot be trained with.

    Raises:
      UserError: naming the option, its value and what it must be.
    """
    if num_samples < 2:
        raise UserError(f"pre-training needs at least 2 samples; there are {num_samples}")
    for name in ("epochs", "batch_size", "neighbor_every"):
        check_at_least(f"pretrain.{name}", getattr(options, name), 1)
    for name in ("learning_rate", "instance_temperature", "cluster_temperature"):
        check_above(f"pretrain.{name}", getattr(options, name), 0)
