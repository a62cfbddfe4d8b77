"""Who is asked: DSAC's two kinds together, either alone, or random samples."""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops, selectors
from idc_jax.annotate.questions import Role
from idc_jax.ops import sharded
from idc_jax.ops.kmeans import lloyd, sample_rows
from idc_jax.selectors.dsac import Kinds

# Steps of the k-means that makes groups: they need not have settled.
_GROUP_STEPS = 15
# And so many steps follow over all samples, where a part of them was clustered first.
_LAST_STEPS = 1

Groups = Literal["classes", "growing"]
# What DSAC and its ablations ask; the field's other selectors go by their own names.
Own = Literal["dsac", "random", "representative", "difficult"]


def names() -> tuple[str, ...]:
    """Who can choose what is asked."""
    return tuple(dict.fromkeys((*get_args(Own), *selectors.names("samples"))))


def pick(
    key: jax.Array,
    picks: Own,
    z: jax.Array,
    centers: jax.Array,
    assignments: jax.Array,
    labelled: jax.Array,
    allowed: jax.Array,
    budget: int,
    *,
    shortlist: int,
    num_neighbors: int,
    neighbors: ops.Neighbors | None = None,
) -> tuple[selectors.Selection, jax.Array]:
    """Pick ``budget`` samples that were never asked about.

    Args:
      key: PRNG key, used by random picks alone.
      picks: which kind.
      z: embeddings ``[n, d]``.
      centers: ``[c, d]``.
      assignments: int ``[n]``.
      labelled: bool ``[n]``, asked before.
      allowed: bool ``[n]``, samples that may be picked by clusters.
      budget: how many.
      shortlist: k1, samples among which compactness decides.
      num_neighbors: neighbours that compactness looks at.
      neighbors: those of ``z``, where they are known.

    Returns:
      The picks, and the :class:`~idc_jax.annotate.questions.Role` of each ``[m]``.
    """
    if picks == "random":
        selection = selectors.random(key, z.shape[0], budget, labelled=labelled)
        return selection, jnp.full(len(selection.indices), Role.PLAIN)
    kinds: Kinds = "both" if picks == "dsac" else picks
    selection, speaks = selectors.dsac(
        z,
        centers,
        assignments,
        budget,
        labelled=labelled,
        allowed=allowed,
        shortlist=shortlist,
        num_neighbors=num_neighbors,
        neighbors=neighbors,
        kinds=kinds,
    )
    return selection, jnp.where(speaks, Role.REPRESENTATIVE, Role.DIFFICULT)


def growing_groups(
    key: jax.Array, z: jax.Array, labelled: jax.Array, budget: int, capacity: int = 0
) -> tuple[ops.KMeans, jax.Array]:
    """As many clusters as there are answers and questions together.

    Each answered sample starts a cluster of its own and stays in it; the others start by D²
    sampling, so they lie where nobody has asked yet. With c clusters alone, the representatives
    of a later round are neighbours of those before.

    Args:
      key: PRNG key.
      z: embeddings ``[n, d]``.
      labelled: bool ``[n]``, asked before.
      budget: questions wanted.
      capacity: the most clusters that there will ever be: as long as there are no more, no number
        of answers compiles anything anew.

    Returns:
      The clusters, and bool ``[n]``, the samples of clusters without an answer.
    """
    answered = np.flatnonzero(np.asarray(labelled))
    own = np.full(z.shape[0], -1, np.int32)
    own[answered] = np.arange(len(answered))
    used = min(len(answered) + budget, z.shape[0])
    size = min(max(used, capacity), z.shape[0])
    sample_key, key = jax.random.split(key)
    drawn = sample_rows(sample_key, z.shape[0], size)
    rows = np.arange(z.shape[0]) if drawn is None else np.array(drawn)
    if drawn is not None:
        # Of many samples, some make the groups, all that were answered among them.
        rows[: len(answered)] = answered
    groups = ops.semi_supervised_kmeans(
        key,
        sharded.rows_at(z, jnp.asarray(rows)),
        size,
        jnp.asarray(own[rows]),
        restarts=1,
        max_iterations=_GROUP_STEPS,
        used=used,
    )
    if drawn is not None:
        with sharded.like(z):
            groups = _over_all(z, groups.centers, jnp.asarray(own))
    return groups, groups.assignments >= len(answered)


@jax.jit
def _over_all(z: jax.Array, centers: jax.Array, own: jax.Array) -> ops.KMeans:
    """The groups of a part of the samples, made those of all ``z`` ``[n, d]``."""
    return lloyd(z, centers, _LAST_STEPS, 0.0, fixed=own)
