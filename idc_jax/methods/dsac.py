"""DSAC: "what is this?", about the representative and the difficult samples of each cluster.

Zhao et al., "Deep Self-paced Active Learning for Image Clustering". A network embeds, k-means
clusters; each round asks for the class of a few samples, spreads the representatives' answers to
their neighbourhood as pseudo-labels, trains, and clusters again with the answers fixed.

Training happens in class space: an output of the network stands for a class from the moment that
the class is first named, so two clusters of one class merge, and a class that nobody has named
yet lives on as a cluster of its own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import losses, ops, scores
from idc_jax.annotate.questions import Answers, Questions, label_questions
from idc_jax.data.views import Views
from idc_jax.errors import UserError
from idc_jax.methods.base import Begin, Log, Method
from idc_jax.methods.class_space import (
    UNASKED,
    UNUSABLE,
    allocate_slots,
    around_answers,
    nearest_to_centers,
    representatives,
)
from idc_jax.methods.dsac_picks import Groups, Picks, growing_groups, pick
from idc_jax.methods.dsac_training import DsacTraining, Targets, embedding, train_round
from idc_jax.models.base import Model, Outputs, Variables
from idc_jax.train.loop import run_network

PseudoLabels = Literal["representative", "cluster", "nearest", "none"]


class DsacOptions(NamedTuple):
    """The method's options.

    Attributes:
      picks: ``"dsac"`` (one representative a cluster, the rest difficult), or the paper's
        ablations ``"random"`` (DSAC-R), ``"representative"`` and ``"difficult"`` alone.
      groups: the clusters that are asked about: ``"classes"``, the c clusters of each round
        (the paper), or ``"growing"``, as many as there are answers and questions together, of
        which those without an answer are asked about.
      pseudo_labels: what the samples nearest a centre are taken for: ``"representative"``, the
        class of the cluster's representative in this round (the paper); ``"cluster"``, the class
        that the cluster stands for once the answers have steered it (the published code);
        ``"nearest"``, around every answered sample of any round, the class of that sample;
        ``"none"``.
      pseudo_start: k2 in the first round, samples per cluster or per answered sample.
      pseudo_growth: how much k2 grows by in each further round.
      shortlist: k1, samples among which compactness decides.
      num_neighbors: neighbours that compactness looks at.
      normalized_compactness: scale C_i to a mean of 1 over the labelled, so that the weight of
        the class loss does not hang on the embedding's scale; False is the paper's plain C_i.
      percentile: of the distances, λ.
      restarts: of k-means.
    """

    picks: Picks = "dsac"
    groups: Groups = "classes"
    pseudo_labels: PseudoLabels = "representative"
    pseudo_start: int = 50
    pseudo_growth: int = 1000
    shortlist: int = 6
    num_neighbors: int = 6
    normalized_compactness: bool = False
    percentile: float = 95.0
    restarts: int = 3


class DsacState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      variables: the network's.
      round: int32 scalar, rounds learnt from.
      slots: int32 ``[c]``, the class that each output stands for, -1 for none yet.
      labels: int32 ``[n]``, the output by answer; ``UNASKED`` or ``UNUSABLE`` without.
      centers: float32 ``[c, d]``, of the clusters, in the embedding.
      assignments: int32 ``[n]``, clusters; cluster k is output k once a class has that output.
    """

    variables: Variables
    round: jax.Array
    slots: jax.Array
    labels: jax.Array
    centers: jax.Array
    assignments: jax.Array


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

    def init(key: jax.Array) -> DsacState:
        begin_key, cluster_key = jax.random.split(key)
        variables = begin(begin_key)
        z = embed_with(variables)
        nobody = jnp.full(data.shape[0], UNASKED, jnp.int32)
        clusters = ops.kmeans(cluster_key, z, num_clusters, restarts=options.restarts)
        return DsacState(
            variables=variables,
            round=jnp.int32(0),
            slots=jnp.full(num_clusters, -1, jnp.int32),
            labels=nobody,
            centers=clusters.centers,
            assignments=clusters.assignments,
        )

    def network(variables: Variables) -> Outputs:
        return run_network(model, variables, views.val, data)

    def embed_with(variables: Variables) -> jax.Array:
        return embedding(network(variables), training)

    def embed(state: DsacState) -> jax.Array:
        return embed_with(state.variables)

    def ask(
        key: jax.Array, state: DsacState, round_: int, budget: int
    ) -> tuple[DsacState, Questions]:
        group_key, pick_key = jax.random.split(key)
        z, labelled = embed(state), state.labels != UNASKED
        centers, assignments = state.centers, state.assignments
        allowed = jnp.ones(z.shape[0], bool)
        if options.groups == "growing":
            groups, allowed = growing_groups(group_key, z, labelled, budget)
            centers, assignments = groups.centers, groups.assignments
        picks = pick(
            pick_key,
            options.picks,
            z,
            centers,
            assignments,
            labelled,
            allowed,
            budget,
            shortlist=options.shortlist,
            num_neighbors=options.num_neighbors,
        )
        asked = np.asarray(picks.indices) >= 0
        indices, values = np.asarray(picks.indices)[asked], np.asarray(picks.values)[asked]
        return state, label_questions(round_, indices, values)

    def learn(
        key: jax.Array, state: DsacState, answers: Answers
    ) -> tuple[DsacState, dict[str, float]]:
        steer_key, train_key, cluster_key = jax.random.split(key, 3)
        z = embed(state)
        state = record(state, answers)
        if options.pseudo_labels == "cluster":
            state = cluster(steer_key, state, z)
        pseudo = _pseudo_labels(state, answers, z, options)
        targets = _targets(state, pseudo, z, options)
        variables, info = train_round(
            train_key,
            model,
            views,
            state.variables,
            data,
            targets,
            training,
            log=log,
            progress=progress,
        )
        z = embed_with(variables)
        state = state._replace(variables=variables, round=state.round + 1)
        return cluster(cluster_key, state, z), {**info, **_counts(state, targets)}

    def cluster(key: jax.Array, state: DsacState, z: jax.Array) -> DsacState:
        fixed = jnp.maximum(state.labels, -1)
        clusters = ops.semi_supervised_kmeans(
            key, z, num_clusters, fixed, restarts=options.restarts
        )
        return state._replace(centers=clusters.centers, assignments=clusters.assignments)

    def predict(state: DsacState) -> jax.Array:
        if int(state.round) == 0:
            distances2 = ops.squared_distances(embed(state), state.centers)
            return jax.nn.softmax(-distances2 / jnp.mean(jnp.min(distances2, axis=1)), axis=-1)
        return jax.nn.softmax(network(state.variables).logits, axis=-1)

    return Method(init, ask, learn, predict, embed, lambda tree: DsacState(**tree))


def record(state: DsacState, answers: Answers) -> DsacState:
    """Put one round's answers into the state."""
    slots, placed = allocate_slots(np.asarray(state.slots), answers.choice)
    labels = state.labels.at[jnp.asarray(answers.indices)].set(jnp.asarray(placed))
    return state._replace(slots=jnp.asarray(slots), labels=labels)


def check_options(options: DsacOptions, num_clusters: int, num_samples: int) -> None:
    """Refuse options that mean nothing.

    Raises:
      UserError: naming the option, what it is and what would do.
    """
    for name, kinds in (("picks", Picks), ("groups", Groups), ("pseudo_labels", PseudoLabels)):
        value = getattr(options, name)
        if value not in get_args(kinds):
            raise UserError(
                f"dsac.{name} is {value!r}; one of {', '.join(get_args(kinds))} would do"
            )
    if not 1 <= num_clusters <= num_samples:
        raise UserError(f"{num_clusters} clusters of {num_samples} samples are impossible")


def _pseudo_labels(
    state: DsacState, answers: Answers, z: jax.Array, options: DsacOptions
) -> np.ndarray:
    """Pseudo-labels int32 ``[n]``, -1 without: those of the k2 samples nearest each centre."""
    reach = options.pseudo_start + options.pseudo_growth * int(state.round)
    labels = np.asarray(state.labels)
    if options.pseudo_labels == "none":
        return np.full(len(labels), -1, np.int32)
    if options.pseudo_labels == "nearest":
        return around_answers(z, labels, reach)
    c = state.centers.shape[0]
    assignments, distances2 = np.asarray(state.assignments), np.asarray(_distances2(z, state))
    if options.pseudo_labels == "cluster" or options.picks == "difficult":
        # Nobody stands for a cluster here: it stands for its own class, once that is named.
        meaning = np.where(np.asarray(state.slots) >= 0, np.arange(c), -1)
    else:
        chosen = representatives(answers.indices, labels, assignments, distances2, c)
        meaning = np.where(chosen >= 0, labels[chosen], -1)
    near = nearest_to_centers(assignments, distances2, c, reach)
    return np.where(near, meaning[assignments], -1).astype(np.int32)


def _targets(state: DsacState, pseudo: np.ndarray, z: jax.Array, options: DsacOptions) -> Targets:
    classes = jnp.where(state.labels >= 0, state.labels, jnp.asarray(pseudo))
    weights = _class_weights(np.flatnonzero(np.asarray(classes) >= 0), z, options)
    centers, _ = losses.class_means(z, classes, classes >= 0, state.centers.shape[0])
    _, age = scores.self_paced_weights(_distances2(z, state), options.percentile)
    return Targets(classes, weights, centers, state.centers, state.assignments, age)


def _class_weights(labelled: np.ndarray, z: jax.Array, options: DsacOptions) -> jax.Array:
    """The compactness C_i of the labelled rows ``[m]``, scattered into ``[n]``."""
    weights = np.ones(z.shape[0], np.float32)
    if not len(labelled):
        return jnp.asarray(weights)
    # A few sizes only, so that rounds with ever more pseudo-labels compile seldom.
    rows = np.resize(labelled, 1 << (len(labelled) - 1).bit_length())
    compact = np.asarray(scores.compactness(z, options.num_neighbors, rows=jnp.asarray(rows)))
    compact = compact[: len(labelled)]
    weights[labelled] = compact / compact.mean() if options.normalized_compactness else compact
    return jnp.asarray(weights)


def _counts(state: DsacState, targets: Targets) -> dict[str, float]:
    answered = int(jnp.sum(state.labels >= 0))
    return {
        "answered": float(answered),
        "unusable": float(jnp.sum(state.labels == UNUSABLE)),
        "pseudo_labelled": float(jnp.sum(targets.classes >= 0)) - answered,
        "classes_named": float(jnp.sum(state.slots >= 0)),
    }


def _distances2(z: jax.Array, state: DsacState) -> jax.Array:
    return jnp.sum(jnp.square(z - state.centers[state.assignments]), axis=1)
