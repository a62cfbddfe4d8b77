"""Several people's answers to one question become one, and how far they agreed."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from idc_jax.annotate.questions import SKIP
from idc_jax.annotate.store import Row
from idc_jax.errors import UserError, check_one_of


class Agreement(NamedTuple):
    """How far the people agreed in one round.

    Attributes:
      votes: int32 ``[m]``, how many answered each question.
      share: float32 ``[m]``, the share of them that gave the fused answer; 1 for one voter.
      disputed: int32 ``[q]``, the positions where not all gave the same answer.
      per_annotator: for each person, how often their answer was the fused one, from 0 to 1.
    """

    votes: np.ndarray
    share: np.ndarray
    disputed: np.ndarray
    per_annotator: dict[str, float]


def fuse(rows: Sequence[Row], count: int, fusion: str = "majority") -> np.ndarray:
    """Reduce live answers to one choice a question, int32 ``[count]``.

    A skip is an abstention: it counts only where nobody said anything else.

    Args:
      rows: live answers of one round, at most one a person and question.
      count: how many questions the round has; each needs an answer.
      fusion: ``"majority"`` (ties go to the answer that came last, so that with one voter a
        later correction wins) or ``"dawid_skene"`` (people weighted by their estimated
        confusion; Dawid & Skene, "Maximum likelihood estimation of observer error-rates").

    Raises:
      UserError: an unknown name of ``fusion``.
    """
    check_one_of("fusion", fusion, ("majority", "dawid_skene"))
    choice = np.full((count,), SKIP, np.int32)
    opinions = [row for row in rows if row.choice != SKIP]
    for position, votes in _by_position(opinions).items():
        choice[position] = _majority(votes)
    if fusion == "dawid_skene":
        for position, label in _dawid_skene(opinions).items():
            choice[position] = label
    return choice


def agreement(rows: Sequence[Row], fused: np.ndarray) -> Agreement:
    """Compare live answers ``rows`` with the ``fused`` choices ``[m]``."""
    votes = np.zeros(len(fused), np.int32)
    agreed = np.zeros(len(fused), np.float32)
    people: dict[str, list[bool]] = {}
    for row in rows:
        same = row.choice == fused[row.position]
        votes[row.position] += 1
        agreed[row.position] += same
        people.setdefault(row.annotator, []).append(bool(same))
    return Agreement(
        votes=votes,
        share=agreed / np.maximum(votes, 1),
        disputed=np.flatnonzero(agreed < votes).astype(np.int32),
        per_annotator={name: float(np.mean(same)) for name, same in sorted(people.items())},
    )


def _by_position(rows: Sequence[Row]) -> dict[int, list[Row]]:
    grouped: dict[int, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.position, []).append(row)
    return grouped


def _majority(votes: Sequence[Row]) -> int:
    counts = Counter(row.choice for row in votes)
    most = max(counts.values())
    return next(row.choice for row in reversed(votes) if counts[row.choice] == most)


def _dawid_skene(rows: Sequence[Row]) -> dict[int, int]:
    if not rows:
        return {}
    try:
        import pandas as pd
        from crowdkit.aggregation import DawidSkene
    except ImportError as error:
        raise UserError(
            "fusion='dawid_skene' needs crowd-kit: pip install 'idc_jax[page]'"
        ) from error
    frame = pd.DataFrame(
        [(row.position, row.annotator, row.choice) for row in rows],
        columns=["task", "worker", "label"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about crowd-kit's own calls
        labels = DawidSkene(n_iter=100).fit_predict(frame)
    return {int(task): int(label) for task, label in labels.items()}
