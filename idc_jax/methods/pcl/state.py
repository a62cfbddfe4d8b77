"""PCL's options, and what it carries from round to round."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax
import numpy as np

from idc_jax.errors import UserError, check_at_least, check_one_of
from idc_jax.methods.pcl.pairs import PairPicks
from idc_jax.methods.pcl.training import PclTraining
from idc_jax.models.base import Variables

Attention = Literal["random", "identity", "none"]
Share = Literal["round", "step"]
Uncertain = Literal["fixed", "even"]


class PclOptions(NamedTuple):
    """The method's options.

    Attributes:
      picks: ``"both"`` (S_up + S_hp), one of the two terms alone, or ``"random"``: uniform over
        the unknown pairs.
      per_block: at most so many questions of one block in a round; 0 for as many as the round's
        budget needs. 1 with a round per epoch is the paper's own schedule, one pair per block
        per step.
      share: when the share of the budget that is left falls, by which hard pairs gain weight: with
        each ``"round"``, or with each ``"step"``, block by block (the published code).
      distinct: pairs of one round share no sample where that can be helped: what is asked at
        once then covers more of a block than its few most striking samples.
      uncertain: the similarity of the pairs that are least certain: ``"fixed"`` at 0.2 (the paper),
        where among many clusters nearly all are of two, or ``"even"``, where the predicted clusters
        say that either is as likely.
      attention: over the samples of a block, put between a trained backbone and its heads:
        ``"random"`` starts it at random, as a new layer is; ``"identity"`` starts it as an
        average over similar samples, which keeps what the network knows; ``"none"`` leaves it
        out (the paper's ablation).
      num_heads: of the attention.
    """

    picks: PairPicks = "both"
    per_block: int = 0
    share: Share = "round"
    distinct: bool = True
    uncertain: Uncertain = "fixed"
    attention: Attention = "identity"
    num_heads: int = 8


class PclContext(NamedTuple):
    """What never changes.

    Attributes:
      blocks: int32 ``[g, b]``, the samples of each block, -1 for padding: first the training
        split's blocks, then the others'.
    """

    blocks: jax.Array


class PclState(NamedTuple):
    """What is learned.

    Attributes:
      variables: the network's.
      moments: the optimiser's state, leaf by leaf; training goes on where it stopped.
      embeddings: float32 ``[n, d]``, the network's; over several devices spread by rows, with some
        at the end that mean nothing.
      probabilities: float32 ``[n, c]``, the present prediction.
    """

    variables: Variables
    moments: tuple[jax.Array, ...]
    embeddings: jax.Array
    probabilities: jax.Array


def check_options(options: PclOptions, training: PclTraining, train: np.ndarray) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, its value and what it must be.
    """
    for name, kinds in (
        ("picks", PairPicks),
        ("attention", Attention),
        ("share", Share),
        ("uncertain", Uncertain),
    ):
        check_one_of(f"pcl.{name}", getattr(options, name), get_args(kinds))
    check_at_least("pcl.per_block", options.per_block, 0)
    check_at_least("pcl_training.block_size", training.block_size, 2, "a pair needs two samples")
    if np.sum(train) < 2:
        raise UserError("pcl trains on the training split, but fewer than 2 samples belong to it")
