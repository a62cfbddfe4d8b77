"""IPC: "do these two belong together?", about pairs whose similarity leaves it open.

"Interactive Personalized Clustering: Navigating Beyond Rigid Criteria and Sample Ambiguity". On
features that stay as they are, seen through the words of a criterion where there are any, k-means
makes the first clusters and a small network learns them. Anchors that stand for many are asked
about beside those whose similarity to them lies at the threshold between same and different, and
the network learns from the answers and from what it is sure of. What it learns hangs on the
evidence alone: each round begins again from the first clusters, of which there may be several
to choose from.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.annotate.evidence import Evidence, says_something
from idc_jax.annotate.questions import DIFFERENT, SAME, Questions, pair_questions
from idc_jax.data.criterion import Criterion
from idc_jax.data.residency import some
from idc_jax.errors import UserError
from idc_jax.methods.common.choosing import mean_centers
from idc_jax.methods.common.class_space import Heard, agreed, by_prediction, hear
from idc_jax.methods.common.embedding import embed
from idc_jax.methods.common.spread import spread_answers
from idc_jax.methods.contract import Method, Options, Parts, Round
from idc_jax.methods.ipc.pairs import (
    contradictions,
    drawn_pairs,
    known_pairs,
    named_pairs,
    told_pairs,
)
from idc_jax.methods.ipc.state import IpcContext, IpcOptions, IpcState, check_options
from idc_jax.methods.ipc.training import (
    IpcTraining,
    Taught,
    check_training,
    network,
    refine,
    warm_up,
)
from idc_jax.methods.ipc.words import chosen_criterion
from idc_jax.metrics import match_clusters
from idc_jax.models.base import Model, Variables
from idc_jax.ops import sharded
from idc_jax.ops.graph import decorrelate_neighbors, smooth
from idc_jax.train.loop import host_generator, run_network
from idc_jax.train.parallel import mesh_of

__all__ = ["IpcOptions", "build"]

# Pairs drawn of those that follow from the answers.
_DRAWN = 1 << 16
# Pairs in which each sample of a known group is looked at to choose the start.
_PARTNERS = 5


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below, and the small network."""

    parts: Parts
    options: IpcOptions
    training: IpcTraining
    criterion: Criterion | None
    model: Model


def build(parts: Parts, options: Options) -> Method:
    """Compose the method; see :class:`~idc_jax.methods.contract.MethodSpec`.

    Raises:
      UserError: options that mean nothing, a criterion that cannot be read, more clusters than
        samples.
    """
    own, training = options["ipc"], options["ipc_training"]
    check_options(own, parts.num_clusters, parts.num_samples)
    check_training(training)
    criterion = chosen_criterion(own)
    if criterion is not None and own.space == "input":
        _check_width(criterion, int(np.prod(parts.data.shape[1:])))
    model = network(parts.num_clusters, training.hidden)
    setting = _Setting(parts, own, training, criterion, model)
    return Method(
        init=partial(_init, setting), ask=partial(_ask, setting), learn=partial(_learn, setting)
    )


def _check_width(criterion: Criterion, width: int) -> None:
    if criterion.vectors.shape[1] != width:
        raise UserError(
            f"the criterion's vectors have {criterion.vectors.shape[1]} numbers, the samples' "
            f"features {width}: both must come from one image-text network"
        )


def _init(setting: _Setting, key: jax.Array) -> tuple[IpcContext, IpcState]:
    begin_key, space_key, cluster_key, warm_key = jax.random.split(key, 4)
    variables, features = embed(setting.parts, setting.options.space, begin_key)
    features = sharded.spread_out(features, mesh_of(setting.parts.data))
    with sharded.like(features):
        context = _compare(setting, space_key, features)._replace(network=variables)
    context = context._replace(starts=_starts(setting, cluster_key, context.embeddings))
    start, prior = _begin(setting, warm_key, context, 0)
    slots = jnp.full(setting.parts.num_clusters, -1, jnp.int32)
    return context, IpcState(start, prior, slots, jnp.int32(0), start, prior)


def _starts(setting: _Setting, key: jax.Array, x: jax.Array) -> jax.Array:
    """Clusterings ``[s, n]`` of ``x`` ``[n, w]``, their clusters numbered as the first's."""
    options, c, size = setting.options, setting.parts.num_clusters, setting.parts.num_samples
    clusterings = [
        ops.kmeans(one, x, c, restarts=1 if number else options.restarts)
        for number, one in enumerate(jax.random.split(key, options.starts))
    ]
    found = [np.asarray(sharded.first(one.assignments, size)) for one in clusterings]
    return jnp.asarray(np.stack([_numbered_as(found[0], one, c) for one in found]), jnp.int32)


def _numbered_as(first: np.ndarray, clusters: np.ndarray, num_clusters: int) -> np.ndarray:
    number = np.asarray(match_clusters(clusters, first, num_clusters).class_of_cluster)
    # An empty cluster matches none; then the numbers stay.
    return number[clusters] if (number >= 0).all() else clusters


def _begin(
    setting: _Setting, key: jax.Array, context: IpcContext, chosen: int
) -> tuple[Variables, jax.Array]:
    """The small network that knows the clustering ``chosen``, and what it predicts ``[n, c]``."""
    network_key, warm_key = jax.random.split(key)
    x = context.embeddings
    start = warm_up(
        warm_key,
        setting.model,
        setting.parts.views,
        setting.model.init(network_key, some(x, 1)),
        x,
        context.starts[chosen],
        setting.training,
        log=setting.parts.log,
        progress=setting.parts.progress,
    )
    return start, _predict(setting, start, x)


def _compare(setting: _Setting, key: jax.Array, features: jax.Array) -> IpcContext:
    """Where samples are compared, and which are near each other there; the rest is left empty."""
    options, c = setting.options, setting.parts.num_clusters
    z = ops.normalize(features)
    if setting.criterion is not None:
        _check_width(setting.criterion, z.shape[1])
        z = ops.normalize(ops.inner(z, jnp.asarray(setting.criterion.vectors)))
    if options.decorrelate:
        z = decorrelate_neighbors(key, z)
    search = setting.parts.search
    found = search(z, max(options.graph_neighbors, options.hop_neighbors, options.num_neighbors))
    x = ops.normalize(smooth(z, ops.nearest(found, options.hop_neighbors), hops=options.hops))
    near = search(x, options.num_neighbors) if options.hops else found
    return IpcContext(
        network={},
        embeddings=x,
        graph=ops.nearest(found, options.graph_neighbors),
        near=ops.nearest(near, options.num_neighbors),
        starts=jnp.zeros((0, setting.parts.num_samples), jnp.int32),
        threshold=ops.cosine_exceeded_by(x, 1 / c),
    )


def _predict(setting: _Setting, variables: Variables, x: jax.Array) -> jax.Array:
    found = run_network(setting.model, variables, _as_it_is, x, only=("logits",))
    return jax.nn.softmax(sharded.first(found.logits, setting.parts.num_samples), axis=-1)


def _as_it_is(key: jax.Array, sample: jax.Array) -> jax.Array:
    del key
    return sample


def _ask(
    setting: _Setting,
    key: jax.Array,
    context: IpcContext,
    state: IpcState,
    evidence: Evidence,
    round_: Round,
) -> Questions:
    del key
    options, x = setting.options, context.embeddings
    assignments = jnp.argmax(state.probabilities, axis=1)
    repeats = len(x) - len(assignments)
    centers, _ = mean_centers(x, assignments, setting.parts.num_clusters)
    found = selectors.ipc(
        x,
        centers,
        round_.budget,
        labelled=jnp.asarray(np.pad(_asked_about(evidence), (0, repeats))),
        # Nobody is asked about a repeat.
        allowed=jnp.arange(len(x)) < len(assignments) if repeats else None,
        known=known_pairs(evidence, round_.total, repeats),
        per_anchor=options.per_anchor,
        hardness=options.hardness,
        num_neighbors=options.num_neighbors,
        neighbors=context.near,
        threshold=context.threshold,
    )
    indices, values = np.asarray(found.indices), np.asarray(found.values)
    there = indices[:, 0] >= 0
    return pair_questions(round_.number, indices[there], values[there])


def _asked_about(evidence: Evidence) -> np.ndarray:
    """Bool ``[n]``, the samples that any question was about."""
    asked = evidence.asked.copy()
    asked[evidence.pairs[:, :2]] = True
    return asked


def _learn(
    setting: _Setting,
    key: jax.Array,
    context: IpcContext,
    state: IpcState,
    evidence: Evidence,
    round_: Round,
) -> tuple[IpcState, dict[str, float]]:
    if not says_something(evidence, round_.since):
        return state, {}
    choose_key, draw_key, train_key = jax.random.split(key, 3)
    state = _chosen(setting, choose_key, context, state, evidence)
    heard = _heard(evidence, state.prior, unnamed=False)
    x = context.embeddings
    variables, info = refine(
        train_key,
        setting.model,
        setting.parts.views,
        state.start,
        x,
        context.starts[int(state.chosen)],
        _pairs(setting, draw_key, evidence),
        Taught(jnp.asarray(np.maximum(heard.choice, -1)), jnp.asarray(heard.rejected)),
        setting.training,
        answers=len(evidence.pairs),
        log=setting.parts.log,
        progress=setting.parts.progress,
    )
    probs = _predict(setting, variables, x)
    if setting.options.spread:
        spread, linked = _spread(setting, context, evidence, probs)
        probs = agreed(0.5 * (probs + spread), linked)
    state = state._replace(variables=variables, probabilities=probs, slots=jnp.asarray(heard.slots))
    return state, {**info, **_counts(evidence)}


def _heard(evidence: Evidence, probabilities: jax.Array, *, unnamed: bool) -> Heard:
    """What the evidence says in outputs, which find their groups anew each time."""
    probs = np.asarray(probabilities)
    nothing = np.full(probs.shape[1], -1, np.int32)
    return hear(evidence, nothing, probs, place=by_prediction, unnamed=unnamed)


def _chosen(
    setting: _Setting, key: jax.Array, context: IpcContext, state: IpcState, evidence: Evidence
) -> IpcState:
    """The state with the start that the answers contradict least."""
    draw_key, warm_key = jax.random.split(key)
    outputs = _heard(evidence, state.prior, unnamed=False).choice
    named = named_pairs(host_generator(draw_key), outputs, _PARTNERS)
    pairs = np.concatenate([told_pairs(evidence), named])
    chosen = int(contradictions(np.asarray(context.starts), pairs).argmin())
    if chosen == state.chosen:
        return state
    start, prior = _begin(setting, warm_key, context, chosen)
    return state._replace(chosen=jnp.int32(chosen), start=start, prior=prior)


def _pairs(setting: _Setting, key: jax.Array, evidence: Evidence) -> np.ndarray:
    """The pairs to learn from, ``[p, 3]``."""
    if not setting.options.closure:
        return told_pairs(evidence)
    return drawn_pairs(host_generator(key), evidence.closure, _DRAWN)


def _spread(
    setting: _Setting, context: IpcContext, evidence: Evidence, probabilities: jax.Array
) -> tuple[jax.Array, np.ndarray | None]:
    """What the answers say along the graph ``[n, c]``, and which are linked, as in :class:`Heard`.

    What is linked has the output that it fits, as long as no group has a name.
    """
    heard = _heard(evidence, probabilities, unnamed=True)
    said = jnp.asarray(heard.choice), jnp.asarray(heard.rejected)
    graph, reach = context.graph, setting.options.spread
    with sharded.like(graph.indices):
        return spread_answers(graph, probabilities, probabilities, *said, reach), heard.linked


def _counts(evidence: Evidence) -> dict[str, float]:
    choice = evidence.pairs[:, 2]
    return {
        "answered": float(len(choice) + evidence.asked.sum()),
        "same": float(np.sum(choice == SAME)),
        "different": float(np.sum(choice == DIFFERENT)),
        "contradictions": float(len(evidence.closure.conflicts) + len(evidence.closure.refused)),
    }
