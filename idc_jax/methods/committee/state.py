"""What people said in any kind of question, kept and made into classes and exclusions."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops
from idc_jax.annotate.closure import close_links
from idc_jax.annotate.questions import NONE_OF_THESE, SKIP, Answers
from idc_jax.methods.committee.forecast import Trials
from idc_jax.methods.common.class_space import UNUSABLE, allocate_slots
from idc_jax.models.base import Variables

# Outputs that cluster questions have given a meaning stand for no class.
_TAKEN = 1 << 30


class GraphCommitteeState(NamedTuple):
    """What a checkpoint holds.

    The number of outputs c grows where people name more classes than clusters were wanted.

    Attributes:
      variables: the network's; none where the input is compared itself.
      features: float32 ``[n, d]``, averaged over neighbours, of unit length.
      neighbors: the graph, ``[n, k]`` each.
      density: float32 ``[n]``, how closely each sample is surrounded.
      probabilities: float32 ``[n, c]``, the present prediction.
      slots: int32 ``[c]``, the class that each output stands for, -1 for none yet.
      choice: int32 ``[n]``, the output by answer, ``NONE_OF_THESE``, ``SKIP`` or ``UNASKED``.
      rejected: bool ``[n, c]``, candidates of a "none of these".
      pairs: int32 ``[1 + p, 3]``, a skip (no checkpoint holds empty arrays), then the pairs
        asked about, and what was said.
      trials: predictions that answers have tested.
      history: float32 ``[1 + r, 2]``, zeros, then answers and expected accuracy after each
        round.
    """

    variables: Variables
    features: jax.Array
    neighbors: ops.Neighbors
    density: jax.Array
    probabilities: jax.Array
    slots: jax.Array
    choice: jax.Array
    rejected: jax.Array
    pairs: jax.Array
    trials: Trials
    history: jax.Array


def record(state: GraphCommitteeState, answers: Answers) -> tuple[GraphCommitteeState, np.ndarray]:
    """Put one round's answers into the state.

    Returns:
      The state, and int32 ``[m]``, the output that each answer means, or less.
    """
    said = np.asarray(answers.choice, np.int32)
    if answers.kind == "pair":
        told = np.concatenate([answers.indices, said[:, None]], axis=1).astype(np.int32)
        return state._replace(pairs=jnp.concatenate([state.pairs, jnp.asarray(told)])), said
    choice, rejected = np.array(state.choice), np.array(state.rejected)
    slots, probs = np.array(state.slots), state.probabilities
    if answers.kind == "cluster":
        chosen = said[said >= 0]
        slots[chosen] = np.where(slots[chosen] < 0, _TAKEN + chosen, slots[chosen])
        for sample, offered in zip(
            answers.indices[said == NONE_OF_THESE],
            answers.candidates[said == NONE_OF_THESE],
            strict=True,
        ):
            rejected[sample, offered[offered >= 0]] = True
    else:
        grown = _missing(slots, said)
        slots = np.pad(slots, (0, grown), constant_values=-1)
        rejected = np.pad(rejected, ((0, 0), (0, grown)))
        probs = jnp.pad(probs, ((0, 0), (0, grown)))
        slots, placed = allocate_slots(slots, said)
        said = np.where(placed == UNUSABLE, np.minimum(said, SKIP), placed).astype(np.int32)
    choice[answers.indices] = said
    state = state._replace(
        slots=jnp.asarray(slots),
        choice=jnp.asarray(choice),
        rejected=jnp.asarray(rejected),
        probabilities=probs,
    )
    return state, said


def _missing(slots: np.ndarray, classes: np.ndarray) -> int:
    """How many outputs more the ``classes`` need than are free."""
    new = np.setdiff1d(classes[classes >= 0], slots)
    return max(0, len(new) - int((slots < 0).sum()))


def implied(state: GraphCommitteeState) -> tuple[jax.Array, jax.Array, np.ndarray | None]:
    """Answers with what the pairs imply: classes ``[n]``, rejected ``[n, c]``, who is linked."""
    if len(state.pairs) == 1:
        return state.choice, state.rejected, None
    pairs = np.asarray(state.pairs)
    choice, rejected = np.array(state.choice), np.array(state.rejected)
    closure = close_links(len(choice), pairs[:, :2], pairs[:, 2])
    group = np.asarray(closure.component)
    meant = np.full(len(choice), -1, np.int32)
    for sample in np.flatnonzero(choice >= 0):
        meant[group[sample]] = choice[sample]
    choice = np.where((choice < 0) & (meant[group] >= 0), meant[group], choice)
    for first, second in closure.cannot:
        for one, other in ((first, second), (second, first)):
            if meant[other] >= 0:
                rejected[group == one, meant[other]] = True
    return jnp.asarray(choice), jnp.asarray(rejected), group


def agreed(probabilities: jax.Array, group: np.ndarray | None) -> jax.Array:
    """Samples that must be together get one opinion, their mean."""
    if group is None:
        return probabilities
    size = jnp.zeros(len(group)).at[group].add(1.0)
    total = jnp.zeros_like(probabilities).at[group].add(probabilities)
    return (total / jnp.maximum(size, 1.0)[:, None])[group]
