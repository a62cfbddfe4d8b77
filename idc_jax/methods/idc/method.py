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

from idc_jax import ops
from idc_jax.annotate.evidence import Evidence, says_something
from idc_jax.annotate.questions import NONE_OF_THESE, SKIP, Questions
from idc_jax.methods.common.choosing import choose, mean_centers
from idc_jax.methods.common.class_space import Heard, agreed, by_prediction, hear
from idc_jax.methods.common.embedding import as_they_are
from idc_jax.methods.common.spread import spread_answers
from idc_jax.methods.contract import OWN, Method, Options, Parts, Round
from idc_jax.methods.idc.options import IDCOptions, check_idc_options, for_new_head
from idc_jax.methods.idc.questions import ask_clusters
from idc_jax.methods.idc.state import Compared, IDCContext, IDCState, compared_in
from idc_jax.metrics import match_clusters
from idc_jax.models.base import Variables
from idc_jax.ops import sharded
from idc_jax.ops.graph import smooth
from idc_jax.train.finetune import FinetuneOptions, Supervision, check_options, finetune
from idc_jax.train.fit import fit_targets
from idc_jax.train.loop import run_network
from idc_jax.train.parallel import mesh_of

__all__ = ["IDCOptions", "build"]

# The options that are the selector's own.
_SCORING = (
    "num_neighbors",
    "use_hardness",
    "use_representativeness",
    "use_diversity",
    "reference",
)


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    parts: Parts
    options: IDCOptions
    finetuning: FinetuneOptions


def build(parts: Parts, options: Options) -> Method:
    """Compose the method; see :class:`~idc_jax.methods.contract.MethodSpec`.

    Raises:
      UserError: options that mean nothing, more clusters than samples.
    """
    own, finetuning = options["idc"], options["finetune"]
    if parts.new_head:
        own, finetuning = for_new_head(own, finetuning)
    if parts.selector == OWN:
        parts = parts._replace(selector="idc")
    check_idc_options(own, parts.selector, parts.num_clusters, parts.num_samples)
    check_options(finetuning)
    setting = _Setting(parts, own, finetuning)
    return Method(
        init=partial(_init, setting),
        ask=partial(_ask, setting),
        learn=partial(_learn, setting),
        restore=partial(_restore, setting),
    )


def _init(setting: _Setting, key: jax.Array) -> tuple[IDCContext, IDCState]:
    begin_key, cluster_key, head_key = jax.random.split(key, 3)
    variables = setting.parts.begin(begin_key)
    embeddings, logits = _network(setting, variables)
    compared = _compare(setting, embeddings)
    z = compared.embeddings
    if setting.options.head_steps:
        variables, probs = _fit_head(setting, cluster_key, head_key, variables, z)
    elif setting.options.centers == "spherical":
        probs = _spherical(setting, cluster_key, z)
    else:
        probs = jax.nn.softmax(logits)
    stays = setting.options.space == "input"
    state = IDCState(
        variables=variables,
        probabilities=probs,
        slots=jnp.full(setting.parts.num_clusters, -1, jnp.int32),
        store=jnp.full(setting.parts.num_samples, -1, jnp.int32),
        compared=None if stays else compared,
    )
    return IDCContext(probs, compared if stays else None), state


def _network(setting: _Setting, variables: Variables) -> tuple[jax.Array | None, jax.Array]:
    """The network's embeddings ``[n, d]``, where samples are compared by them, and its logits.

    Over several devices embeddings are spread by rows, with the first again at the end.
    """
    parts, space = setting.parts, setting.options.space
    by = {"input": "logits", "instance": "instance", "network": "embedding"}[space]
    found = run_network(parts.model, variables, parts.views.val, parts.data, only=(by, "logits"))
    logits = sharded.first(found.logits, parts.num_samples)
    if space == "input":
        return None, logits
    return sharded.spread_out(getattr(found, by), mesh_of(parts.data)), logits


def _fit_head(
    setting: _Setting,
    cluster_key: jax.Array,
    head_key: jax.Array,
    variables: Variables,
    z: jax.Array,
) -> tuple[Variables, jax.Array]:
    """The network once its cluster head knows the k-means clusters of ``z``, and ``p [n, c]``."""
    options, data = setting.options, setting.parts.data
    clusters = ops.kmeans(cluster_key, z, setting.parts.num_clusters, restarts=options.restarts)
    assignments = sharded.first(clusters.assignments, setting.parts.num_samples)
    targets = jax.nn.one_hot(assignments, setting.parts.num_clusters)
    variables, _ = fit_targets(
        head_key,
        setting.parts.model,
        setting.parts.views.weak,
        variables,
        data,
        targets,
        steps=options.head_steps,
        batch_size=min(512, len(targets)),
        learning_rate=1e-3,
        head_only=options.space != "input",
    )
    # What was clustered is what a person is shown; the head has only learnt it.
    return variables, 0.5 * (jax.nn.softmax(_network(setting, variables)[1]) + targets)


def _spherical(setting: _Setting, key: jax.Array, z: jax.Array) -> jax.Array:
    """Clusters of directions as the first prediction ``[n, c]``, whatever the head says."""
    count = setting.parts.num_clusters
    clusters = ops.spherical_kmeans(key, z, count, restarts=setting.options.restarts)
    return jax.nn.one_hot(sharded.first(clusters.assignments, setting.parts.num_samples), count)


def _compare(setting: _Setting, embeddings: jax.Array | None) -> Compared:
    """Where samples are compared, the graph that answers spread along, and the nearest.

    By the network's ``embeddings``, or by the samples themselves.
    """
    plain = ops.normalize(as_they_are(setting.parts.data) if embeddings is None else embeddings)
    with sharded.like(plain):
        return _compared(setting, plain)


def _compared(setting: _Setting, plain: jax.Array) -> Compared:
    options = setting.options
    inner = options.hop_neighbors if options.hops else options.num_neighbors
    found = setting.parts.search(plain, max(options.graph_neighbors, inner))
    graph = ops.nearest(found, options.graph_neighbors)
    if not options.hops:
        return Compared(plain, graph, ops.nearest(found, inner))
    z = ops.normalize(smooth(plain, ops.nearest(found, inner), hops=options.hops))
    return Compared(z, graph, setting.parts.search(z, options.num_neighbors))


def _ask(
    setting: _Setting,
    key: jax.Array,
    context: IDCContext,
    state: IDCState,
    evidence: Evidence,
    round_: Round,
) -> Questions:
    options, compared = setting.options, compared_in(context, state)
    center_key, select_key = jax.random.split(key)
    centers, counts = _centers(center_key, setting, compared, state, first=round_.number == 1)
    assignments = jnp.argmax(state.probabilities, axis=-1)
    own: dict[str, Any] = {}
    if setting.parts.selector == "idc":
        own = {name: getattr(options, name) for name in _SCORING} | {"neighbors": compared.near}
    picks = choose(
        setting.parts.selector,
        select_key,
        compared.embeddings,
        state.probabilities,
        evidence,
        round_.budget,
        clusters=(centers, assignments),
        **own,
    )
    scored = sharded.first(
        ops.inner(compared.embeddings, ops.normalize(centers)), len(state.probabilities)
    )
    return ask_clusters(
        round_.number,
        picks,
        similarities=scored,
        offered=scored if options.candidates == "cosine" else state.probabilities,
        counts=counts,
        num_candidates=options.num_candidates,
        assignments=assignments,
        show_asked=options.show_asked,
    )


def _learn(
    setting: _Setting,
    key: jax.Array,
    context: IDCContext,
    state: IDCState,
    evidence: Evidence,
    round_: Round,
) -> tuple[IDCState, dict[str, float]]:
    if not says_something(evidence, round_.since):
        return state, {}
    prior = np.asarray(context.prior)
    heard = hear(evidence, np.asarray(state.slots), prior, place=by_prediction)
    state = state._replace(slots=jnp.asarray(heard.slots))
    spreads = setting.finetuning.pseudo_labels == "graph"
    posterior = jnp.zeros((0, setting.parts.num_clusters))
    if spreads:
        posterior = _spread(setting, context, state, heard)
    variables, store, info = finetune(
        key,
        setting.parts.model,
        setting.parts.views,
        setting.parts.data,
        state.variables,
        Supervision(
            labels=jnp.asarray(np.maximum(heard.choice, -1)),
            rejected=jnp.asarray(heard.rejected),
            asked=jnp.asarray(heard.choice >= NONE_OF_THESE),
            skipped=jnp.asarray(heard.choice == SKIP),
            targets=posterior,
        ),
        state.store,
        setting.finetuning,
        capacity=round_.total,
        log=setting.parts.log,
        progress=setting.parts.progress,
    )
    embeddings, logits = _network(setting, variables)
    probs = jax.nn.softmax(logits)
    if spreads and setting.options.ensemble:
        probs = 0.5 * (probs + posterior)
    probs = agreed(probs, heard.linked)
    state = state._replace(variables=variables, store=store, probabilities=probs)
    if state.compared is not None:
        # Where the embedding is the network's, the answers have moved it.
        state = state._replace(compared=_compare(setting, embeddings))
    return state, info


def _restore(setting: _Setting, context: IDCContext, state: IDCState) -> IDCState:
    if state.compared is None or len(state.compared.embeddings):
        return state
    return state._replace(compared=_compare(setting, _network(setting, state.variables)[0]))


def _spread(setting: _Setting, context: IDCContext, state: IDCState, heard: Heard) -> jax.Array:
    graph = compared_in(context, state).neighbors
    said = jnp.asarray(heard.choice), jnp.asarray(heard.rejected)
    with sharded.like(graph.indices):
        return spread_answers(
            graph, context.prior, state.probabilities, *said, setting.options.spread
        )


def _centers(
    key: jax.Array, setting: _Setting, compared: Compared, state: IDCState, *, first: bool
) -> tuple[jax.Array, jax.Array]:
    """Centres ``[c, d]`` by the ids of the head, and the size of each cluster ``[c]``.

    After the first answers the predictions know more than k-means does, so the later rounds
    always take the means of the predicted clusters.
    """
    options, z, num_clusters = setting.options, compared.embeddings, setting.parts.num_clusters
    predicted = jnp.argmax(state.probabilities, axis=-1)
    if options.centers != "kmeans" or options.head_steps or not first:
        return mean_centers(z, predicted, num_clusters)
    clusters = ops.kmeans(key, z, num_clusters, restarts=options.restarts)
    assignments = sharded.first(clusters.assignments, len(predicted))
    matching = match_clusters(np.asarray(assignments), np.asarray(predicted), num_clusters)
    order = np.asarray(matching.cluster_of_class)
    left = np.setdiff1d(np.arange(num_clusters), order)
    # A cluster that the head never predicts takes any centre that is left over.
    order = np.concatenate([order, np.full(num_clusters - len(order), -1)]).astype(int)
    order[order < 0] = left[: int((order < 0).sum())]
    counts = jnp.bincount(assignments, length=num_clusters)
    return clusters.centers[order], counts[order]
