"""What a round of DSAC trains towards: answers, pseudo-labels, and the weight of each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import losses, ops, scores
from idc_jax.annotate.evidence import Evidence
from idc_jax.annotate.questions import Role
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
      z: ``[n, d]``, where samples are compared.
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
    within = ops.within_cluster_squared_distances(z, state.centers, state.assignments)
    distances2 = np.asarray(within)
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
    options: DsacOptions,
) -> Targets:
    """Put answers before pseudo-labels, and weigh both by compactness.

    Args:
      context: has the graph.
      state: has the clusters and the network's embedding.
      choice: int ``[n]``, outputs by answer, negative without.
      pseudo: int ``[n]``, -1 without.
      z: ``[n, d]``, where samples are compared.
      options: of the compactness and of λ.
    """
    told = np.where(choice >= 0, choice, pseudo)
    weights = _class_weights(np.flatnonzero(told >= 0), z, context, options)
    classes, trained, c = jnp.asarray(told), state.embeddings, state.centers.shape[0]
    class_centers, _ = losses.class_means(trained, classes, classes >= 0, c)
    centers = state.centers
    if options.space != "network":
        every = jnp.ones(z.shape[0], bool)
        centers, _ = losses.class_means(trained, state.assignments, every, c)
    distances2 = ops.within_cluster_squared_distances(trained, centers, state.assignments)
    _, age = scores.self_paced_weights(distances2, options.percentile)
    return Targets(classes, weights, class_centers, centers, state.assignments, age)


def cluster_probabilities(z: jax.Array, centers: jax.Array) -> jax.Array:
    """Softmax ``[n, c]`` over squared distances to the centres, relative to the usual one."""
    distances2 = ops.squared_distances(z, centers)
    usual = jnp.maximum(jnp.mean(jnp.min(distances2, axis=1)), 1e-12)
    return jax.nn.softmax(-distances2 / usual, axis=-1)


def _along_graph(
    context: DsacContext, state: DsacState, heard: Heard, z: jax.Array, reach: int, alpha: float
) -> np.ndarray:
    """The ``reach`` surest samples of each output; an output without a group keeps its cluster."""
    assert context.neighbors is not None
    prior = cluster_probabilities(z, state.centers)
    said = (jnp.asarray(heard.choice), jnp.asarray(heard.rejected))
    posterior = spread_answers(context.neighbors, prior, prior, *said, alpha)
    taken_for, sure = np.asarray(jnp.argmax(posterior, axis=1)), np.asarray(posterior.max(axis=1))
    near = nearest_to_centers(taken_for, -sure, prior.shape[1], reach)
    return np.where(near, taken_for, -1).astype(np.int32)


def _class_weights(
    labelled: np.ndarray, z: jax.Array, context: DsacContext, options: DsacOptions
) -> jax.Array:
    """The compactness C_i of the labelled rows ``[m]``, scattered into ``[n]``."""
    weights = np.ones(z.shape[0], np.float32)
    if len(labelled):
        compact = _compactness(labelled, z, context, options.num_neighbors)
        weights[labelled] = compact / compact.mean() if options.normalized_compactness else compact
    return jnp.asarray(weights)


def _compactness(rows: np.ndarray, z: jax.Array, context: DsacContext, k: int) -> np.ndarray:
    """The compactness of ``rows`` ``[m]``, a block at a time: no number of them compiles anew."""
    if context.neighbors is not None:
        # Known for all samples: looking for them anew costs more than the training.
        return np.asarray(scores.compactness(z, k, neighbors=context.neighbors))[rows]
    block = min(_ROWS, z.shape[0])
    blocks = np.resize(rows, (-(-len(rows) // block), block))
    found = [np.asarray(scores.compactness(z, k, rows=jnp.asarray(part))) for part in blocks]
    return np.concatenate(found)[: len(rows)]
