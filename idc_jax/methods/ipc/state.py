"""IPC's options, and what it carries."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax

from idc_jax import ops
from idc_jax.errors import UserError, check_at_least, check_one_of
from idc_jax.models.base import Variables

Space = Literal["input", "network", "instance"]


class IpcOptions(NamedTuple):
    """The method's options; the defaults are the paper's.

    Attributes:
      criterion: words that describe the groups wanted, "red, green, blue", or a text file with one
        a line; or a file of their vectors (see :func:`idc_jax.data.criterion.read_criterion`).
        Samples are then compared by how they resemble the words. "" for none.
      text_network: whose text tower reads the words: a checkpoint or a name as for
        ``config.init``, of the network that made the samples' features.
      prompt: what the tower reads of each word, which stands for ``{}``.
      space: where samples are compared: the ``"input"`` itself, for features that somebody
        else's network made, the ``"network"``'s embedding, or the ``"instance"`` head's output.
      decorrelate: make neighbours differ equally in all directions first.
      hops: average the features over their neighbours this often; 0 is the paper.
      hop_neighbors: neighbours per sample in that averaging.
      per_anchor: partners of an anchor.
      hardness: weight of IDC's hardness among what makes an anchor; 0 is the paper.
      num_neighbors: K of the representativeness.
      closure: learn from all pairs that follow from the answers, not only from those asked.
      spread: α, how far what was said reaches along the neighbour graph, with which the network's
        prediction is averaged, and samples that are linked share one; 0 does neither, as the paper.
      graph_neighbors: neighbours per sample in that graph.
      starts: clusterings to begin with: the one that the answers contradict least is taken. The
        first is the best of k-means' restarts, the others are single runs; 1 is the paper.
      restarts: of the first k-means.
    """

    criterion: str = ""
    text_network: str = ""
    prompt: str = "a photo of {}"
    space: Space = "input"
    decorrelate: bool = False
    hops: int = 0
    hop_neighbors: int = 10
    per_anchor: int = 5
    hardness: float = 0.0
    num_neighbors: int = 20
    closure: bool = False
    spread: float = 0.0
    graph_neighbors: int = 15
    starts: int = 1
    restarts: int = 10


class IpcContext(NamedTuple):
    """What never changes.

    Attributes:
      network: the variables of the network that embeds; none where the input is compared itself.
      embeddings: float32 ``[n, w]``, where samples are compared, of unit length.
      graph: along which answers spread, ``[n, k]`` each.
      near: neighbours among the embeddings, for the representativeness.
      starts: int32 ``[s, n]``, clusterings of the embeddings, numbered alike.
      threshold: θ, the cosine above which pairs are taken to be of one group.
    """

    network: Variables
    embeddings: jax.Array
    graph: ops.Neighbors
    near: ops.Neighbors
    starts: jax.Array
    threshold: jax.Array


class IpcState(NamedTuple):
    """What is learned.

    Attributes:
      variables: the small network's.
      probabilities: float32 ``[n, c]``, the present prediction.
      slots: int32 ``[c]``, the group that each output stands for, -1 for none yet.
      chosen: int32 scalar, the clustering that was begun with.
      start: the variables of the small network that knows it.
      prior: float32 ``[n, c]``, what that network predicts.
    """

    variables: Variables
    probabilities: jax.Array
    slots: jax.Array
    chosen: jax.Array
    start: Variables
    prior: jax.Array


def check_options(options: IpcOptions, num_clusters: int, num_samples: int) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, its value and what it must be.
    """
    if not 2 <= num_clusters <= num_samples:
        raise UserError(
            f"num_clusters is {num_clusters}; ipc tells apart 2 to {num_samples} (the samples)"
        )
    check_one_of("ipc.space", options.space, get_args(Space))
    for name in ("per_anchor", "hop_neighbors", "num_neighbors", "graph_neighbors"):
        check_at_least(f"ipc.{name}", getattr(options, name), 1)
    for name in ("starts", "restarts"):
        check_at_least(f"ipc.{name}", getattr(options, name), 1)
    if "{}" not in options.prompt:
        raise UserError(f"ipc.prompt is {options.prompt!r}; it must have {{}} for the word")
    check_at_least("ipc.hops", options.hops, 0)
    check_at_least("ipc.hardness", options.hardness, 0)
    if not 0 <= options.spread < 1:
        raise UserError(f"ipc.spread is {options.spread}; it must be at least 0 and below 1")
