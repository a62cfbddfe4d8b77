"""Class space: which output stands for which group, and what the evidence says in outputs.

Whatever was asked, a method that predicts c outputs hears it as a choice and as exclusions of
outputs: an answer about a sample, what links carry over from others, and what they rule out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment

from idc_jax import ops
from idc_jax.annotate.closure import CLUSTERS, Closure
from idc_jax.annotate.evidence import Evidence
from idc_jax.annotate.questions import SKIP
from idc_jax.methods.common.meeting import meet, renamed
from idc_jax.ops import sharded
from idc_jax.ops.sums import sums_by

# ``(slots [c], new groups [g], a sample's probabilities summed by group [g, c]) -> slots [c]``.
Place = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Heard(NamedTuple):
    """What the evidence says in outputs.

    Attributes:
      slots: int32 ``[c]``, the group that each output stands for, -1 for none yet.
      choice: int32 ``[n]``, the output of each sample, or a
        :class:`~idc_jax.annotate.questions.Code`. A group for which no output is left is a skip.
      rejected: bool ``[n, c]``, outputs that a sample is known not to be of; none where there is
        a choice.
      linked: int32 ``[n]``, samples of one number must be together; None where nobody said so of
        a pair.
    """

    slots: np.ndarray
    choice: np.ndarray
    rejected: np.ndarray
    linked: np.ndarray | None


def hear(
    evidence: Evidence,
    slots: np.ndarray,
    probabilities: np.ndarray,
    *,
    place: Place,
    unnamed: bool = True,
) -> Heard:
    """Translate ``evidence`` into outputs.

    As long as no group has a name, samples that are linked get the output that they are likeliest
    to be of together; it stays free for a group. Once there are names, such a guess would stand
    beside what is known.

    Args:
      evidence: everything said.
      slots: int32 ``[c]``, as it was before.
      probabilities: ``[n, c]``, a prediction by which groups find their outputs.
      place: gives outputs to groups that have none.
      unnamed: False where links alone must not give an output.
    """
    closure, c = evidence.closure, len(slots)
    same = meet(evidence, probabilities)
    group = renamed(evidence.group, same)
    named = renamed(np.where(closure.label >= 0, closure.label, closure.cluster), same)
    slots = _placed(_merged(renamed(slots, same)), group, probabilities, place)
    output = {int(name): slot for slot, name in enumerate(slots) if name >= 0}
    direct = _outputs(group, output, c)
    choice = np.where(group >= 0, np.where(direct >= 0, direct, SKIP), evidence.group)
    linked = closure.component if (evidence.pairs[:, 2] >= 0).any() else None
    implied = _outputs(named, output, c)
    choice = np.where((choice < 0) & (implied >= 0), implied, choice).astype(np.int32)
    rejected = np.zeros((len(group), c), bool)
    excluded = _outputs(renamed(evidence.excluded[:, 1], same), output, c, slots)
    known = excluded >= 0
    rejected[evidence.excluded[known, 0], excluded[known]] = True
    if len(closure.cannot):
        rejected |= _kept_apart(closure, implied, c)
    if unnamed and not (evidence.group >= 0).any():
        together = _together(closure, choice, rejected, np.asarray(probabilities))
        choice = np.where((choice < 0) & (together >= 0), together, choice).astype(np.int32)
        rejected |= _kept_apart(closure, np.where(implied >= 0, implied, together), c)
    rejected[choice >= 0] = False
    return Heard(slots, choice, rejected, linked)


def by_number(slots: np.ndarray, new: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Give each new group the output of its own number where that is free, else the lowest free."""
    del mass
    slots = np.array(slots, np.int32)
    number = np.where(new >= CLUSTERS, new - CLUSTERS, new)
    own = (number < len(slots)) & (slots[np.minimum(number, len(slots) - 1)] < 0)
    # A class and a cluster may have one number.
    _, first = np.unique(number, return_index=True)
    own &= np.isin(np.arange(len(new)), first)
    slots[number[own]] = new[own]
    free = np.flatnonzero(slots < 0)
    rest = new[~own][: len(free)]
    slots[free[: len(rest)]] = rest
    return slots


def by_prediction(slots: np.ndarray, new: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Give clusters the output of their own number, and all else the outputs that it fits best."""
    slots = by_number(slots, new[(new >= CLUSTERS) & (new < CLUSTERS + len(slots))], mass)
    free = np.flatnonzero(slots < 0)
    rows = np.flatnonzero(~np.isin(new, slots))
    chosen, places = linear_sum_assignment(-mass[np.ix_(rows, free)])
    slots[free[places]] = new[rows[chosen]]
    return slots


def agreed(probabilities: jax.Array, linked: np.ndarray | None) -> jax.Array:
    """Samples that must be together, of one number in ``linked`` ``[n]``, get their mean."""
    if linked is None:
        return probabilities
    size = jnp.zeros(len(linked)).at[linked].add(1.0)
    total = sums_by(jnp.asarray(linked), probabilities, len(linked))
    return (total / jnp.maximum(size, 1.0)[:, None])[linked]


def missing_outputs(evidence: Evidence, slots: np.ndarray, probabilities: np.ndarray) -> int:
    """How many outputs more than ``slots`` ``[c]`` the groups need; see :func:`hear`."""
    same = meet(evidence, probabilities)
    group, known = renamed(evidence.group, same), _merged(renamed(slots, same))
    new = np.setdiff1d(group[group >= 0], known)
    return max(0, len(new) - int((known < 0).sum()))


def _merged(slots: np.ndarray) -> np.ndarray:
    """``slots`` with one output for each group."""
    slots = np.array(slots, np.int32)
    _, first = np.unique(slots, return_index=True)
    slots[~np.isin(np.arange(len(slots)), first)] = -1
    return slots


def _placed(
    slots: np.ndarray, group: np.ndarray, probabilities: np.ndarray, place: Place
) -> np.ndarray:
    new = np.setdiff1d(group[group >= 0], slots)
    if not len(new):
        return slots
    said = np.flatnonzero(np.isin(group, new))
    mass = np.zeros((len(new), len(slots)))
    np.add.at(mass, np.searchsorted(new, group[said]), np.asarray(probabilities)[said])
    return place(slots, new, mass)


def _outputs(
    groups: np.ndarray, output: dict[int, int], c: int, slots: np.ndarray | None = None
) -> np.ndarray:
    """The output of each of ``groups`` ``[m]``, -1 for none.

    With ``slots``, a cluster that nobody was said to be of has the output of its own number, as
    long as that stands for nothing else.
    """
    found = np.full(len(groups), -1, np.int32)
    for name in np.unique(groups[groups >= 0]).tolist():
        place = output.get(name, -1)
        if place < 0 and slots is not None and 0 <= name - CLUSTERS < c:
            place = name - CLUSTERS if slots[name - CLUSTERS] < 0 else -1
        found[groups == name] = place
    return found


def _kept_apart(closure: Closure, outputs: np.ndarray, c: int) -> np.ndarray:
    """Bool ``[n, c]``, the ``outputs`` ``[n]`` of what a sample was said to differ from."""
    names, inverse = np.unique(closure.component, return_inverse=True)
    apart = np.zeros((len(names), c), bool)
    for one, other in (closure.cannot.T, closure.cannot[:, ::-1].T):
        known = outputs[other] >= 0
        apart[np.searchsorted(names, one[known]), outputs[other[known]]] = True
    return apart[inverse]


def _together(
    closure: Closure, choice: np.ndarray, rejected: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """The likeliest output of samples that are linked and of no group, int32 ``[n]``.

    The largest components choose first; those that differ from one another choose differently as
    long as they can.
    """
    found = np.full(len(choice), -1, np.int32)
    names, sizes = np.unique(closure.component, return_counts=True)
    taken: dict[int, int] = {}
    differ: dict[int, list[int]] = {}
    for one, other in closure.cannot.tolist():
        differ.setdefault(one, []).append(other)
        differ.setdefault(other, []).append(one)
    for name in names[np.lexsort((names, -sizes))][: int((sizes > 1).sum())].tolist():
        members = np.flatnonzero(closure.component == name)
        if (choice[members] >= 0).any():
            continue
        open_ = np.logical_not(rejected[members].any(axis=0))
        open_[[taken[other] for other in differ.get(name, ()) if other in taken]] = False
        if open_.any():
            mean = np.where(open_, probabilities[members].mean(axis=0), -1.0)
            found[members] = taken[name] = int(mean.argmax())
    return found


def representatives(
    asked: np.ndarray, labels: np.ndarray, assignments: np.ndarray, distances2: np.ndarray, c: int
) -> np.ndarray:
    """The sample of a round that stands for each cluster: the usable one nearest its centre.

    Args:
      asked: int ``[m]``, samples that may stand for theirs.
      labels: int ``[n]``, outputs by answer, negative without one.
      assignments: int ``[n]``, clusters.
      distances2: ``[n]``, squared distances to the own centre.
      c: the number of clusters.

    Returns:
      int32 ``[c]``, -1 for a cluster of which nothing usable was asked.
    """
    chosen = np.full(c, -1, np.int32)
    usable = asked[labels[asked] >= 0]
    for sample in usable[np.argsort(-distances2[usable], kind="stable")]:
        chosen[assignments[sample]] = sample
    return chosen


def nearest_to_centers(
    assignments: np.ndarray, distances2: np.ndarray, c: int, count: int
) -> np.ndarray:
    """Which samples are among the ``count`` nearest to the centre of their own cluster, ``[n]``."""
    nearest = np.zeros(len(assignments), bool)
    for cluster in range(c):
        members = np.flatnonzero(assignments == cluster)
        order = np.argsort(distances2[members], kind="stable")
        nearest[members[order[:count]]] = True
    return nearest


def around_answers(z: jax.Array, labels: np.ndarray, count: int) -> np.ndarray:
    """Take the ``count`` samples nearest each answered one for its class.

    Args:
      z: embeddings ``[n, d]``; beyond n, repeats.
      labels: int ``[n]``, outputs by answer, negative without one.
      count: how many of the samples that are nearer to this answered one than to any other.

    Returns:
      int32 ``[n]``, -1 for a sample of no group.
    """
    answered = np.flatnonzero(labels >= 0)
    if not len(answered):
        return np.full(len(labels), -1, np.int32)
    chosen = sharded.rows_at(z, jnp.asarray(answered))
    found = sharded.first(ops.knn(chosen, 1, queries=z), len(labels))
    owner = np.asarray(found.indices)[:, 0]
    near = nearest_to_centers(owner, np.asarray(found.distances2)[:, 0], len(answered), count)
    return np.where(near, labels[answered][owner], -1).astype(np.int32)
