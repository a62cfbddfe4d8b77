"""IDC: "which of these clusters?", about the samples that are worth it.

"Interactive Deep Clustering via Value Mining". A pre-trained clustering network embeds, its
clusters are scored, the hardest, most representative and most diverse samples are asked about,
and the answers fine-tune the network.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.annotate.questions import SKIP, Answers, Questions
from idc_jax.data.residency import Samples, Streamed
from idc_jax.data.views import Views
from idc_jax.methods.common.spread import spread_answers
from idc_jax.methods.contract import Begin, Log, Method
from idc_jax.methods.idc.options import IDCOptions, check_idc_options
from idc_jax.methods.idc.questions import ask_clusters
from idc_jax.metrics import match_clusters
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.ops.graph import smooth
from idc_jax.selectors import Selection, SelectorInputs
from idc_jax.train.finetune import UNASKED, Evidence, FinetuneOptions, check_options, finetune
from idc_jax.train.fit import fit_targets
from idc_jax.train.loop import run_network

__all__ = ["IDCOptions", "IDCState", "build", "restore"]


class IDCState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      variables: the network's.
      embeddings: float32 ``[n, d]``, of unit length, where samples are compared.
      neighbors: the graph along which answers spread, ``[n, k]`` each.
      near: the nearest by ``embeddings``, ``[n, K]`` each, for the representativeness.
      probabilities: float32 ``[n, c]``, the present prediction.
      prior: float32 ``[n, c]``, the prediction before any answer.
      choice: int32 ``[n]``, the answers; ``UNASKED`` for none.
      rejected: bool ``[n, c]``, candidates of a "none of these".
      store: int32 ``[n]``, pseudo-labels of the published code's memory.
    """

    variables: Variables
    embeddings: jax.Array
    neighbors: ops.Neighbors
    near: ops.Neighbors
    probabilities: jax.Array
    prior: jax.Array
    choice: jax.Array
    rejected: jax.Array
    store: jax.Array


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    model: Model
    views: Views
    data: Samples
    num_clusters: int
    begin: Begin
    selector: str
    options: IDCOptions
    finetuning: FinetuneOptions
    log: Log
    progress: bool


def build(
    model: Model,
    views: Views,
    data: Samples,
    *,
    num_clusters: int,
    begin: Begin,
    selector: str,
    options: IDCOptions,
    finetuning: FinetuneOptions,
    log: Log,
    progress: bool = True,
) -> Method:
    """Compose the method on ``data``.

    Args:
      model: with ``num_clusters`` outputs.
      views: ``strong`` fine-tunes, ``val`` embeds.
      data: raw samples ``[n, ...]``, images perhaps streamed.
      num_clusters: c.
      begin: gives the network's first variables.
      selector: a name of :func:`idc_jax.selectors.names`; ``"idc"`` is the paper's.
      options: what is asked.
      finetuning: how the answers are learned.
      log: called with losses.
      progress: show bars.

    Raises:
      UserError: options that mean nothing, more clusters than samples.
    """
    check_idc_options(options, selector, num_clusters, data.shape[0])
    check_options(finetuning)
    setting = _Setting(
        model, views, data, num_clusters, begin, selector, options, finetuning, log, progress
    )
    return Method(
        init=partial(_init, setting),
        ask=partial(_ask, setting),
        learn=partial(_learn, setting),
        predict=lambda state: state.probabilities,
        embed=lambda state: state.embeddings,
        restore=restore,
    )


def _init(setting: _Setting, key: jax.Array) -> IDCState:
    begin_key, cluster_key, head_key = jax.random.split(key, 3)
    variables = setting.begin(begin_key)
    outputs = _network(setting, variables)
    z, neighbors, near = _compare(setting, outputs)
    if setting.options.head_steps:
        variables, probs = _fit_head(setting, cluster_key, head_key, variables, z)
    elif setting.options.centers == "spherical":
        probs = _spherical(setting, cluster_key, z)
    else:
        probs = jax.nn.softmax(outputs.logits)
    num_samples = setting.data.shape[0]
    return IDCState(
        variables=variables,
        embeddings=z,
        neighbors=neighbors,
        near=near,
        probabilities=probs,
        prior=probs,
        choice=jnp.full(num_samples, UNASKED, jnp.int32),
        rejected=jnp.zeros((num_samples, setting.num_clusters), bool),
        store=jnp.full(num_samples, -1, jnp.int32),
    )


def _network(setting: _Setting, variables: Variables) -> Outputs:
    return run_network(setting.model, variables, setting.views.val, setting.data)


def _fit_head(
    setting: _Setting,
    cluster_key: jax.Array,
    head_key: jax.Array,
    variables: Variables,
    z: jax.Array,
) -> tuple[Variables, jax.Array]:
    """The network once its cluster head knows the k-means clusters of ``z``, and ``p [n, c]``."""
    options, data = setting.options, setting.data
    clusters = ops.kmeans(cluster_key, z, setting.num_clusters, restarts=options.restarts)
    targets = jax.nn.one_hot(clusters.assignments, setting.num_clusters)
    variables, _ = fit_targets(
        head_key,
        setting.model,
        setting.views.weak,
        variables,
        data,
        targets,
        steps=options.head_steps,
        batch_size=min(512, data.shape[0]),
        learning_rate=1e-3,
        head_only=options.space != "input",
    )
    # What was clustered is what a person is shown; the head has only learnt it.
    return variables, 0.5 * (jax.nn.softmax(_network(setting, variables).logits) + targets)


def _spherical(setting: _Setting, key: jax.Array, z: jax.Array) -> jax.Array:
    """Clusters of directions as the first prediction ``[n, c]``, whatever the head says."""
    count = setting.num_clusters
    clusters = ops.spherical_kmeans(key, z, count, restarts=setting.options.restarts)
    return jax.nn.one_hot(clusters.assignments, count)


def _plain_embeddings(setting: _Setting, outputs: Outputs) -> jax.Array:
    if setting.options.space == "input":
        data = setting.data
        assert not isinstance(data, Streamed)
        return ops.normalize(data.reshape(data.shape[0], -1).astype(jnp.float32))
    instance = setting.options.space == "instance"
    return ops.normalize(outputs.instance if instance else outputs.embedding)


def _compare(setting: _Setting, outputs: Outputs) -> tuple[jax.Array, ops.Neighbors, ops.Neighbors]:
    """Where samples are compared, the graph that answers spread along, and the nearest."""
    options = setting.options
    plain = _plain_embeddings(setting, outputs)
    found = ops.knn(plain, max(options.graph_neighbors, options.num_neighbors))
    graph = ops.nearest(found, options.graph_neighbors)
    if not options.hops:
        return plain, graph, ops.nearest(found, options.num_neighbors)
    z = ops.normalize(smooth(plain, ops.nearest(found, options.hop_neighbors), hops=options.hops))
    return z, graph, ops.knn(z, options.num_neighbors)


def _ask(
    setting: _Setting, key: jax.Array, state: IDCState, round_: int, budget: int
) -> tuple[IDCState, Questions]:
    options = setting.options
    center_key, select_key = jax.random.split(key)
    centers, counts = _centers(center_key, state, setting.num_clusters, options, first=round_ == 1)
    picks = _select(setting, select_key, state, centers, budget)
    scored = state.embeddings @ ops.normalize(centers).T
    questions = ask_clusters(
        round_,
        picks,
        similarities=scored,
        offered=scored if options.candidates == "cosine" else state.probabilities,
        counts=counts,
        num_candidates=options.num_candidates,
        assignments=jnp.argmax(state.probabilities, axis=-1),
    )
    return state, questions


def _select(
    setting: _Setting, key: jax.Array, state: IDCState, centers: jax.Array, budget: int
) -> Selection:
    options = setting.options
    inputs = SelectorInputs(
        embeddings=state.embeddings,
        probabilities=state.probabilities,
        centers=centers,
        assignments=jnp.argmax(state.probabilities, axis=-1),
        labelled=state.choice != UNASKED,
    )
    own: dict[str, Any] = {}
    if setting.selector == "idc":
        own = {
            "neighbors": state.near,
            "num_neighbors": options.num_neighbors,
            "use_hardness": options.use_hardness,
            "use_representativeness": options.use_representativeness,
            "use_diversity": options.use_diversity,
            "reference": options.reference,
        }
    return selectors.get(setting.selector, **own).select(key, inputs, budget)


def _learn(
    setting: _Setting, key: jax.Array, state: IDCState, answers: Answers
) -> tuple[IDCState, dict[str, float]]:
    choice, rejected = _record(state, answers)
    state = state._replace(choice=choice, rejected=rejected)
    if (answers.choice == SKIP).all():
        # Nothing was said: the samples are not asked about again, and all else stays.
        return state, {}
    spreads = setting.finetuning.pseudo_labels == "graph"
    posterior = _heard(setting, state) if spreads else jnp.zeros((0, setting.num_clusters))
    variables, store, info = finetune(
        key,
        setting.model,
        setting.views,
        setting.data,
        state.variables,
        Evidence(choice, rejected, posterior),
        state.store,
        setting.finetuning,
        log=setting.log,
        progress=setting.progress,
    )
    outputs = _network(setting, variables)
    probs = jax.nn.softmax(outputs.logits)
    if spreads and setting.options.ensemble:
        probs = 0.5 * (probs + posterior)
    state = state._replace(variables=variables, store=store, probabilities=probs)
    return _moved(setting, state, outputs), info


def _heard(setting: _Setting, state: IDCState) -> jax.Array:
    return spread_answers(
        state.neighbors,
        state.prior,
        state.probabilities,
        state.choice,
        state.rejected,
        setting.options.spread,
    )


def _moved(setting: _Setting, state: IDCState, outputs: Outputs) -> IDCState:
    """Where the embedding is the network's, the answers have moved it."""
    if setting.options.space == "input":
        return state
    z, neighbors, near = _compare(setting, outputs)
    return state._replace(embeddings=z, neighbors=neighbors, near=near)


def restore(tree: dict[str, Any]) -> IDCState:
    """Build the state from its plain dict."""
    graphs = {name: ops.Neighbors(**tree[name]) for name in ("neighbors", "near")}
    return IDCState(**{**tree, **graphs})


def _centers(
    key: jax.Array, state: IDCState, num_clusters: int, options: IDCOptions, *, first: bool
) -> tuple[jax.Array, jax.Array]:
    """Centres ``[c, d]`` by the ids of the head, and the size of each cluster ``[c]``.

    After the first answers the predictions know more than k-means does, so the later rounds
    always take the means of the predicted clusters.
    """
    predicted = jnp.argmax(state.probabilities, axis=-1)
    members = jax.nn.one_hot(predicted, num_clusters)
    if options.centers != "kmeans" or options.head_steps or not first:
        counts = members.sum(0)
        means = members.T @ state.embeddings / jnp.maximum(counts, 1)[:, None]
        return means, counts
    found = ops.kmeans(key, state.embeddings, num_clusters, restarts=options.restarts)
    matching = match_clusters(np.asarray(found.assignments), np.asarray(predicted), num_clusters)
    order = np.asarray(matching.cluster_of_class)
    left = np.setdiff1d(np.arange(num_clusters), order)
    # A cluster that the head never predicts takes any centre that is left over.
    order = np.concatenate([order, np.full(num_clusters - len(order), -1)]).astype(int)
    order[order < 0] = left[: int((order < 0).sum())]
    counts = jnp.bincount(found.assignments, length=num_clusters)
    return found.centers[order], counts[order]


def _record(state: IDCState, answers: Answers) -> tuple[jax.Array, jax.Array]:
    """The answers of a round entered into ``choice`` ``[n]`` and ``rejected`` ``[n, c]``."""
    choice = np.array(state.choice)
    rejected = np.array(state.rejected)
    choice[answers.indices] = answers.choice
    for sample, offered, said in zip(
        answers.indices, answers.candidates, answers.choice, strict=True
    ):
        if said == -1:
            rejected[sample, offered[offered >= 0]] = True
    return jnp.asarray(choice), jnp.asarray(rejected)
