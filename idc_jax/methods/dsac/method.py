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
from typing import NamedTuple, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops
from idc_jax.annotate.evidence import Evidence, says_something
from idc_jax.annotate.questions import SKIP, Questions, label_questions
from idc_jax.data.residency import Samples
from idc_jax.methods.common.choosing import again, choose, found
from idc_jax.methods.common.class_space import Heard, agreed, by_number, hear
from idc_jax.methods.common.embedding import as_they_are
from idc_jax.methods.contract import OWN, Method, Options, Parts, Round, embeddings_of
from idc_jax.methods.dsac.picks import Own, growing_groups, pick
from idc_jax.methods.dsac.state import DsacContext, DsacOptions, DsacState, check_options
from idc_jax.methods.dsac.targets import cluster_probabilities, make_targets, pseudo_labels
from idc_jax.methods.dsac.training import DsacTraining, Targets, embedding, train_round
from idc_jax.models.base import Variables
from idc_jax.ops import sharded
from idc_jax.train.loop import run_network
from idc_jax.train.parallel import mesh_of

__all__ = ["DsacOptions", "build", "check_options"]


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    parts: Parts
    data: Samples
    options: DsacOptions
    training: DsacTraining


def build(parts: Parts, options: Options) -> Method:
    """Compose the method; see :class:`~idc_jax.methods.contract.MethodSpec`.

    Raises:
      UserError: unknown names among the options, or fewer samples than clusters.
    """
    own = options["dsac"]
    if parts.selector != OWN:
        own = own._replace(picks=parts.selector)
    check_options(own, parts.num_clusters, parts.num_samples)
    setting = _Setting(parts, parts.data, own, options["dsac_training"])
    return Method(
        init=partial(_init, setting),
        ask=partial(_ask, setting),
        learn=partial(_learn, setting),
        restore=partial(_restore, setting),
    )


def _init(setting: _Setting, key: jax.Array) -> tuple[DsacContext, DsacState]:
    begin_key, cluster_key = jax.random.split(key)
    options, c = setting.options, setting.parts.num_clusters
    variables = setting.parts.begin(begin_key)
    if options.space == "network":
        fixed, trained = None, _network(setting, variables)[0]
        z = trained
    else:
        z = fixed = ops.normalize(as_they_are(setting.data))
        trained = None
    clusters = ops.kmeans(cluster_key, z, c, restarts=options.restarts)
    size = setting.parts.num_samples
    graph = None
    if options.pseudo_labels == "graph":
        graph = setting.parts.search(z, max(options.graph_neighbors, options.num_neighbors))
    state = DsacState(
        variables=variables,
        embeddings=trained,
        probabilities=cluster_probabilities(z, clusters.centers, size),
        slots=jnp.full(c, -1, jnp.int32),
        centers=clusters.centers,
        assignments=sharded.first(clusters.assignments, size),
    )
    return DsacContext(fixed, graph), state


def _network(setting: _Setting, variables: Variables) -> tuple[jax.Array, jax.Array]:
    """The embedding ``[n, e]`` and the probabilities ``[n, c]`` of all samples, in one pass.

    Over several devices embeddings are spread by rows, with the first again at the end.
    """
    parts = setting.parts
    only = ("embedding", "logits")
    outputs = run_network(parts.model, variables, parts.views.val, setting.data, only=only)
    logits = sharded.first(outputs.logits, parts.num_samples)
    found = sharded.spread_out(embedding(outputs, setting.training), mesh_of(setting.data))
    return found, jax.nn.softmax(logits, axis=-1)


def _ask(
    setting: _Setting,
    key: jax.Array,
    context: DsacContext,
    state: DsacState,
    evidence: Evidence,
    round_: Round,
) -> Questions:
    options, budget = setting.options, round_.budget
    group_key, pick_key = jax.random.split(key)
    z = embeddings_of(context, state)
    clusters = state.centers, state.assignments
    if options.picks not in get_args(Own):
        picks = choose(
            options.picks, pick_key, z, state.probabilities, evidence, budget, clusters=clusters
        )
        indices, values, _ = found(picks)
        return label_questions(round_.number, indices, values)
    # Nobody is asked about a repeat.
    size, more = len(evidence.asked), len(z) - len(evidence.asked)
    labelled, allowed = jnp.asarray(np.pad(evidence.asked, (0, more))), jnp.arange(len(z)) < size
    clusters = state.centers, again(state.assignments, more)
    if options.groups == "growing" and options.picks != "random":
        groups, open_ = growing_groups(group_key, z, labelled, budget, round_.total)
        clusters, allowed = (groups.centers, groups.assignments), allowed & open_
    picks, roles = pick(
        pick_key,
        cast(Own, options.picks),
        z,
        *clusters,
        labelled,
        allowed,
        budget,
        shortlist=options.shortlist,
        num_neighbors=options.num_neighbors,
        # The graph is that of the samples as they lay at first.
        neighbors=None if context.embeddings is None else context.neighbors,
    )
    indices, values, kept = found(picks)
    return label_questions(round_.number, indices, values, np.asarray(roles)[kept])


def _learn(
    setting: _Setting,
    key: jax.Array,
    context: DsacContext,
    state: DsacState,
    evidence: Evidence,
    round_: Round,
) -> tuple[DsacState, dict[str, float]]:
    options = setting.options
    steer_key, train_key, cluster_key = jax.random.split(key, 3)
    slots, probs = np.asarray(state.slots), np.asarray(state.probabilities)
    heard = hear(evidence, slots, probs, place=by_number)
    if not says_something(evidence, round_.since) or not (heard.choice >= 0).any():
        # Nothing to train towards: the head would learn nothing, and all else stays.
        return state, {}
    state = state._replace(slots=jnp.asarray(heard.slots))
    z = embeddings_of(context, state)
    steered = options.pseudo_labels in ("cluster", "graph")
    if steered:
        state = _cluster(setting, steer_key, state, z, heard.choice)
    pseudo = pseudo_labels(context, state, evidence, heard, z, round_, options)
    trained = state.embeddings
    if trained is None:
        trained, _ = _network(setting, state.variables)
    targets = make_targets(context, state, heard.choice, pseudo, z, trained, options)
    del trained
    variables, info = train_round(
        train_key,
        setting.parts.model,
        setting.parts.views,
        state.variables,
        setting.data,
        targets,
        setting.training,
        log=setting.parts.log,
        progress=setting.parts.progress,
    )
    trained, probabilities = _network(setting, variables)
    probabilities = agreed(probabilities, heard.linked)
    state = state._replace(variables=variables, probabilities=probabilities)
    if options.space == "network":
        state = state._replace(embeddings=trained)
    if options.space == "network" or not steered:
        # The training has moved the samples, or the answers are new to the clusters.
        z = embeddings_of(context, state)
        state = _cluster(setting, cluster_key, state, z, heard.choice)
    return state, {**info, **_counts(heard, targets)}


def _restore(setting: _Setting, context: DsacContext, state: DsacState) -> DsacState:
    if state.embeddings is None or len(state.embeddings):
        return state
    return state._replace(embeddings=_network(setting, state.variables)[0])


def _cluster(
    setting: _Setting, key: jax.Array, state: DsacState, z: jax.Array, choice: np.ndarray
) -> DsacState:
    """Cluster again, with the answered samples fixed."""
    clusters = ops.semi_supervised_kmeans(
        key,
        z,
        setting.parts.num_clusters,
        # Of a sample that is repeated, nothing more was said.
        jnp.asarray(np.pad(np.maximum(choice, -1), (0, len(z) - len(choice)), constant_values=-1)),
        restarts=setting.options.restarts,
    )
    assignments = sharded.first(clusters.assignments, len(choice))
    return state._replace(centers=clusters.centers, assignments=assignments)


def _counts(heard: Heard, targets: Targets) -> dict[str, float]:
    answered = int((heard.choice >= 0).sum())
    return {
        "answered": float(answered),
        "unusable": float((heard.choice == SKIP).sum()),
        "pseudo_labelled": float((np.asarray(targets.classes) >= 0).sum()) - answered,
        "classes_named": float((heard.slots >= 0).sum()),
    }
