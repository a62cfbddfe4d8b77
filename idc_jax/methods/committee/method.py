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
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, scores, selectors
from idc_jax.annotate.evidence import Evidence, says_something
from idc_jax.annotate.questions import Questions, label_questions
from idc_jax.errors import UserError, check_at_least, check_one_of
from idc_jax.methods.committee.forecast import (
    expected_accuracy,
    expected_gain,
    no_trials,
    tried,
    unnamed_share,
)
from idc_jax.methods.committee.members import CommitteeOptions, decide
from idc_jax.methods.committee.opening import first_picks
from idc_jax.methods.committee.silent import keep_silent, silent_clusters
from idc_jax.methods.committee.space import CommitteeSpace
from idc_jax.methods.committee.state import GraphCommitteeContext, GraphCommitteeState
from idc_jax.methods.common.choosing import choose, found
from idc_jax.methods.common.class_space import Heard, agreed, by_prediction, hear, missing_outputs
from idc_jax.methods.common.spread import spread_answers
from idc_jax.methods.contract import OWN, Method, Options, Parts, Round
from idc_jax.models.base import Variables
from idc_jax.ops.edges import Edges, normalized_edges
from idc_jax.ops.graph import decorrelate_neighbors, smooth
from idc_jax.ops.spectral import leading_eigenpairs
from idc_jax.selectors import Selection
from idc_jax.selectors.uncertainty import margin_values
from idc_jax.train.loop import run_network

__all__ = ["GraphCommitteeOptions", "build", "compare", "first_state"]

Space = Literal["input", "network", "instance"]
# Doubt of a sample of which the committee is sure.
_LEAST_DOUBT = 1e-3
# The opening lasts for so many answers at least.
_LEAST_OPENING = 20
# Neighbours in the graph where no reach says how many.
_GRAPH = 15
# Samples of whose opinions the student learns.
_STUDENTS = 2_500
# Keeps the waves of a graph that falls apart, of eigenvalue 1, from being all there is.
_SHORTEST = 0.01
# "What would more answers bring?" is told for so many.
_FURTHER = 50
# Up to so many columns, how far a sample lies from the mean says more than rounding: directions
# alone leave a circle of a plane, and two points of a line.
_FEW_COLUMNS = 16


class GraphCommitteeOptions(NamedTuple):
    """The method's options.

    Attributes:
      space: where samples are compared: the ``"input"`` itself, for features that somebody
        else's network made, the ``"network"``'s embedding, or the ``"instance"`` head's output.
      decorrelate: make neighbours differ equally in all directions first.
      hops: average the features over their neighbours this often; 0 for not at all.
      hop_neighbors: neighbours per sample in that averaging.
      opening: answers for each wanted cluster up to which rounds ask all over the data, whatever
        is predicted; then by value. 0 for the first round alone, by the features alone.
      picks: ``"value"``, or any selector of samples of :func:`idc_jax.selectors.names`.
      density_neighbors: K, neighbours in whose midst a sample is worth asking about.
      restarts: of the k-means before any answer, and of that for the first picks.
      coordinates: eigenvectors of the graph on which a second regression works; 0 for none.
      reaches, iterations, poisson, regression, steps, regression_from, prior, student, trust: see
        :class:`~idc_jax.methods.committee.members.CommitteeOptions`.
    """

    space: Space = "input"
    decorrelate: bool = True
    hops: int = 3
    hop_neighbors: int = 10
    opening: float = 2.0
    picks: str = "value"
    density_neighbors: int = 20
    restarts: int = 3
    coordinates: int = 100
    reaches: tuple[tuple[int, float], ...] = CommitteeOptions().reaches
    iterations: int = CommitteeOptions().iterations
    poisson: int = CommitteeOptions().poisson
    regression: float = CommitteeOptions().regression
    steps: int = CommitteeOptions().steps
    regression_from: float = CommitteeOptions().regression_from
    prior: bool = CommitteeOptions().prior
    student: bool = CommitteeOptions().student
    trust: float = CommitteeOptions().trust


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
    _check(own, parts.num_clusters, parts.data.shape[0])
    setting = _Setting(parts, own)
    return Method(
        init=partial(_init, setting), ask=partial(_ask, setting), learn=partial(_learn, setting)
    )


def _init(setting: _Setting, key: jax.Array) -> tuple[GraphCommitteeContext, GraphCommitteeState]:
    begin_key, space_key, cluster_key = jax.random.split(key, 3)
    variables, x = _embed(setting, begin_key)
    context = compare(space_key, x, setting.options)._replace(variables=variables)
    c, restarts = setting.parts.num_clusters, setting.options.restarts
    return context, first_state(cluster_key, context.embeddings, c, restarts)


def first_state(
    key: jax.Array, embeddings: jax.Array, num_clusters: int, restarts: int
) -> GraphCommitteeState:
    """The state before any answer: k-means of the ``embeddings`` ``[n, d]``."""
    clusters = ops.kmeans(key, embeddings, num_clusters, restarts=restarts)
    return GraphCommitteeState(
        probabilities=_near(embeddings, clusters.centers),
        slots=np.full(num_clusters, -1, np.int32),
        trials=no_trials(embeddings.shape[0]),
        # On the host: it grows, and every new shape on a device is a program more.
        history=np.zeros((0, 2), np.float32),
    )


@jax.jit
def _near(embeddings: jax.Array, centers: jax.Array) -> jax.Array:
    distances2 = ops.squared_distances(embeddings, centers)
    usual = jnp.maximum(jnp.mean(jnp.min(distances2, axis=1)), 1e-12)
    return jax.nn.softmax(-distances2 / usual)


def _embed(setting: _Setting, key: jax.Array) -> tuple[Variables, jax.Array]:
    parts = setting.parts
    if setting.options.space == "input":
        data = jnp.asarray(parts.data)
        return {}, data.reshape(data.shape[0], -1).astype(jnp.float32)
    variables = parts.begin(key)
    outputs = run_network(parts.model, variables, parts.views.val, parts.data)
    return variables, outputs.instance if setting.options.space == "instance" else outputs.embedding


def compare(key: jax.Array, x: jax.Array, options: GraphCommitteeOptions) -> GraphCommitteeContext:
    """Make of ``x`` ``[n, d]`` the space and the graph in which samples are compared.

    Args:
      key: draws the samples that decorrelation looks at.
      x: ``[n, d]``.
      options: how.
    """
    if x.shape[1] <= _FEW_COLUMNS:
        x = _on_sphere(x)
    if options.decorrelate:
        z = decorrelate_neighbors(key, x)
    else:
        z = ops.normalize(x - jnp.mean(x, axis=0))
    widest = max((k for k, _ in options.reaches), default=_GRAPH)
    # One number of neighbours for both searches: they share a program.
    count = max(widest, options.hop_neighbors, options.density_neighbors)
    found = ops.knn(z, count)
    space = _space(jax.random.fold_in(key, 1), z, found, widest, options)
    around = ops.knn(space.features, count)
    density = scores.representativeness(space.features, options.density_neighbors, neighbors=around)
    return GraphCommitteeContext({}, space, density)


def _space(
    key: jax.Array,
    z: jax.Array,
    found: ops.Neighbors,
    widest: int,
    options: GraphCommitteeOptions,
) -> CommitteeSpace:
    start, choice = jax.random.split(key)
    features = _averaged(z, found, options.hop_neighbors, options.hops)
    near = ops.nearest(found, widest)
    learns = options.student and options.regression
    needed = options.poisson or (options.coordinates and options.regression)
    edges = normalized_edges(near) if needed else None
    count = options.coordinates if edges is not None and options.regression else 0
    return CommitteeSpace(
        features=features,
        plain=z if learns else z[:, :0],
        smooth=_coordinates(start, edges, count) if count else z[:, :0],
        neighbors=near,
        edges=edges if options.poisson else None,
        students=jax.random.permutation(choice, len(z))[:_STUDENTS].astype(jnp.int32),
    )


@partial(jax.jit, static_argnames=("count",))
def _coordinates(key: jax.Array, edges: Edges, count: int) -> jax.Array:
    """Each sample's place ``[n, e]`` on the graph: long waves count for more than short ones."""
    values, vectors = leading_eigenpairs(key, edges, count)
    return ops.normalize(vectors * jax.lax.rsqrt(jnp.maximum(1.0 - values, 0.0) + _SHORTEST))


@jax.jit
def _on_sphere(x: jax.Array) -> jax.Array:
    return ops.on_sphere(x, *ops.center_and_radius(x))


@partial(jax.jit, static_argnames=("count", "hops"))
def _averaged(z: jax.Array, found: ops.Neighbors, count: int, hops: int) -> jax.Array:
    return ops.normalize(smooth(z, ops.nearest(found, count), hops=hops))


def _ask(
    setting: _Setting,
    key: jax.Array,
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    evidence: Evidence,
    round_: Round,
) -> Questions:
    given = (context, state, evidence, setting.parts.num_clusters, round_.budget)
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
    asked = evidence.asked
    budget = min(budget, embeddings.shape[0])
    # In the opening, too, where it is not used: later rounds then compile nothing.
    value = _worth(context.density, probs)
    picks = selectors.idc_from_scores(embeddings, value, budget, labelled=asked, candidates=~asked)
    least = max(math.ceil(options.opening * wanted), _LEAST_OPENING) if options.opening else 0
    if len(state.history) and asked.sum() >= least:
        return picks
    where = _everywhere(context.space) if options.opening else embeddings
    capacity = -(-least // max(budget, 1)) * budget
    how = {"restarts": options.restarts, "capacity": capacity}
    return first_picks(key, where, context.density, asked, budget, **how)


@jax.jit
def _everywhere(space: CommitteeSpace) -> jax.Array:
    """Features and the graph's coordinates side by side ``[n, d + e]``, each of variance 1."""
    views = [space.features, space.smooth] if space.smooth.shape[1] else [space.features]
    spreads = [jnp.sqrt(jnp.maximum(jnp.sum(jnp.var(view, axis=0)), 1e-12)) for view in views]
    return jnp.concatenate([a / s for a, s in zip(views, spreads, strict=True)], axis=1)


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
    if not says_something(evidence, round_.since):
        return state, {}
    before = state.probabilities
    missing = missing_outputs(evidence, np.asarray(state.slots), np.asarray(before))
    state = _with_room(state, missing)
    slots, prediction = np.asarray(state.slots), np.asarray(state.probabilities)
    heard = hear(evidence, slots, prediction, place=by_prediction)
    if len(state.history):
        new = np.flatnonzero(evidence.round >= round_.since)
        state = state._replace(trials=tried(state.trials, before, new, heard.choice[new]))
    probs = _decide(setting, context, state, evidence, heard, round_)
    silent = silent_clusters(heard.slots, prediction, heard.choice)
    probs = keep_silent(probs, state.probabilities, silent, heard.rejected)
    state = state._replace(probabilities=agreed(probs, heard.linked), slots=heard.slots)
    told = int(((evidence.group >= 0) & (heard.choice >= 0)).sum())
    return _forecast(context, state, setting.parts.num_clusters, told, int(silent.sum()))


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
        reach = max(alpha for _, alpha in options.reaches)
        return spread_answers(context.space.neighbors, prior, prior, choice, rejected, reach)
    return decide(
        context.space,
        probs,
        choice,
        rejected,
        CommitteeOptions(*(getattr(options, name) for name in CommitteeOptions._fields)),
        belief=evidence.weight,
        capacity=round_.total,
    )


def _forecast(
    context: GraphCommitteeContext,
    state: GraphCommitteeState,
    wanted: int,
    answered: int,
    silent: int,
) -> tuple[GraphCommitteeState, dict[str, float]]:
    named = int((np.asarray(state.slots) >= 0).sum())
    info = {"answered": float(answered), "classes_named": float(named)}
    if not answered:
        return state, info
    expected = expected_accuracy(state.trials, state.probabilities, context.density)
    # A cluster that is kept stands for a class without a name.
    expected *= 1.0 - unnamed_share(wanted, named + silent, answered)
    history = np.concatenate([state.history, [[answered, expected]]]).astype(np.float32)
    info["expected_accuracy"] = expected
    info[f"expected_gain_of_{_FURTHER}"] = expected_gain(history, _FURTHER)
    return state._replace(history=history), info


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
    for reach in options.reaches:
        if not _is_reach(reach):
            raise UserError(
                f"graph_committee.reaches has {reach!r}; pairs of neighbours, 1 or more, and a "
                "reach from 0 to below 1, as in ((10, 0.9), (5, 0.5)), would do"
            )
    if not options.regression >= 0:
        raise UserError(
            f"graph_committee.regression is {options.regression}; it must be at least 0"
        )
    for name in ("restarts", "iterations", "steps"):
        check_at_least(f"graph_committee.{name}", getattr(options, name), 1)
    if not options.regression_from > 0:
        raise UserError(
            f"graph_committee.regression_from is {options.regression_from}; more than 0 would do"
        )
    if not 0 < options.trust < 1:
        raise UserError(f"graph_committee.trust is {options.trust}; between 0 and 1 would do")


def _is_reach(reach: object) -> bool:
    """Whether it is a number of neighbours and a share."""
    if not isinstance(reach, tuple | list) or len(reach) != 2:
        return False
    k, alpha = reach
    return isinstance(k, int) and isinstance(alpha, int | float) and k >= 1 and 0 <= alpha < 1
