"""Cluster questions: which clusters a sample is offered, and which samples stand for each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.annotate.questions import Questions, plain_roles
from idc_jax.methods.common.choosing import found
from idc_jax.ops import topk
from idc_jax.selectors import Selection

# Samples shown around each exemplar.
_MEMBERS = 6


def ask_clusters(
    round_: int,
    picks: Selection,
    *,
    similarities: jax.Array,
    offered: jax.Array,
    counts: jax.Array,
    num_candidates: int,
    assignments: jax.Array,
    show_asked: bool = True,
) -> Questions:
    """Turn picks into "which of these clusters?".

    Args:
      round_: from 1.
      picks: what the selector chose.
      similarities: ``[n, c]``, cosines to the centres: the sample highest in a column is the
        cluster's exemplar, whether it is a member or not (IDC's rule).
      offered: ``[n, c]``, the candidates are a row's highest.
      counts: ``[c]``, members per cluster; an empty one is never offered.
      num_candidates: T, capped at the clusters.
      assignments: int ``[n]``, the present clusters.
      show_asked: whether samples that are asked about may be shown for a cluster.

    Returns:
      The questions.
    """
    clusters = offered.shape[1]
    indices, values, _ = found(picks)
    alive = counts > 0
    scores = jnp.where(alive, offered[indices], -jnp.inf)
    width = min(num_candidates, clusters)
    order = jnp.argsort(-scores, axis=-1, stable=True)[:, :width]
    known = jnp.take_along_axis(scores, order, axis=-1) > -jnp.inf
    # Where all are asked about there is nothing else to show.
    if not show_asked and len(indices) < len(offered):
        similarities = similarities.at[indices].set(-jnp.inf)
    exemplars, members = _shown(similarities, assignments, alive)
    return Questions(
        kind="cluster",
        round=round_,
        indices=indices.astype(np.int32),
        candidates=np.asarray(jnp.where(known, order, -1), np.int32),
        exemplars=exemplars,
        members=members,
        values=values.astype(np.float32),
        roles=plain_roles(len(indices)),
    )


def _shown(
    similarities: jax.Array, assignments: jax.Array, alive: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Exemplars ``[c]`` and the members nearest each centre ``[c, r]``."""
    exemplars = jnp.where(alive, jnp.argmax(similarities, axis=0), -1)
    own = assignments[:, None] == jnp.arange(similarities.shape[1])
    inside = (
        jnp.where(own, similarities, -jnp.inf).at[exemplars, jnp.arange(len(alive))].set(-jnp.inf)
    )
    width = min(_MEMBERS, similarities.shape[0])
    best, nearest = topk.top_k(inside.T, width)
    members = jnp.where((best > -jnp.inf) & alive[:, None], nearest, -1)
    return np.asarray(exemplars, np.int32), np.asarray(members, np.int32)
