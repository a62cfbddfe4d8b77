"""The contract of an interactive clustering method, and how a method says what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from idc_jax.annotate.questions import Answers, QuestionKind, Questions
from idc_jax.data.residency import Samples
from idc_jax.data.views import Views
from idc_jax.models.base import Model
from idc_jax.models.heads import HeadLayout
from idc_jax.train.log import Log
from idc_jax.train.start import Begin

__all__ = ["Begin", "Log", "Method", "MethodSpec", "Options", "Parts", "State"]

# A pytree of arrays alone: what a checkpoint holds.
State = Any
# A method's groups of options by name, each a NamedTuple.
Options = Mapping[str, Any]
# The selector's name that leaves the choice to the method.
OWN = "own"


class Method(NamedTuple):
    """Four functions, pure in (key, state, ...); `learn` and `init` may stream from the data.

    Attributes:
      init: ``(key) -> state``: load or pre-train the network, embed, cluster.
      ask: ``(key, state, round, budget) -> (state, questions)``: at most ``budget`` questions
        that were never asked before. What it returns is frozen.
      learn: ``(key, state, answers) -> (state, info)``: ``answers`` are those of one round;
        the state carries the earlier ones. ``info`` is a flat dict of scalars to log.
      predict: ``(state) -> probabilities [n, c]``, rows summing to one.
      embed: ``(state) -> embeddings [n, d]``, for maps and galleries.
      restore: ``(tree) -> state``: the inverse of ``flax.serialization.to_state_dict(state)``,
        for checkpoints.
    """

    init: Callable[[jax.Array], State]
    ask: Callable[[jax.Array, State, int, int], tuple[State, Questions]]
    learn: Callable[[jax.Array, State, Answers], tuple[State, dict[str, float]]]
    predict: Callable[[State], jax.Array]
    embed: Callable[[State], jax.Array]
    restore: Callable[[dict[str, Any]], State]


class Parts(NamedTuple):
    """What every method is built from.

    Attributes:
      model: with ``num_clusters`` outputs; None where the data are features that no network sees.
      views: of the samples.
      data: raw samples ``[n, ...]``, on the device or streamed.
      train: bool ``[n]``, the samples of the training split.
      num_clusters: c.
      head: the layout of the network's heads.
      total: questions of the whole run.
      selector: who chooses the samples asked about: ``"own"`` for the method's own choice, or a
        name of :func:`idc_jax.selectors.names`.
      begin: gives the network's first variables.
      new_head: whether they come from elsewhere, but for the cluster head.
      log: called with losses.
      progress: show bars.
    """

    model: Model
    views: Views
    data: Samples
    train: np.ndarray
    num_clusters: int
    head: HeadLayout
    total: int
    selector: str
    begin: Begin
    new_head: bool
    log: Log
    progress: bool


class MethodSpec(NamedTuple):
    """All that the rest of the house knows of a method.

    Attributes:
      name: as in ``config.method``.
      summary: one line for ``--help``.
      asks: the kinds of questions that it asks, its usual one first.
      build: ``(parts, options) -> method``.
      options: for each group of its options in a config, the NamedTuple whose fields they are.
      chooses: what its questions are about, so which selectors can choose for it.
      streams: whether its samples may be more than fit on the device.
      defaults: options by their full names that a config of this method starts with.
      published: likewise, for the paper's own settings; None where there is no paper.
    """

    name: str
    summary: str
    asks: tuple[QuestionKind, ...]
    build: Callable[[Parts, Options], Method]
    options: Mapping[str, type]
    chooses: Literal["samples", "pairs"] = "samples"
    streams: bool = False
    defaults: Mapping[str, Any] = {}
    published: Mapping[str, Any] | None = None
