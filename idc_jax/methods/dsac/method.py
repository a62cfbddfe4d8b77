"""DSAC: "what is this?", about the representative and the difficult samples of each cluster.

Zhao et al., "Deep Self-paced Active Learning for Image Clustering". A network embeds, k-means
clusters; each round asks for the class of a few samples, spreads the representatives' answers to
their neighbourhood as pseudo-labels, trains, and clusters again with the answers fixed.

Training happens in class space: an output of the network stands for a class from the moment that
the class is first named, so two clusters of one class merge, and a class that nobody has named
yet lives on as a cluster of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.annotate.questions import Answers, Questions, label_questions
from idc_jax.data.views import Views
from idc_jax.methods.common.class_space import UNASKED, UNUSABLE, allocate_slots
from idc_jax.methods.contract import Begin, Log, Method
from idc_jax.methods.dsac.picks import Own, growing_groups, pick
from idc_jax.methods.dsac.state import DsacOptions, DsacState, check_options
from idc_jax.methods.dsac.targets import cluster_probabilities, make_targets, pseudo_labels
from idc_jax.methods.dsac.training import DsacTraining, Targets, embedding, train_round
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.selectors import Selection
from idc_jax.train.loop import run_network

__all__ = ["DsacOptions", "DsacState", "build", "check_options", "record", "restore"]


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    model: Model
    views: Views
    data: jax.Array
    num_clusters: int
    begin: Begin
    options: DsacOptions
    training: DsacTraining
    log: Log
    progress: bool


def build(
    model: Model,
    views: Views,
    data: jax.Array,
    *,
    num_clusters: int,
    begin: Begin,
    options: DsacOptions,
    training: DsacTraining,
    log: Log,
    progress: bool = True,
) -> Method:
    """Compose the method on ``data``.

    Args:
      model: with ``num_clusters`` outputs.
      views: ``weak`` trains, ``val`` embeds.
      data: raw samples ``[n, ...]`` on the device.
      num_clusters: c.
      begin: gives the network's first variables (SimCLR's: pre-training with the cluster terms
        at weight 0).
      options: what is asked and pseudo-labelled.
      training: how a round trains.
      log: called with the losses of every epoch.
      progress: show bars.

    Raises:
      UserError: unknown names among the options, or fewer samples than clusters.
    """
    check_options(options, num_clusters, data.shape[0])
    setting = _Setting(model, views, data, num_clusters, begin, options, training, log, progress)
    return Method(
        init=partial(_init, setting),
        ask=partial(_ask, setting),
        learn=partial(_learn, setting),
        predict=partial(_predict, setting),
        embed=lambda state: _compare(setting, _embed(setting, state.variables)),
        restore=restore,
    )


def _init(setting: _Setting, key: jax.Array) -> DsacState:
    begin_key, cluster_key = jax.random.split(key)
    variables = setting.begin(begin_key)
    z = _compare(setting, _embed(setting, variables))
    options, num_samples = setting.options, z.shape[0]
    clusters = ops.kmeans(cluster_key, z, setting.num_clusters, restarts=options.restarts)
    return DsacState(
        variables=variables,
        round=jnp.int32(0),
        slots=jnp.full(setting.num_clusters, -1, jnp.int32),
        labels=jnp.full(num_samples, UNASKED, jnp.int32),
        centers=clusters.centers,
        assignments=clusters.assignments,
        neighbors=_graph(z, options),
    )


def _graph(z: jax.Array, options: DsacOptions) -> ops.Neighbors:
    if options.pseudo_labels == "graph":
        return ops.knn(z, max(options.graph_neighbors, options.num_neighbors))
    # A checkpoint holds no arrays of size zero.
    return ops.Neighbors(jnp.zeros((z.shape[0], 1)), jnp.zeros((z.shape[0], 1), jnp.int32))


def _network(setting: _Setting, variables: Variables) -> Outputs:
    return run_network(setting.model, variables, setting.views.val, setting.data)


def _embed(setting: _Setting, variables: Variables) -> jax.Array:
    return embedding(_network(setting, variables), setting.training)


def _compare(setting: _Setting, trained: jax.Array) -> jax.Array:
    """Where samples are compared ``[n, d]``, given the network's embedding of them."""
    if setting.options.space == "network":
        return trained
    data = setting.data
    return ops.normalize(data.reshape(data.shape[0], -1).astype(jnp.float32))


def _ask(
    setting: _Setting, key: jax.Array, state: DsacState, round_: int, budget: int
) -> tuple[DsacState, Questions]:
    options = setting.options
    group_key, pick_key = jax.random.split(key)
    z, labelled = _compare(setting, _embed(setting, state.variables)), state.labels != UNASKED
    centers, assignments = state.centers, state.assignments
    if options.picks not in get_args(Own):
        inputs = selectors.SelectorInputs(
            embeddings=z,
            probabilities=_predict(setting, state),
            centers=centers,
            assignments=assignments,
            labelled=labelled,
        )
        picks = selectors.get(options.picks).select(pick_key, inputs, budget)
        return state, _questions(round_, picks)
    allowed = jnp.ones(z.shape[0], bool)
    if options.groups == "growing" and options.picks != "random":
        groups, allowed = growing_groups(group_key, z, labelled, budget)
        centers, assignments = groups.centers, groups.assignments
    picks = pick(
        pick_key,
        cast(Own, options.picks),
        z,
        centers,
        assignments,
        labelled,
        allowed,
        budget,
        shortlist=options.shortlist,
        num_neighbors=options.num_neighbors,
    )
    return state, _questions(round_, picks)


def _questions(round_: int, picks: Selection) -> Questions:
    asked = np.asarray(picks.indices) >= 0
    indices, values = np.asarray(picks.indices)[asked], np.asarray(picks.values)[asked]
    return label_questions(round_, indices, values)


def _learn(
    setting: _Setting, key: jax.Array, state: DsacState, answers: Answers
) -> tuple[DsacState, dict[str, float]]:
    options = setting.options
    steer_key, train_key, cluster_key = jax.random.split(key, 3)
    trained = _embed(setting, state.variables)
    z = _compare(setting, trained)
    state = record(state, answers)
    steered = options.pseudo_labels in ("cluster", "graph")
    if steered:
        state = _cluster(setting, steer_key, state, z)
    pseudo = pseudo_labels(state, answers, z, options)
    targets = make_targets(state, pseudo, z, trained, options)
    variables, info = train_round(
        train_key,
        setting.model,
        setting.views,
        state.variables,
        setting.data,
        targets,
        setting.training,
        log=setting.log,
        progress=setting.progress,
    )
    state = state._replace(variables=variables, round=state.round + 1)
    if options.space == "network" or not steered:
        # The training has moved the samples, or the answers are new to the clusters.
        z = _compare(setting, _embed(setting, variables))
        state = _cluster(setting, cluster_key, state, z)
    return state, {**info, **_counts(state, targets)}


def _cluster(setting: _Setting, key: jax.Array, state: DsacState, z: jax.Array) -> DsacState:
    """Cluster again, with the answered samples fixed."""
    clusters = ops.semi_supervised_kmeans(
        key,
        z,
        setting.num_clusters,
        jnp.maximum(state.labels, -1),
        restarts=setting.options.restarts,
    )
    return state._replace(centers=clusters.centers, assignments=clusters.assignments)


def _predict(setting: _Setting, state: DsacState) -> jax.Array:
    if int(state.round) == 0:
        z = _compare(setting, _embed(setting, state.variables))
        return cluster_probabilities(z, state.centers)
    return jax.nn.softmax(_network(setting, state.variables).logits, axis=-1)


def record(state: DsacState, answers: Answers) -> DsacState:
    """Put one round's answers into the state."""
    slots, placed = allocate_slots(np.asarray(state.slots), answers.choice)
    labels = state.labels.at[jnp.asarray(answers.indices)].set(jnp.asarray(placed))
    return state._replace(slots=jnp.asarray(slots), labels=labels)


def restore(tree: dict[str, Any]) -> DsacState:
    """Build the state from its plain dict."""
    return DsacState(**{**tree, "neighbors": ops.Neighbors(**tree["neighbors"])})


def _counts(state: DsacState, targets: Targets) -> dict[str, float]:
    answered = int(jnp.sum(state.labels >= 0))
    return {
        "answered": float(answered),
        "unusable": float(jnp.sum(state.labels == UNUSABLE)),
        "pseudo_labelled": float(jnp.sum(targets.classes >= 0)) - answered,
        "classes_named": float(jnp.sum(state.slots >= 0)),
    }
