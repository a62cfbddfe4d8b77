"""Grids: several samples thought to be of one group, of which people click on the strangers."""

from __future__ import annotations

import numpy as np

from idc_jax.annotate.questions import Questions, Role, grid_questions
from idc_jax.asking import worth
from idc_jax.asking.known import Known
from idc_jax.outlook import GRID_SIZE, grid_seconds

# A grid of fewer is not worth the look at what its group is.
_LEAST = 12
# So sure is the model of a sample in a grid: groups that are nearly pure, or clicks take the time
# that a name would.
_PURE = 0.7


def ask_grids(known: Known, budget: int) -> Questions:
    """Ask about at most ``budget`` samples, in grids that mend most per second.

    The samples of a group with a name about which nobody was asked, the least sure first.
    """
    probs, output, free = known.probabilities, known.output, ~known.asked
    sure = probs.max(axis=1)
    grids: list[tuple[float, int, np.ndarray]] = []
    for number in np.flatnonzero(known.named).tolist():
        members = np.flatnonzero((output == number) & free & (sure >= _PURE))
        members = members[np.argsort(sure[members], kind="stable")]
        for start in range(0, len(members), GRID_SIZE):
            part = members[start : start + GRID_SIZE]
            gain = worth.of_checking(probs[part], np.full(len(part), number)).sum()
            seconds = grid_seconds(len(part), float((1.0 - sure[part]).sum()))
            if len(part) >= _LEAST:
                grids.append((float(gain / seconds), number, part))
    grids.sort(key=lambda grid: (-grid[0], grid[1]))
    count = max(1, round(budget / GRID_SIZE))
    chosen = sorted(grids[:count], key=lambda grid: grid[1])
    empty = np.zeros(0, np.int64)
    rows = np.concatenate([empty, *(part for _, _, part in chosen)])[:budget]
    groups = np.concatenate([empty, *(np.full(len(part), one) for _, one, part in chosen)])[:budget]
    values = worth.of_checking(probs[rows], groups)
    roles = np.full(len(rows), Role.CHECK, np.int8)
    return grid_questions(0, rows, known.slots[groups], values, roles)
