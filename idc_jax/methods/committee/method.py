"""A committee on the neighbour graph: a clustering from few answers about fixed features.

Works on somebody's embeddings, or those of a network that was pre-trained here. Neighbours are
made to differ equally in all directions, and features averaged over them. The first round asks
"what is this?" about one sample in each of as many clusters as there are questions; every later
round about samples of which the committee is unsure, which stand in the midst of many, and which
are far from all that was asked: IDC's value ("Interactive Deep Clustering via Value Mining"), with
what the committee leaves open for the hardness. The committee, label spreading along the graph and
regression, learns from all answers, and each answer tests what was predicted before it, which
tells how good the clustering is and what more answers would bring.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, scores, selectors
from idc_jax.annotate.questions import SKIP, Answers, Questions, label_questions
from idc_jax.data.residency import Samples
from idc_jax.data.views import Views
from idc_jax.errors import UserError, check_one_of
from idc_jax.methods.committee.forecast import (
    Trials,
    expected_accuracy,
    expected_gain,
    no_trials,
    tried,
    unnamed_share,
)
from idc_jax.methods.committee.members import CommitteeOptions, decide
from idc_jax.methods.committee.opening import first_picks
from idc_jax.methods.committee.state import GraphCommitteeState, agreed, implied, record
from idc_jax.methods.contract import Begin, Log, Method
from idc_jax.models.base import Model, Variables
from idc_jax.ops.graph import decorrelate_neighbors, smooth
from idc_jax.selectors import Selection
from idc_jax.selectors.uncertainty import margin_values
from idc_jax.train.finetune import UNASKED
from idc_jax.train.loop import run_network

__all__ = ["GraphCommitteeOptions", "GraphCommitteeState", "build", "restore"]

Space = Literal["input", "network", "instance"]
# Doubt of a sample of which the committee is sure.
_LEAST_DOUBT = 1e-3
# "What would more answers bring?" is told for so many.
_FURTHER = 50


class GraphCommitteeOptions(NamedTuple):
    """The method's options.

    Attributes:
      space: where samples are compared: the ``"input"`` itself, for features that somebody
        else's network made, the ``"network"``'s embedding, or the ``"instance"`` head's output.
      decorrelate: make neighbours differ equally in all directions first.
      hops: average the features over their neighbours this often; 0 for not at all.
      hop_neighbors: neighbours per sample in that averaging.
      picks: ``"value"``, or any selector of samples of :func:`idc_jax.selectors.names`.
      density_neighbors: K, neighbours in whose midst a sample is worth asking about.
      restarts: of the k-means before any answer, and of that for the first picks.
      reaches, iterations, regression, steps, regression_from, trust: see
        :class:`~idc_jax.methods.committee.members.CommitteeOptions`.
    """

    space: Space = "input"
    decorrelate: bool = True
    hops: int = 3
    hop_neighbors: int = 10
    picks: str = "value"
    density_neighbors: int = 20
    restarts: int = 3
    reaches: tuple[tuple[int, float], ...] = CommitteeOptions().reaches
    iterations: int = CommitteeOptions().iterations
    regression: float = CommitteeOptions().regression
    steps: int = CommitteeOptions().steps
    regression_from: float = CommitteeOptions().regression_from
    trust: float = CommitteeOptions().trust


class Compared(NamedTuple):
    """Where samples are compared.

    Attributes:
      features: float32 ``[n, d]``, averaged over neighbours, of unit length.
      neighbors: the graph, ``[n, k]`` each.
      density: float32 ``[n]``, IDC's representativeness of each sample among ``features``.
    """

    features: jax.Array
    neighbors: ops.Neighbors
    density: jax.Array


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    model: Model
    views: Views
    data: Samples
    num_clusters: int
    begin: Begin
    options: GraphCommitteeOptions


def build(
    model: Model,
    views: Views,
    data: Samples,
    *,
    num_clusters: int,
    begin: Begin,
    options: GraphCommitteeOptions,
    log: Log,
    progress: bool = True,
) -> Method:
    """Compose the method on ``data``.

    Args:
      model: embeds, unless the input is compared itself.
      views: ``val`` embeds.
      data: raw samples ``[n, ...]``.
      num_clusters: the clusters before any answer, and the outputs at least.
      begin: gives the network's first variables.
      options: what is asked and how it is learned.
      log: not used: nothing is trained step by step.
      progress: likewise.

    Raises:
      UserError: options that mean nothing, more clusters than samples.
    """
    del log, progress
    _check(options, num_clusters, data.shape[0])
    setting = _Setting(model, views, data, num_clusters, begin, options)
    return Method(
        init=partial(_init, setting),
        ask=partial(_ask, setting),
        learn=partial(_learn, setting),
        predict=lambda state: state.probabilities,
        embed=lambda state: state.features,
        restore=restore,
    )


def restore(tree: dict[str, Any]) -> GraphCommitteeState:
    """Build the state from its plain dict."""
    nested = {"neighbors": ops.Neighbors(**tree["neighbors"]), "trials": Trials(**tree["trials"])}
    return GraphCommitteeState(**{"variables": {}, **tree, **nested})


def _init(setting: _Setting, key: jax.Array) -> GraphCommitteeState:
    begin_key, space_key, cluster_key = jax.random.split(key, 3)
    variables, x = _embed(setting, begin_key)
    compared = compare(space_key, x, setting.options)
    c, restarts = setting.num_clusters, setting.options.restarts
    return first_state(cluster_key, compared, c, restarts)._replace(variables=variables)


def first_state(
    key: jax.Array, compared: Compared, num_clusters: int, restarts: int
) -> GraphCommitteeState:
    """The state before any answer: k-means of what :func:`compare` gave."""
    features = compared.features
    n = features.shape[0]
    clusters = ops.kmeans(key, features, num_clusters, restarts=restarts)
    distances2 = ops.squared_distances(features, clusters.centers)
    return GraphCommitteeState(
        variables={},
        **compared._asdict(),
        probabilities=jax.nn.softmax(-distances2 / jnp.mean(jnp.min(distances2, axis=1))),
        slots=jnp.full(num_clusters, -1, jnp.int32),
        choice=jnp.full(n, UNASKED, jnp.int32),
        rejected=jnp.zeros((n, num_clusters), bool),
        pairs=jnp.full((1, 3), SKIP, jnp.int32).at[0, :2].set(0),
        trials=no_trials(n),
        history=jnp.zeros((1, 2), jnp.float32),
    )


def _embed(setting: _Setting, key: jax.Array) -> tuple[Variables, jax.Array]:
    if setting.options.space == "input":
        data = jnp.asarray(setting.data)
        return {}, data.reshape(data.shape[0], -1).astype(jnp.float32)
    variables = setting.begin(key)
    outputs = run_network(setting.model, variables, setting.views.val, setting.data)
    return variables, outputs.instance if setting.options.space == "instance" else outputs.embedding


def compare(key: jax.Array, x: jax.Array, options: GraphCommitteeOptions) -> Compared:
    """Make of ``x`` ``[n, d]`` the space and the graph in which samples are compared.

    Args:
      key: draws the samples that decorrelation looks at.
      x: ``[n, d]``.
      options: how.
    """
    if options.decorrelate:
        z = decorrelate_neighbors(key, x)
    else:
        z = ops.normalize(x - jnp.mean(x, axis=0))
    widest = max((k for k, _ in options.reaches), default=1)
    found = ops.knn(z, max(widest, options.hop_neighbors))
    features = ops.normalize(
        smooth(z, ops.nearest(found, options.hop_neighbors), hops=options.hops)
    )
    density = scores.representativeness(features, options.density_neighbors)
    return Compared(features, ops.nearest(found, widest), density)


def _ask(
    setting: _Setting, key: jax.Array, state: GraphCommitteeState, round_: int, budget: int
) -> tuple[GraphCommitteeState, Questions]:
    picks = _select(setting.options, key, state, budget)
    indices = np.asarray(picks.indices)
    asked = indices >= 0
    return state, label_questions(round_, indices[asked], np.asarray(picks.values)[asked])


def _select(
    options: GraphCommitteeOptions, key: jax.Array, state: GraphCommitteeState, budget: int
) -> Selection:
    if options.picks != "value":
        return _named_selector(options.picks, key, state, budget)
    free = state.choice == UNASKED
    budget = min(budget, state.features.shape[0])
    if len(state.history) == 1:
        return first_picks(
            key, state.features, state.density, free, budget, restarts=options.restarts
        )
    value = state.density + jnp.log(1.0 + margin_values(state.probabilities) + _LEAST_DOUBT)
    return selectors.idc_from_scores(state.features, value, budget, labelled=~free, candidates=free)


def _named_selector(
    name: str, key: jax.Array, state: GraphCommitteeState, budget: int
) -> Selection:
    present = jnp.argmax(state.probabilities, axis=1)
    members = jax.nn.one_hot(present, state.probabilities.shape[1])
    centers = members.T @ state.features / jnp.maximum(members.sum(0), 1)[:, None]
    inputs = selectors.SelectorInputs(
        embeddings=state.features,
        probabilities=state.probabilities,
        centers=centers,
        assignments=present,
        labelled=state.choice != UNASKED,
    )
    return selectors.get(name).select(key, inputs, budget)


def _learn(
    setting: _Setting, key: jax.Array, state: GraphCommitteeState, answers: Answers
) -> tuple[GraphCommitteeState, dict[str, float]]:
    del key
    before = state.probabilities
    state, placed = record(state, answers)
    if answers.kind != "pair" and len(state.history) > 1:
        trials = tried(state.trials, before, answers.indices, placed)
        state = state._replace(trials=trials)
    if (answers.choice == SKIP).all():
        # Nothing was said: the samples are not asked about again, and all else stays.
        return state, {}
    choice, rejected, groups = implied(state)
    if bool((choice >= 0).any()):
        committee = CommitteeOptions(
            *(getattr(setting.options, name) for name in CommitteeOptions._fields)
        )
        probs = decide(
            state.features, state.neighbors, state.probabilities, choice, rejected, committee
        )
    else:
        open_ = jnp.where(rejected, 1e-9, state.probabilities + 1e-6)
        probs = open_ / open_.sum(1, keepdims=True)
    state = state._replace(probabilities=agreed(probs, groups))
    return _forecast(state, setting.num_clusters)


def _forecast(
    state: GraphCommitteeState, wanted: int
) -> tuple[GraphCommitteeState, dict[str, float]]:
    answered, named = int((state.choice >= 0).sum()), int((state.slots >= 0).sum())
    info = {"answered": float(answered), "classes_named": float(named)}
    if not answered:
        return state, info
    expected = float(expected_accuracy(state.trials, state.probabilities, state.density))
    expected *= 1.0 - unnamed_share(wanted, named, answered)
    history = np.concatenate([state.history, [[answered, expected]]]).astype(np.float32)
    info["expected_accuracy"] = expected
    info[f"expected_gain_of_{_FURTHER}"] = expected_gain(history[1:], _FURTHER)
    return state._replace(history=jnp.asarray(history)), info


def _check(options: GraphCommitteeOptions, num_clusters: int, num_samples: int) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    if not 1 <= num_clusters <= num_samples:
        raise UserError(f"{num_clusters} clusters of {num_samples} samples are impossible")
    check_one_of("graph_committee.space", options.space, get_args(Space))
    check_one_of("graph_committee.picks", options.picks, ("value", *selectors.names("samples")))
    if not options.reaches and not options.regression:
        raise UserError("graph_committee has neither reaches nor regression; one of them would do")
    for k, alpha in options.reaches:
        if k < 1 or not 0 <= alpha < 1:
            raise UserError(
                f"graph_committee.reaches has ({k}, {alpha}); a pair of neighbours, 1 or more, "
                "and a reach from 0 to below 1 would do"
            )
    if not options.regression_from > 0:
        raise UserError(
            f"graph_committee.regression_from is {options.regression_from}; more than 0 would do"
        )
    if not 0 < options.trust < 1:
        raise UserError(f"graph_committee.trust is {options.trust}; between 0 and 1 would do")
