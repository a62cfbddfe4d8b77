"""The groups as they stand: what was predicted, and over it what people said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from idc_jax.annotate.closure import CLUSTERS
from idc_jax.annotate.evidence import Evidence

# Who stands nowhere.
NOWHERE = -1


class Prediction(NamedTuple):
    """What the method says.

    Attributes:
      probabilities: float ``[n, c]``.
      slots: int ``[c]``, the group that each output stands for, -1 for none; None where the
        method does not say.
      embeddings: float ``[n, d]``, or None.
    """

    probabilities: np.ndarray
    slots: np.ndarray | None = None
    embeddings: np.ndarray | None = None


class Places(NamedTuple):
    """What groups there are.

    Attributes:
      names: of groups and classes, by class id.
      merged: class ids that are no more, each with what it is now.
      named: the class ids of groups that are shown even if they are empty.
      made_of: the outputs that groups were before they had a name, by class id; they are as long
        as the method knows no better.
    """

    names: Mapping[int, str]
    merged: Mapping[int, int]
    named: tuple[int, ...]
    made_of: Mapping[int, int]


class Standing(NamedTuple):
    """One group.

    Attributes:
      ref: ``"id:7"`` with a name, ``"cluster:3"`` without.
      number: of the output that stands for it, -1 for none yet.
      id: its class id, -1 without a name.
      name: what it is called.
      members: int ``[m]``, the surest first.
    """

    ref: str
    number: int
    id: int
    name: str
    members: np.ndarray


class Board(NamedTuple):
    """All groups at one moment.

    Attributes:
      groups: in the order of their numbers, those without one behind.
      place: int ``[n]``, the position in ``groups`` of each sample's.
      confidence: float32 ``[n]``, how likely each is of its group.
      answered: bool ``[n]``, whether somebody said what it is.
    """

    groups: tuple[Standing, ...]
    place: np.ndarray
    confidence: np.ndarray
    answered: np.ndarray


def stand(prediction: Prediction, evidence: Evidence, places: Places) -> Board:
    """Put every sample where it was said to be, else where it is predicted to be.

    Args:
      prediction: of the method.
      evidence: all that was said.
      places: what groups there are.
    """
    probs = np.asarray(prediction.probabilities)
    said = np.where(evidence.group >= 0, evidence.group, evidence.closure.label)
    names = places.names
    ids = _ids_of_outputs(prediction, said, places)
    column = {id_: number for number, id_ in enumerate(ids.tolist()) if id_ >= 0}
    classes = said[(said >= 0) & (said < CLUSTERS)].tolist()
    extra = sorted({*classes, *places.named} - {*column})
    place = _predicted(probs, evidence.excluded, column, ids)
    heads = [_head(number, id_, names) for number, id_ in enumerate(ids.tolist())]
    heads += [_head(-1, id_, names) for id_ in extra]
    where = {head.id: at for at, head in enumerate(heads) if head.id >= 0}
    where |= {CLUSTERS + n: n for n, id_ in enumerate(ids.tolist()) if id_ < 0}
    told = np.flatnonzero(said >= 0)
    stands = np.asarray([where.get(group, NOWHERE) for group in said[told].tolist()], np.int32)
    place[told] = np.where(stands >= 0, stands, place[told])
    rows = np.flatnonzero(place < probs.shape[1])
    confidence = np.ones(len(place), np.float32)
    confidence[rows] = probs[rows, place[rows]]
    # By group, and in each by confidence.
    order = np.lexsort((-confidence, place))
    ends = np.cumsum(np.bincount(place, minlength=len(heads)))
    members = np.split(order.astype(np.int32), ends[:-1])
    groups = tuple(head._replace(members=m) for head, m in zip(heads, members, strict=True))
    return Board(groups, place, confidence, evidence.group >= 0)


def typical(embeddings: np.ndarray, members: np.ndarray) -> np.ndarray:
    """``members`` ``[m]``, nearest to their common direction in ``embeddings`` ``[n, d]`` first."""
    return members[np.argsort(-_closeness(embeddings[members]), kind="stable")]


def split(embeddings: np.ndarray, members: np.ndarray, steps: int = 20) -> list[np.ndarray]:
    """The two clusters within ``members`` ``[m]``, each with its most typical samples first.

    Two-means on unit vectors, begun along the direction in which the members differ most.

    Args:
      embeddings: ``[n, d]``.
      members: samples, at least 2.
      steps: of Lloyd's algorithm at most.
    """
    x = _unit(embeddings[members])
    centered = x - x.mean(axis=0)
    direction = centered[np.argmax(np.einsum("ij,ij->i", centered, centered))]
    for _ in range(steps):
        direction = _unit((centered @ direction)[None] @ centered)[0]
    second = centered @ direction > 0
    for _ in range(steps):
        if second.all() or not second.any():
            break
        centers = _unit(np.stack([x[~second].mean(axis=0), x[second].mean(axis=0)]))
        now = x @ (centers[1] - centers[0]) > 0
        if np.array_equal(now, second):
            break
        second = now
    parts = [members[~second], members[second]]
    return [typical(embeddings, part) if len(part) else part for part in parts]


def _closeness(x: np.ndarray) -> np.ndarray:
    unit = _unit(x)
    return unit @ unit.mean(axis=0)


def _unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _head(number: int, id_: int, names: Mapping[int, str]) -> Standing:
    nobody = np.zeros(0, np.int32)
    if id_ < 0:
        return Standing(f"cluster:{number}", number, -1, f"cluster {number}", nobody)
    return Standing(f"id:{id_}", number, id_, names.get(id_, f"class {id_}"), nobody)


def _ids_of_outputs(prediction: Prediction, said: np.ndarray, places: Places) -> np.ndarray:
    """The class id that each output stands for, -1 for none, int64 ``[c]``."""
    probs, slots = prediction.probabilities, prediction.slots
    if slots is not None:
        ids = [places.merged.get(id_, id_) for id_ in np.asarray(slots).tolist()]
        ids = [id_ if 0 <= id_ < CLUSTERS else -1 for id_ in ids]
        # Of two that were merged, the first.
        ids = [-1 if id_ in ids[:n] else id_ for n, id_ in enumerate(ids)]
        for id_, number in places.made_of.items():
            if id_ not in ids and number < len(ids) and ids[number] < 0:
                ids[number] = id_
        return np.asarray(ids, np.int64)
    known = np.flatnonzero((said >= 0) & (said < CLUSTERS))
    classes, at = np.unique(said[known], return_inverse=True)
    votes = np.zeros((probs.shape[1], len(classes)))
    np.add.at(votes, (probs[known].argmax(axis=1), at), 1)
    found = np.full(probs.shape[1], -1)
    for number, one in zip(*linear_sum_assignment(-votes), strict=True):
        if votes[number, one]:
            found[number] = classes[one]
    return found


def _predicted(
    probs: np.ndarray, excluded: np.ndarray, column: Mapping[int, int], ids: np.ndarray
) -> np.ndarray:
    """The likeliest output of each sample that was not ruled out, int64 ``[n]``."""
    place = probs.argmax(axis=1)
    known = {**column, **{CLUSTERS + n: n for n, id_ in enumerate(ids.tolist()) if id_ < 0}}
    rows = [(sample, known[group]) for sample, group in excluded.tolist() if group in known]
    if not rows:
        return place
    samples, columns = np.asarray(rows).T
    again = np.unique(samples)
    open_ = probs[again].copy()
    open_[np.searchsorted(again, samples), columns] = -1.0
    place[again] = open_.argmax(axis=1)
    return place
