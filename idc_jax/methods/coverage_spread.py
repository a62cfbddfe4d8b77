"""Cover what is uncertain, spread what is answered: a clustering from few answers.

Works on fixed features: somebody's embeddings, or those of a network that was pre-trained here.
Neighbours are made to differ equally in all directions, features averaged over them. The first
round asks "what is this?" about the medoids of as many clusters as there are questions; each
later one herds: it takes the sample that best stands for all that is uncertain and not yet
covered, again and again (Bae, Noh and Sutherland, "Uncertainty herding: one active learning
method for all label budgets", with a bandwidth read off the answers). A committee of label
spreading and regression learns from all answers, and each answer tests what was predicted
before it, which tells how good the clustering is and what more answers would bring.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.annotate.questions import SKIP, Answers, Questions, label_questions
from idc_jax.data.residency import Samples
from idc_jax.data.views import Views
from idc_jax.errors import UserError
from idc_jax.methods.base import Begin, Log, Method
from idc_jax.methods.committee import ROWS, CommitteeOptions, decide
from idc_jax.methods.evidence import CoverageSpreadState, agreed, implied, record
from idc_jax.methods.forecast import Trials, expected_accuracy, expected_gain, no_trials, tried
from idc_jax.models.base import Model, Variables
from idc_jax.ops.graph import decorrelate_neighbors, smooth
from idc_jax.selectors import Selection
from idc_jax.train.finetune import UNASKED
from idc_jax.train.loop import run_network

__all__ = ["CoverageSpreadOptions", "CoverageSpreadState", "build", "restore"]

Space = Literal["input", "network", "instance"]
# "What would more answers bring?" is told for so many.
_FURTHER = 50


class CoverageSpreadOptions(NamedTuple):
    """The method's options.

    Attributes:
      space: where samples are compared: the ``"input"`` itself, for features that somebody
        else's network made, the ``"network"``'s embedding, or the ``"instance"`` head's output.
      decorrelate: make neighbours differ equally in all directions first.
      hops: average the features over their neighbours this often; 0 for not at all.
      hop_neighbors: neighbours per sample in that averaging.
      picks: ``"coverage"``, or any name of :func:`idc_jax.selectors.names`.
      bandwidth: of the herding, in median distances of a sample to the nearest answered one.
      restarts: of the k-means before any answer, and of that for the first round's picks.
      reaches, iterations, regression, steps, trust: see
        :class:`~idc_jax.methods.committee.CommitteeOptions`.
    """

    space: Space = "input"
    decorrelate: bool = True
    hops: int = 3
    hop_neighbors: int = 10
    picks: str = "coverage"
    bandwidth: float = 1.0
    restarts: int = 3
    reaches: tuple[tuple[int, float], ...] = CommitteeOptions().reaches
    iterations: int = CommitteeOptions().iterations
    regression: float = CommitteeOptions().regression
    steps: int = CommitteeOptions().steps
    trust: float = CommitteeOptions().trust


class _Setting(NamedTuple):
    """What :func:`build` was given, for the functions below."""

    model: Model
    views: Views
    data: Samples
    num_clusters: int
    begin: Begin
    options: CoverageSpreadOptions


def build(
    model: Model,
    views: Views,
    data: Samples,
    *,
    num_clusters: int,
    begin: Begin,
    options: CoverageSpreadOptions,
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


def restore(tree: dict[str, Any]) -> CoverageSpreadState:
    """Build the state from its plain dict."""
    nested = {"neighbors": ops.Neighbors(**tree["neighbors"]), "trials": Trials(**tree["trials"])}
    return CoverageSpreadState(**{"variables": {}, **tree, **nested})


def _init(setting: _Setting, key: jax.Array) -> CoverageSpreadState:
    begin_key, space_key, cluster_key = jax.random.split(key, 3)
    variables, x = _embed(setting, begin_key)
    features, neighbors = compare(space_key, x, setting.options)
    c, restarts = setting.num_clusters, setting.options.restarts
    return first_state(cluster_key, features, neighbors, c, restarts=restarts)._replace(
        variables=variables
    )


def first_state(
    key: jax.Array, features: jax.Array, neighbors: ops.Neighbors, num_clusters: int, restarts: int
) -> CoverageSpreadState:
    """The state before any answer: k-means of what :func:`compare` gave."""
    n = features.shape[0]
    clusters = ops.kmeans(key, features, num_clusters, restarts=restarts)
    distances2 = ops.squared_distances(features, clusters.centers)
    return CoverageSpreadState(
        variables={},
        features=features,
        neighbors=neighbors,
        probabilities=jax.nn.softmax(-distances2 / jnp.mean(jnp.min(distances2, axis=1))),
        slots=jnp.full(num_clusters, -1, jnp.int32),
        choice=jnp.full(n, UNASKED, jnp.int32),
        rejected=jnp.zeros((n, num_clusters), bool),
        pairs=jnp.zeros((0, 3), jnp.int32),
        trials=no_trials(n),
        history=jnp.zeros((0, 2), jnp.float32),
    )


def _embed(setting: _Setting, key: jax.Array) -> tuple[Variables, jax.Array]:
    if setting.options.space == "input":
        data = jnp.asarray(setting.data)
        return {}, data.reshape(data.shape[0], -1).astype(jnp.float32)
    variables = setting.begin(key)
    outputs = run_network(setting.model, variables, setting.views.val, setting.data)
    return variables, outputs.instance if setting.options.space == "instance" else outputs.embedding


def compare(
    key: jax.Array, x: jax.Array, options: CoverageSpreadOptions
) -> tuple[jax.Array, ops.Neighbors]:
    """Features ``[n, d]`` averaged over neighbours, and the graph of the plain ones.

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
    near = _nearest(found, options.hop_neighbors)
    return ops.normalize(smooth(z, near, hops=options.hops)), _nearest(found, widest)


def _nearest(found: ops.Neighbors, count: int) -> ops.Neighbors:
    return ops.Neighbors(found.distances2[:, :count], found.indices[:, :count])


def _ask(
    setting: _Setting, key: jax.Array, state: CoverageSpreadState, round_: int, budget: int
) -> tuple[CoverageSpreadState, Questions]:
    picks = _select(setting.options, key, state, budget)
    indices = np.asarray(picks.indices)
    asked = indices >= 0
    return state, label_questions(round_, indices[asked], np.asarray(picks.values)[asked])


def _select(
    options: CoverageSpreadOptions, key: jax.Array, state: CoverageSpreadState, budget: int
) -> Selection:
    answered, free = state.choice >= 0, state.choice == UNASKED
    if options.picks != "coverage":
        return _named_selector(options.picks, key, state, budget)
    if not bool(answered.any()):
        return selectors.medoids(
            key, state.features, budget, allowed=free, restarts=options.restarts
        )
    return selectors.u_herding(
        state.features,
        state.probabilities,
        budget,
        labelled=answered,
        allowed=free,
        bandwidth=options.bandwidth * _coverage_radius(state.features, answered),
        adaptive=False,
    )


def _named_selector(
    name: str, key: jax.Array, state: CoverageSpreadState, budget: int
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


def _coverage_radius(features: jax.Array, answered: jax.Array) -> float:
    """The median distance of a sample to the nearest answered one."""
    rows = np.flatnonzero(np.asarray(answered))
    # Repeats change no distance, and few sizes need few programs.
    rows = np.resize(rows, -(-len(rows) // ROWS) * ROWS)
    nearest2 = ops.knn(features[rows], 1, queries=features).distances2[:, 0]
    return float(jnp.sqrt(jnp.maximum(jnp.median(nearest2), 1e-6)))


def _learn(
    setting: _Setting, key: jax.Array, state: CoverageSpreadState, answers: Answers
) -> tuple[CoverageSpreadState, dict[str, float]]:
    del key
    before = state.probabilities
    state, placed = record(state, answers)
    if answers.kind != "pair" and len(state.history):
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
    return _forecast(state)


def _forecast(state: CoverageSpreadState) -> tuple[CoverageSpreadState, dict[str, float]]:
    answered = int((state.choice >= 0).sum())
    info = {
        "answered": float(answered),
        "classes_named": float((state.slots >= 0).sum()),
    }
    if not answered:
        return state, info
    expected = float(expected_accuracy(state.trials, state.probabilities))
    history = np.concatenate([state.history, [[answered, expected]]]).astype(np.float32)
    info["expected_accuracy"] = expected
    info[f"expected_gain_of_{_FURTHER}"] = expected_gain(history, _FURTHER)
    return state._replace(history=jnp.asarray(history)), info


def _check(options: CoverageSpreadOptions, num_clusters: int, num_samples: int) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    if not 1 <= num_clusters <= num_samples:
        raise UserError(f"{num_clusters} clusters of {num_samples} samples are impossible")
    known = ("coverage", *selectors.names())
    for name, kinds in (("space", get_args(Space)), ("picks", known)):
        value = getattr(options, name)
        if value not in kinds:
            raise UserError(
                f"coverage_spread.{name} is {value!r}; one of {', '.join(kinds)} would do"
            )
    if not options.reaches and not options.regression:
        raise UserError("coverage_spread has neither reaches nor regression; one of them would do")
    for k, alpha in options.reaches:
        if k < 1 or not 0 <= alpha < 1:
            raise UserError(
                f"coverage_spread.reaches has ({k}, {alpha}); a pair of neighbours, 1 or more, "
                "and a reach from 0 to below 1 would do"
            )
    if not 0 < options.trust < 1:
        raise UserError(f"coverage_spread.trust is {options.trust}; between 0 and 1 would do")
