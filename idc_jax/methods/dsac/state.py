"""DSAC's options, and what it carries from round to round."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax

from idc_jax import ops
from idc_jax.errors import UserError, check_at_least, check_one_of
from idc_jax.methods.dsac.picks import Groups, names
from idc_jax.models.base import Variables

PseudoLabels = Literal["representative", "cluster", "nearest", "graph", "none"]
Space = Literal["network", "input"]


class DsacOptions(NamedTuple):
    """The method's options.

    Attributes:
      picks: ``"dsac"`` (one representative a cluster, the rest difficult), or the paper's
        ablations ``"random"`` (DSAC-R), ``"representative"`` and ``"difficult"`` alone, or any
        selector of samples of :func:`idc_jax.selectors.names`.
      groups: the clusters that are asked about: ``"classes"``, the c clusters of each round
        (the paper), or ``"growing"``, as many as there are answers and questions together, of
        which those without an answer are asked about.
      pseudo_labels: what the samples nearest a centre are taken for: ``"representative"``, the
        class of the cluster's representative in this round (the paper); ``"cluster"``, the class
        that the cluster stands for once the answers have steered it (the published code);
        ``"nearest"``, around every answered sample of any round, the class of that sample;
        ``"graph"``, the samples surest of each class once all answers are spread over the graph
        of nearest neighbours; ``"none"``.
      pseudo_start: k2 in the first round, samples per cluster, answered sample or class.
      pseudo_growth: how much k2 grows by in each further round.
      shortlist: k1, samples among which compactness decides.
      num_neighbors: neighbours that compactness looks at.
      normalized_compactness: scale C_i to a mean of 1 over the labelled, so that the weight of
        the class loss does not hang on the embedding's scale; False is the paper's plain C_i.
      percentile: of the distances, λ.
      graph_neighbors: neighbours per sample in that graph, as samples lie before any answer.
      spread: α, how far answers reach along it, in [0, 1).
      space: where samples are clustered, picked and joined to the graph: the ``"network"``'s
        embedding (the paper), or the ``"input"`` itself at unit length, for features that
        somebody else's network made.
      restarts: of k-means.
    """

    picks: str = "dsac"
    groups: Groups = "classes"
    pseudo_labels: PseudoLabels = "representative"
    pseudo_start: int = 50
    pseudo_growth: int = 1000
    shortlist: int = 6
    num_neighbors: int = 6
    normalized_compactness: bool = False
    percentile: float = 95.0
    graph_neighbors: int = 15
    spread: float = 0.95
    space: Space = "network"
    restarts: int = 3


class DsacContext(NamedTuple):
    """What never changes.

    Attributes:
      embeddings: float32 ``[n, d]``, the input at unit length where samples are compared by it.
      neighbors: the graph that answers spread along, ``[n, k]`` each, where they do.
    """

    embeddings: jax.Array | None
    neighbors: ops.Neighbors | None


class DsacState(NamedTuple):
    """What is learned.

    Attributes:
      variables: the network's.
      embeddings: float32 ``[n, e]``, the network's, where samples are compared by them.
      probabilities: float32 ``[n, c]``, the present prediction.
      slots: int32 ``[c]``, the group that each output stands for, -1 for none yet.
      centers: float32 ``[c, d]``, of the clusters, where samples are compared.
      assignments: int32 ``[n]``, clusters; cluster k is output k once a group has that output.
    """

    variables: Variables
    embeddings: jax.Array | None
    probabilities: jax.Array
    slots: jax.Array
    centers: jax.Array
    assignments: jax.Array


def check_options(options: DsacOptions, num_clusters: int, num_samples: int) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, its value and what it must be.
    """
    for name, kinds in (
        ("groups", Groups),
        ("pseudo_labels", PseudoLabels),
        ("space", Space),
    ):
        check_one_of(f"dsac.{name}", getattr(options, name), get_args(kinds))
    check_one_of("dsac.picks", options.picks, names())
    for name in ("shortlist", "num_neighbors", "graph_neighbors", "restarts"):
        check_at_least(f"dsac.{name}", getattr(options, name), 1)
    if not 0 <= options.spread < 1:
        raise UserError(f"dsac.spread is {options.spread}; it must be at least 0 and below 1")
    if not 1 <= num_clusters <= num_samples:
        raise UserError(f"{num_clusters} clusters of {num_samples} samples are impossible")
