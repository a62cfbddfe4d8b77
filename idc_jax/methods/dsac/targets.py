"""What a round of DSAC trains towards: answers, pseudo-labels, and the weight of each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import losses, ops, scores
from idc_jax.annotate.questions import SKIP, Answers
from idc_jax.methods.common.class_space import around_answers, nearest_to_centers, representatives
from idc_jax.methods.common.spread import spread_answers
from idc_jax.methods.dsac.state import DsacOptions, DsacState
from idc_jax.methods.dsac.training import Targets


def pseudo_labels(
    state: DsacState, answers: Answers, z: jax.Array, options: DsacOptions
) -> np.ndarray:
    """Outputs that samples are taken for without having been asked about.

    Args:
      state: with this round's answers.
      answers: this round's.
      z: embeddings ``[n, d]``.
      options: by which rule, and k2.

    Returns:
      int32 ``[n]``, -1 without.
    """
    reach = options.pseudo_start + options.pseudo_growth * int(state.round)
    labels = np.asarray(state.labels)
    if options.pseudo_labels == "none":
        return np.full(len(labels), -1, np.int32)
    if options.pseudo_labels == "nearest":
        return around_answers(z, labels, reach)
    if options.pseudo_labels == "graph":
        return _along_graph(state, z, reach, options.spread)
    c = state.centers.shape[0]
    assignments, distances2 = np.asarray(state.assignments), np.asarray(own_distances2(z, state))
    if options.pseudo_labels == "cluster" or options.picks == "difficult":
        # Nobody stands for a cluster here: it stands for its own class, once that is named.
        meaning = np.where(np.asarray(state.slots) >= 0, np.arange(c), -1)
    else:
        chosen = representatives(answers.indices, labels, assignments, distances2, c)
        meaning = np.where(chosen >= 0, labels[chosen], -1)
    near = nearest_to_centers(assignments, distances2, c, reach)
    return np.where(near, meaning[assignments], -1).astype(np.int32)


def make_targets(
    state: DsacState, pseudo: np.ndarray, z: jax.Array, trained: jax.Array, options: DsacOptions
) -> Targets:
    """Put answers before pseudo-labels, and weigh both by compactness.

    Args:
      state: with the answers.
      pseudo: int ``[n]``, -1 without.
      z: ``[n, d]``, where samples are compared.
      trained: ``[n, e]``, the network's embedding.
      options: of the compactness and of λ.
    """
    classes = jnp.where(state.labels >= 0, state.labels, jnp.asarray(pseudo))
    weights = _class_weights(np.flatnonzero(np.asarray(classes) >= 0), z, state, options)
    c = state.centers.shape[0]
    class_centers, _ = losses.class_means(trained, classes, classes >= 0, c)
    centers = state.centers
    if options.space != "network":
        everybody = jnp.ones(z.shape[0], bool)
        centers, _ = losses.class_means(trained, state.assignments, everybody, c)
    distances2 = jnp.sum(jnp.square(trained - centers[state.assignments]), axis=1)
    _, age = scores.self_paced_weights(distances2, options.percentile)
    return Targets(classes, weights, class_centers, centers, state.assignments, age)


def cluster_probabilities(z: jax.Array, centers: jax.Array) -> jax.Array:
    """Softmax ``[n, c]`` over squared distances to the centres, relative to the usual one."""
    distances2 = ops.squared_distances(z, centers)
    usual = jnp.maximum(jnp.mean(jnp.min(distances2, axis=1)), 1e-12)
    return jax.nn.softmax(-distances2 / usual, axis=-1)


def own_distances2(z: jax.Array, state: DsacState) -> jax.Array:
    """Squared distances ``[n]`` to the own cluster's centre."""
    return jnp.sum(jnp.square(z - state.centers[state.assignments]), axis=1)


def _along_graph(state: DsacState, z: jax.Array, reach: int, alpha: float) -> np.ndarray:
    """The ``reach`` surest samples of each output; an output without a class keeps its cluster."""
    prior = cluster_probabilities(z, state.centers)
    nothing_said = jnp.where(state.labels >= 0, state.labels, SKIP)
    never = jnp.zeros(prior.shape, bool)
    posterior = spread_answers(state.neighbors, prior, prior, nothing_said, never, alpha)
    taken_for, sure = np.asarray(jnp.argmax(posterior, axis=1)), np.asarray(posterior.max(axis=1))
    near = nearest_to_centers(taken_for, -sure, prior.shape[1], reach)
    return np.where(near, taken_for, -1).astype(np.int32)


def _class_weights(
    labelled: np.ndarray, z: jax.Array, state: DsacState, options: DsacOptions
) -> jax.Array:
    """The compactness C_i of the labelled rows ``[m]``, scattered into ``[n]``."""
    weights = np.ones(z.shape[0], np.float32)
    if not len(labelled):
        return jnp.asarray(weights)
    # A few sizes only, so that rounds with ever more pseudo-labels compile seldom.
    rows = np.resize(labelled, 1 << (len(labelled) - 1).bit_length())
    # With most samples labelled, looking for their neighbours anew costs more than the training.
    known = state.neighbors if options.pseudo_labels == "graph" else None
    compact = np.asarray(
        scores.compactness(z, options.num_neighbors, neighbors=known, rows=jnp.asarray(rows))
    )[: len(labelled)]
    weights[labelled] = compact / compact.mean() if options.normalized_compactness else compact
    return jnp.asarray(weights)
