"""The contract of an interactive clustering method, and how a method says what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from idc_jax.annotate.evidence import Evidence
from idc_jax.annotate.questions import QuestionKind, Questions
from idc_jax.data.residency import Samples
from idc_jax.data.views import Views
from idc_jax.methods.common.searching import Search
from idc_jax.models.base import Model
from idc_jax.ops import knn
from idc_jax.train.log import Log, silent
from idc_jax.train.start import Begin

__all__ = [
    "OWN",
    "Begin",
    "Context",
    "Log",
    "Method",
    "MethodSpec",
    "Options",
    "Parts",
    "Round",
    "State",
    "embeddings_of",
]

State = Any
"""What a method has learned: a pytree of arrays, NamedTuples outside."""
Context = Any
"""What a method never changes, likewise."""
Options = Mapping[str, Any]
"""A method's groups of options by name, each a NamedTuple."""
OWN = "own"
"""The selector's name that leaves the choice to the method."""


class Round(NamedTuple):
    """Where a run stands.

    Attributes:
      number: of the round, from 1.
      budget: questions wanted in it.
      asked: questions asked before it.
      total: questions of the whole run.
      last: whether no other round follows.
      since: the first round whose answers are new: ``number``, unless the method begins with what
        was said before it came.
    """

    number: int
    budget: int
    asked: int
    total: int
    last: bool
    since: int


class Method(NamedTuple):
    """Functions, pure in their arguments; all but `ask` may stream from the data.

    A context is what never changes (features, a graph), a state what is learned. The state has
    ``probabilities [n, c]``, rows summing to one, and the state or the context has ``embeddings
    [n, d]``: nobody runs a network again to predict. A method holds no answers: all that was
    ever said comes as evidence.

    Attributes:
      init: ``(key) -> (context, state)``: load or pre-train the network, embed, cluster.
      ask: ``(key, context, state, evidence, round) -> questions``: at most ``round.budget``, about
        what was never asked before. What it returns is frozen.
      learn: ``(key, context, state, evidence, round) -> (state, info)``. What is new in the
        evidence is of the rounds from ``round.since`` on; nothing is new where nothing was left to
        ask, and then the call is the last. ``info`` is a flat dict of scalars to log.
      restore: ``(context, state) -> state``: of a state that was saved, with no rows in the arrays
        that were spread over devices, these arrays again. A method of whose state nothing is
        spread needs none.
    """

    init: Callable[[jax.Array], tuple[Context, State]]
    ask: Callable[[jax.Array, Context, State, Evidence, Round], Questions]
    learn: Callable[[jax.Array, Context, State, Evidence, Round], tuple[State, dict[str, float]]]
    restore: Callable[[Context, State], State] = lambda context, state: state


def embeddings_of(context: Context, state: State) -> jax.Array:
    """The embeddings ``[n, d]`` of a method's context, or where they move of its state."""
    fixed = getattr(context, "embeddings", None)
    return state.embeddings if fixed is None else fixed


class Parts(NamedTuple):
    """What every method is built from.

    Attributes:
      model: with ``num_clusters`` outputs.
      views: of the samples.
      data: raw samples ``[n, ...]``, on the device, spread over devices or streamed.
      repeats: rows at the end of ``data`` that are its first ones again, so that every device has
        as many: nobody is asked about them.
      num_clusters: c.
      wanted: whether somebody wants so many groups; else the number was found in the samples.
      begin: returns the network's first variables.
      new_head: whether they come from elsewhere, but for the cluster head.
      train: bool ``[n]``, the samples of the training split; None for all.
      selector: who chooses the samples asked about: ``"own"`` for the method's own choice, or a
        name of :func:`idc_jax.selectors.names`.
      search: finds neighbours among the samples.
      log: called with losses.
      progress: show bars.
    """

    model: Model
    views: Views
    data: Samples
    num_clusters: int
    begin: Begin
    repeats: int = 0
    wanted: bool = True
    new_head: bool = False
    train: np.ndarray | None = None
    selector: str = OWN
    search: Search = knn
    log: Log = silent
    progress: bool = False

    @property
    def num_samples(self) -> int:
        """How many samples there are."""
        return self.data.shape[0] - self.repeats


class MethodSpec(NamedTuple):
    """All that the rest of the house knows of a method.

    Attributes:
      name: as in ``config.method``.
      summary: one line for ``--help``.
      asks: the kinds of questions that can be asked for it, first its usual one, which is that of
        `Method.ask`; others are made of its state by :mod:`idc_jax.asking`, which needs ``slots``.
      build: ``(parts, options) -> method``.
      context: the type of its context.
      state: likewise; both are rebuilt from checkpoints by their fields' annotations.
      options: for each group of its options in a config, the NamedTuple whose fields they are.
      chooses: what its questions are about, so which selectors can choose for it.
      defaults: options by their full names that a config of this method starts with.
      recipes: likewise, all that a source says: ``"paper"``, or ``"code"`` for what the published
        code does. Empty where there is no source.
      costly: options, and groups of them, that its recipes set for large data and a GPU.
      small: likewise, for a small network that learns in minutes on a CPU.
      features: likewise, besides ``small``, for features that somebody else's network made.
      usual: whether it is the one to take where nobody names another.
      quick: whether it learns within seconds, so also while people are still answering.
      grows: whether it has an output for every group that people name, however many; else those
        beyond its own number are not learned.
    """

    name: str
    summary: str
    asks: tuple[QuestionKind, ...]
    build: Callable[[Parts, Options], Method]
    context: type
    state: type
    options: Mapping[str, type]
    chooses: Literal["samples", "pairs"] = "samples"
    defaults: Mapping[str, Any] = {}
    recipes: Mapping[str, Mapping[str, Any]] = {}
    costly: tuple[str, ...] = ()
    small: Mapping[str, Any] = {}
    features: Mapping[str, Any] = {}
    usual: bool = False
    quick: bool = False
    grows: bool = False
