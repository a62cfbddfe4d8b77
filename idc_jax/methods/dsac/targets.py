"""What a round of DSAC trains towards: answers, pseudo-labels, and the weight of each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, scores
from idc_jax.annotate.evidence import Evidence
from idc_jax.annotate.questions import Role
from idc_jax.methods.common.choosing import again, mean_centers
from idc_jax.methods.common.class_space import (
    Heard,
    around_answers,
    nearest_to_centers,
    representatives,
)
from idc_jax.methods.common.spread import spread_answers
from idc_jax.methods.contract import Round
from idc_jax.methods.dsac.state import DsacContext, DsacOptions, DsacState
from idc_jax.methods.dsac.training import Targets
from idc_jax.ops import sharded

# Labelled samples whose neighbours are looked for at once.
_ROWS = 2048


def pseudo_labels(
    context: DsacContext,
    state: DsacState,
    evidence: Evidence,
    heard: Heard,
    z: jax.Array,
    round_: Round,
    options: DsacOptions,
) -> np.ndarray:
    """Outputs that samples are taken for without having been asked about.

    Args:
      context: has the graph.
      state: has the clusters.
      evidence: has what samples were asked for.
      heard: what was said, in outputs.
      z: ``[n, d]``, where samples are compared; beyond n, repeats.
      round_: where the run stands.
      options: by which rule, and k2.

    Returns:
      int32 ``[n]``, -1 without.
    """
    reach = options.pseudo_start + options.pseudo_growth * (round_.number - 1)
    if options.pseudo_labels == "none":
        return np.full(len(heard.choice), -1, np.int32)
    if options.pseudo_labels == "nearest":
        return around_answers(z, heard.choice, reach)
    if options.pseudo_labels == "graph":
        return _along_graph(context, state, heard, z, reach, options.spread)
    c = len(heard.slots)
    assignments = np.asarray(state.assignments)
    own = again(state.assignments, len(z) - len(assignments))
    within = ops.within_cluster_squared_distances(z, state.centers, own)
    distances2 = np.asarray(sharded.first(within, len(assignments)))
    if options.pseudo_labels == "cluster" or options.picks == "difficult":
        # No sample stands for a cluster here: it stands for its own group, once that is named.
        meaning = np.where(heard.slots >= 0, np.arange(c), -1)
    else:
        speaks = (evidence.round >= round_.since) & (evidence.role != Role.DIFFICULT)
        asked = np.flatnonzero(speaks)
        chosen = representatives(asked, heard.choice, assignments, distances2, c)
        meaning = np.where(chosen >= 0, heard.choice[chosen], -1)
    near = nearest_to_centers(assignments, distances2, c, reach)
    return np.where(near, meaning[assignments], -1).astype(np.int32)


def make_targets(
    context: DsacContext,
    state: DsacState,
    choice: np.ndarray,
    pseudo: np.ndarray,
    z: jax.Array,
    trained: jax.Array,
    options: DsacOptions,
) -> Targets:
    """Put answers before pseudo-labels, and weigh both by compactness.

    Args:
      context: has the graph.
      state: has the clusters.
      choice: int ``[n]``, outputs by answer, negative without.
      pseudo: int ``[n]``, -1 without.
      z: ``[n, d]``, where samples are compared; beyond n, repeats.
      trained: ``[n, e]``, the network's embedding, likewise.
      options: of the compactness and of λ.
    """
    told = np.where(choice >= 0, choice, pseudo)
    weights = _class_weights(told >= 0, z, context, options)
    classes, c = jnp.asarray(told), state.centers.shape[0]
    more = len(z) - len(told)
    class_centers, _ = mean_centers(trained, classes, c)
    centers = state.centers
    if options.space != "network":
        centers, _ = mean_centers(trained, state.assignments, c)
    own = again(state.assignments, more)
    distances2 = ops.within_cluster_squared_distances(trained, centers, own)
    distances2 = sharded.first(distances2, len(told))
    _, age = scores.self_paced_weights(distances2, options.percentile)
    return Targets(classes, weights, class_centers, centers, state.assignments, age)


def cluster_probabilities(z: jax.Array, centers: jax.Array, num_samples: int) -> jax.Array:
    """Softmax ``[n, c]`` over squared distances to the centres, relative to the usual one.

    Args:
      z: ``[n, d]``; beyond n, repeats.
      centers: ``[c, d]``.
      num_samples: n.
    """
    distances2 = sharded.first(ops.squared_distances(z, centers), num_samples)
    usual = jnp.maximum(jnp.mean(jnp.min(distances2, axis=1)), 1e-12)
    return jax.nn.softmax(-distances2 / usual, axis=-1)


def _along_graph(
    context: DsacContext, state: DsacState, heard: Heard, z: jax.Array, reach: int, alpha: float
) -> np.ndarray:
    """The ``reach`` surest samples of each output; an output without a group keeps its cluster."""
    assert context.neighbors is not None
    prior = cluster_probabilities(z, state.centers, len(heard.choice))
    said = (jnp.asarray(heard.choice), jnp.asarray(heard.rejected))
    with sharded.like(z):
        posterior = spread_answers(context.neighbors, prior, prior, *said, alpha)
    taken_for, sure = np.asarray(jnp.argmax(posterior, axis=1)), np.asarray(posterior.max(axis=1))
    near = nearest_to_centers(taken_for, -sure, prior.shape[1], reach)
    return np.where(near, taken_for, -1).astype(np.int32)


def _class_weights(
    known: np.ndarray, z: jax.Array, context: DsacContext, options: DsacOptions
) -> jax.Array:
    """The compactness C_i ``[n]`` of the samples that are ``known`` ``[n]``, 1 of the others."""
    weights, labelled = np.ones(len(known), np.float32), np.flatnonzero(known)
    if len(labelled):
        compact = _compactness(labelled, z, context, options.num_neighbors)
        weights[labelled] = compact / compact.mean() if options.normalized_compactness else compact
    return jnp.asarray(weights)


def _compactness(rows: np.ndarray, z: jax.Array, context: DsacContext, k: int) -> np.ndarray:
    """The compactness of ``rows`` ``[m]``, a block at a time: no number of them compiles anew."""
    if context.neighbors is not None:
        # Known for all samples: looking for them anew costs more than the training.
        every = scores.compactness(z, k, neighbors=context.neighbors)
        return np.asarray(sharded.first(every, len(z)))[rows]
    block = min(_ROWS, z.shape[0])
    blocks = np.resize(rows, (-(-len(rows) // block), block))
    found = [np.asarray(scores.compactness(z, k, rows=jnp.asarray(part))) for part in blocks]
    return np.concatenate(found)[: len(rows)]
