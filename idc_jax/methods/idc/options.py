"""IDC's options, and what is wrong with those that mean nothing."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from idc_jax import selectors
from idc_jax.errors import UserError, check_at_least, check_one_of
from idc_jax.train.finetune_options import FinetuneOptions

Space = Literal["network", "instance", "input"]
Centers = Literal["kmeans", "head", "spherical"]


class IDCOptions(NamedTuple):
    """The method's options; the defaults are the paper's.

    Attributes:
      num_candidates: T, clusters offered per question.
      num_neighbors: K of the representativeness.
      use_hardness: count h.
      use_representativeness: count r.
      use_diversity: count d.
      reference: the published code's representativeness, which counts a sample among its own
        neighbours.
      centers: ``"kmeans"`` on the embeddings (the paper; ids are matched to the network's head),
        ``"head"``, the means of the samples of each predicted cluster (the published code), or
        ``"spherical"`` k-means, whose clusters are the first prediction too: for a network whose
        head knows nothing yet (the paper on ProPos).
      candidates: offer the clusters of highest ``"cosine"`` to the sample (the paper) or of
        highest ``"probability"``.
      show_asked: a sample that is asked about may stand for a cluster in the same round, as the
        nearest to its centre (the paper); else the nearest of the others does, and a person never
        sees a sample beside itself.
      space: where samples are compared: the ``"network"``'s embedding (the paper), the
        ``"instance"`` head's output, in which the pre-training compared them, or the ``"input"``
        itself, for features that somebody else's network made.
      hops: average the embeddings over their neighbours this often before clustering and
        selecting; 0 is the paper.
      hop_neighbors: neighbours per sample in that averaging.
      graph_neighbors: neighbours per sample along which answers spread.
      spread: α, how far answers reach along the graph where the fine-tuning learns from it.
      ensemble: where it does, predict by the mean of the network and the graph.
      head_steps: steps in which the cluster head learns the k-means clusters before anything is
        asked; 0 keeps the pre-trained head.
      restarts: of k-means.
    """

    num_candidates: int = 5
    num_neighbors: int = 20
    use_hardness: bool = True
    use_representativeness: bool = True
    use_diversity: bool = True
    reference: bool = False
    centers: Centers = "kmeans"
    candidates: Literal["cosine", "probability"] = "cosine"
    show_asked: bool = True
    space: Space = "network"
    hops: int = 0
    hop_neighbors: int = 10
    graph_neighbors: int = 15
    spread: float = 0.95
    ensemble: bool = True
    head_steps: int = 0
    restarts: int = 10


def for_new_head(
    options: IDCOptions, finetuning: FinetuneOptions
) -> tuple[IDCOptions, FinetuneOptions]:
    """The options for a network whose cluster head starts afresh.

    As the paper has it for ProPos: spherical k-means on the embeddings, and L_pos + L_neg alone
    in the first half of the fine-tuning, since the head's predictions are no pseudo-labels before
    it has learnt something. Where the head is fitted to k-means first, all stays as it is; where
    the pseudo-labels are the graph's, they are right from the start.
    """
    if options.head_steps:
        return options, finetuning
    options = options._replace(centers="spherical")
    if finetuning.pseudo_labels == "graph":
        return options, finetuning
    return options, finetuning._replace(regularise_from=max(finetuning.regularise_from, 0.5))


def check_idc_options(
    options: IDCOptions, selector: str, num_clusters: int, num_samples: int
) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: more clusters than samples, an unknown selector or name, a number out of range.
    """
    if num_clusters > num_samples:
        raise UserError(f"num_clusters is {num_clusters}, but there are {num_samples} samples")
    check_one_of("selector", selector, selectors.names("samples"))
    check_one_of("idc.centers", options.centers, get_args(Centers))
    check_one_of("idc.candidates", options.candidates, ("cosine", "probability"))
    check_one_of("idc.space", options.space, get_args(Space))
    for name in ("num_candidates", "num_neighbors", "hop_neighbors", "graph_neighbors", "restarts"):
        check_at_least(f"idc.{name}", getattr(options, name), 1)
    if not 0 <= options.spread < 1:
        raise UserError(f"idc.spread is {options.spread}; it must be at least 0 and below 1")
