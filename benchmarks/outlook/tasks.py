"""The data that the outlook is calibrated on, and which of them go together.

All that choose among the answers benchmark's, and five more, so that a set which is left out
of a fit meets others of its kind and of other kinds. Sets that report are not among them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from benchmarks.answers.choosing import dna, vehicle, vowel
from benchmarks.answers.reporting import REPORTING
from benchmarks.answers.sources import as_task, mlbench, numbers, standard
from benchmarks.answers.tasks import FEATURES, TASKS, Task

# Samples of a course.
SIZE = 3_000
# Classes that a seed draws of CIFAR-100's.
FINE = 12


@functools.cache
def shuttle() -> Task:
    """Seven states of a space shuttle, the largest of them four fifths of all, of mlbench."""
    table = mlbench("Shuttle")
    return as_task(standard(table.drop(columns="Class")), numbers(table["Class"]))


def fine(seed: int) -> Task:
    """Twelve of CIFAR-100's classes, drawn by the seed, with three wrong answers in a hundred."""
    with np.load(FEATURES) as found:
        x, labels = found["features"].astype(np.float32), found["fine_labels"].astype(int)
    drawn = np.random.default_rng([seed, 2]).choice(100, FINE, replace=False)
    kept = np.isin(labels, drawn)
    return as_task(x[kept], np.searchsorted(np.sort(drawn), labels[kept]))._replace(error_rate=0.03)


MORE: dict[str, Callable[[int], Task]] = {
    "vowel": lambda seed: vowel(),
    "vehicle": lambda seed: vehicle(),
    "shuttle": lambda seed: shuttle(),
    "dna": lambda seed: dna(),
    "cifar100_fine": fine,
}
CHOOSING = {name: TASKS[name] for name in TASKS if name != "cifar20"} | MORE
SETS = CHOOSING | REPORTING
# What is left out of a fit together: the same samples, asked about otherwise.
FAMILIES = {
    "digits": ("digits", "digits_wrong"),
    "fashion": ("fashion",),
    "cifar20": (
        "cifar20_part",
        "cifar20_wrong",
        "cifar20_tailed",
        "cifar20_half",
        "cifar20_double",
    ),
    "cifar100_4": ("cifar100_4_default", "cifar100_4_personal"),
} | {name: (name,) for name in MORE}


def family(name: str) -> str:
    """The family of a set; a set that reports is its own."""
    return next((key for key, members in FAMILIES.items() if name in members), name)


def drawn(name: str, seed: int) -> Task:
    """A set's samples for a course, ``SIZE`` of them at most."""
    found = SETS[name](seed)
    return found.part(seed, min(SIZE, len(found.labels)))
