"""A committee on the neighbour graph: a clustering from few answers about fixed features.

Works on somebody's embeddings, or those of a network that was pre-trained here. Neighbours are
made to differ equally in all directions, and features averaged over them. The first rounds ask
"what is this?" about one sample in each of the largest clusters that hold no answer; every later
round about samples of which the committee is unsure, which stand in the midst of many, and which
are far from all that was asked: IDC's value ("Interactive Deep Clustering via Value Mining"), with
what the committee leaves open for the hardness. The committee, spreading and currents along the
graph, regressions and a student of theirs, learns from all answers, and each answer tests what was
predicted before it, which tells how good the clustering is and what more answers would bring.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, outlook, selectors
from idc_jax.annotate.evidence import Evidence, says_something
from idc_jax.annotate.questions import Questions, Role, label_questions
from idc_jax.methods.committee.members import decide
from idc_jax.methods.committee.opening import first_picks
from idc_jax.methods.committee.options import (
    CommitteeOptions,
    GraphCommitteeOptions,
    check_options,
)
from idc_jax.methods.committee.silent import SILENT, keep_unnamed, trust_in_unnamed
from idc_jax.methods.committee.space import CommitteeSpace, compare
from idc_jax.methods.committee.spreading import without_names
from idc_jax.methods.committee.state import GraphCommitteeContext, GraphCommitteeState
from idc_jax.methods.common.choosing import choose, found
from idc_jax.methods.common.class_space import Heard, agreed, by_prediction, hear, missing_outputs
from idc_jax.methods.common.embedding import embed
from idc_jax.methods.contract import OWN, Method, Options, Parts, Round
from idc_jax.ops import blocks, narrow, sharded
from idc_jax.ops.narrow import widened
from idc_jax.selectors import Selection
from idc_jax.selectors.uncertainty import margin_values
from idc_jax.train.parallel import mesh_of

__all__ = ["build", "first_state"]

# Rows that are made float32 at a time.
_BLOCK = 16_384
# Doubt of a sample of which the committee is sure.
_LEAST_DOUBT = 1e-3
# The opening lasts for so many answers at least.
_LEAST_OPENING = 20
# "What would more answers bring?" is told for so many.
_FURTHER = 50


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    parts: Parts
    options: GraphCommitteeOptions


def build(parts: Parts, options: Options) -> Method:
    """Compose the method; see :class:`~idc_jax.methods.contract.MethodSpec`.

    Raises:
      UserError: options that mean nothing, more clusters than samples.
    """
    own = options["graph_committee"]
    if parts.selector != OWN:
        own = own._replace(picks=parts.selector)
    check_options(own, parts.num_clusters, parts.num_samples)
    setting = _Setting(parts, own)
    return Method(
        init=partial(_init, setting), ask=partial(_ask, setting), learn=partial(_learn, setting)
    )


def _init(setting: _Setting, key: jax.Array) -> tuple[GraphCommitteeContext, GraphCommitteeState]:
    begin_key, space_key, cluster_key = jax.random.split(key, 3)
    parts, options = setting.parts, setting.options
    variables, x = embed(parts, options.space, begin_key)
    x = sharded.spread_out(x, mesh_of(parts.data))
    with sharded.like(x):
        space = compare(space_key, x, options, parts.search, num_samples=parts.num_samples)
        given = (space.features, parts.num_clusters, options.restarts)
        state = first_state(cluster_key, *given, num_samples=parts.num_samples)
    return GraphCommitteeContext(variables, space), state


def first_state(
    key: jax.Array,
    embeddings: jax.Array,
    num_clusters: int,
    restarts: int,
    *,
    num_samples: int | None = None,
) -> GraphCommitteeState:
    """The state before any answer: k-means of the ``embeddings`` ``[n, d]``.

    Of these, the first ``num_samples`` are samples; None for all.
    """
    size = len(embeddings) if num_samples is None else num_samples
    clusters = ops.kmeans(key, embeddings, num_clusters, restarts=restarts)
    return GraphCommitteeState(
        probabilities=_near(embeddings, clusters.centers, size),
        slots=np.full(num_clusters, -1, np.int32),
        trials=outlook.no_trials(size),
        # On the host: it grows, and every new shape on a device is a program more.
        history=np.zeros((0, 2), np.float32),
    )


@partial(jax.jit, static_argnames="size")
def _near(embeddings: jax.Array, centers: jax.Array, size: int) -> jax.Array:
    def far(rows: jax.Array) -> jax.Array:
        return ops.squared_distances(widened(rows), centers)

    distances2 = blocks.map_rows(far, (embeddings,), _BLOCK)
    usual = jnp.maximum(jnp.mean(jnp.min(distances2, axis=1)), 1e-12)
    return sharded.whole(jax.nn.softmax(-distances2 / usual))[:size]


def _ask(
    setting: _Setting,
    key: jax.Array,
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    evidence: Evidence,
    round_: Round,
) -> Questions:
    given = (context, state, evidence, setting.parts.num_clusters, round_.budget)
    with sharded.like(context.embeddings):
        picks = _select(setting.options, key, *given)
    indices, values, _ = found(picks)
    return label_questions(round_.number, indices, values)


def _select(
    options: GraphCommitteeOptions,
    key: jax.Array,
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    evidence: Evidence,
    wanted: int,
    budget: int,
) -> Selection:
    embeddings, probs = context.embeddings, state.probabilities
    if options.picks != "value":
        return choose(options.picks, key, embeddings, probs, evidence, budget)
    budget = min(budget, len(probs))
    # Nobody is asked about a repeat.
    more = (0, len(embeddings) - len(probs))
    asked, free = np.pad(evidence.asked, more), np.pad(~evidence.asked, more)
    density = jnp.pad(context.space.density, more)
    # In the opening, too, where it is not used: later rounds then compile nothing.
    value = jnp.pad(_worth(context.space.density, probs), more)
    picks = selectors.idc_from_scores(embeddings, value, budget, labelled=asked, candidates=free)
    least = max(math.ceil(options.opening * wanted), _LEAST_OPENING) if options.opening else 0
    if len(state.history) and asked.sum() >= least:
        return picks
    where = _everywhere(context.space) if options.opening else embeddings
    capacity = -(-least // max(budget, 1)) * budget
    how = {"restarts": options.restarts, "capacity": capacity}
    return first_picks(key, where, density, asked, budget, allowed=free, **how)


def _everywhere(space: CommitteeSpace) -> jax.Array:
    """Features and the graph's coordinates, if any, side by side ``[n, d + e]``."""
    return _beside(space) if len(space.known_views()) > 1 else space.features


@jax.jit
def _beside(space: CommitteeSpace) -> jax.Array:
    """All known views side by side, each of variance 1."""
    views = [view.rows for view in space.known_views()]
    spreads = [jnp.sqrt(jnp.maximum(jnp.sum(narrow.variances(view)), 1e-12)) for view in views]

    def beside(*rows: jax.Array) -> jax.Array:
        scaled = [widened(own) / spread for own, spread in zip(rows, spreads, strict=True)]
        return jnp.concatenate(scaled, axis=1).astype(rows[0].dtype)

    return blocks.map_rows(beside, tuple(views), _BLOCK)


@jax.jit
def _worth(density: jax.Array, probabilities: jax.Array) -> jax.Array:
    return density + jnp.log(1.0 + margin_values(probabilities) + _LEAST_DOUBT)


def _learn(
    setting: _Setting,
    key: jax.Array,
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    evidence: Evidence,
    round_: Round,
) -> tuple[GraphCommitteeState, dict[str, float]]:
    del key
    with sharded.like(context.embeddings):
        return _learned(setting, context, state, evidence, round_)


def _learned(
    setting: _Setting,
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    evidence: Evidence,
    round_: Round,
) -> tuple[GraphCommitteeState, dict[str, float]]:
    if not says_something(evidence, round_.since):
        return state, {}
    before = state.probabilities
    missing = missing_outputs(evidence, np.asarray(state.slots), np.asarray(before))
    state = _with_room(state, missing)
    slots, prediction = np.asarray(state.slots), np.asarray(state.probabilities)
    heard = hear(evidence, slots, prediction, place=by_prediction)
    if len(state.history):
        # What people picked out themselves, often for being wrong, is no fair trial, nor is what
        # was shown as part of a group: what is not part of it has no name by that.
        asked = ~np.isin(evidence.role, (Role.VOLUNTEERED, Role.CHECK))
        new = np.flatnonzero((evidence.round >= round_.since) & asked)
        state = state._replace(trials=outlook.tried(state.trials, before, new, heard.choice[new]))
    probs = _decide(setting, context, state, evidence, heard, round_)
    trust = trust_in_unnamed(heard.slots, prediction, heard.choice)
    probs = keep_unnamed(probs, state.probabilities, trust, heard.rejected)
    state = state._replace(probabilities=agreed(probs, heard.linked), slots=heard.slots)
    told = np.where(evidence.group >= 0, np.maximum(heard.choice, -1), -1)
    silent = int((trust >= SILENT).sum())
    return _look_ahead(setting.parts, context, state, told, evidence.round, silent)


def _with_room(state: GraphCommitteeState, missing: int) -> GraphCommitteeState:
    """The state with ``missing`` outputs more."""
    if not missing:
        return state
    slots = np.pad(np.asarray(state.slots), (0, missing), constant_values=-1)
    probs = jnp.pad(state.probabilities, ((0, 0), (0, missing)))
    return state._replace(slots=slots, probabilities=probs)


def _decide(
    setting: _Setting,
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    evidence: Evidence,
    heard: Heard,
    round_: Round,
) -> jax.Array:
    """What every sample is, ``[n, c]``."""
    options, probs = setting.options, state.probabilities
    choice, rejected = heard.choice, heard.rejected
    if (heard.slots < 0).all():
        open_ = jnp.where(rejected, 1e-9, probs + 1e-6)
        prior = open_ / open_.sum(1, keepdims=True)
        if not options.reaches:
            return prior
        counts, reaches = zip(*options.reaches, strict=True)
        widest = context.space.graphs[counts.index(max(counts))]
        return without_names(widest, prior, choice, rejected, max(reaches), options.iterations)
    return decide(
        context.space,
        probs,
        choice,
        rejected,
        CommitteeOptions(*(getattr(options, name) for name in CommitteeOptions._fields)),
        belief=evidence.weight,
        capacity=round_.total,
    )


def _look_ahead(
    parts: Parts,
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    choice: np.ndarray,
    order: np.ndarray,
    silent: int,
) -> tuple[GraphCommitteeState, dict[str, float]]:
    """The state with one more line of its history, and what is expected of it."""
    answered = int((choice >= 0).sum())
    named = int((np.asarray(state.slots) >= 0).sum())
    info = {"answered": float(answered), "classes_named": float(named)}
    if not answered:
        return state, info
    # A cluster that is kept stands for a group without a name.
    counts = np.append(np.bincount(choice[choice >= 0]), np.ones(silent, int))
    spread = outlook.WANTED if parts.wanted else outlook.FOUND
    groups = outlook.number_of_groups(counts, parts.num_clusters, spread=spread, limit=len(choice))
    accuracy = outlook.expected_accuracy(
        state.probabilities,
        choice,
        state.trials,
        density=context.space.density,
        order=order,
        unnamed=groups.unnamed,
    )
    gain = outlook.expected_gain(accuracy.value, answered, named, _FURTHER)
    for name, estimate in (
        ("expected_groups", groups.estimate),
        ("expected_accuracy", accuracy),
        (f"expected_gain_of_{_FURTHER}", gain),
    ):
        info |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    history = np.concatenate([state.history, [[answered, accuracy.value]]]).astype(np.float32)
    return state._replace(history=history), info
