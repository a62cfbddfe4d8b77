"""What 500 pairs teach: IPC beside PCL, the graph committee and labels of as much time.

    python -m benchmarks pairs --task digits_2_shape --variant IPC --seeds 0
    python -m benchmarks pairs --report                     # the tables of docs/ipc.md

A method asks its own pairs, learns from those that IPC asked on the same seed ("the same pairs"),
or from pairs drawn at random. A label takes a person 2.2 times as long as "same or different?", so
227 of them stand beside 500 pairs.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.answers.course import agreement
from benchmarks.answers.tasks import TASKS, Task
from benchmarks.harness.points import Family, Point, Row, Tables
from benchmarks.harness.tables import DOCS, spread, table
from idc_jax import Session
from idc_jax.data.target_maps import TARGET_MAPS
from idc_jax.methods import registry

PAIRS, LABEL_TAKES = 500, 2.2
ROUNDS = 5
SEEDS = tuple(range(5))


def _digits(target: str) -> Callable[[int], Task]:
    def task(seed: int) -> Task:
        digits = TASKS["digits"](seed)
        return digits._replace(
            labels=np.asarray(TARGET_MAPS[target].targets)[digits.labels], clusters=2
        )

    return task


DATA: dict[str, Callable[[int], Task]] = {
    name: TASKS[name] for name in ("cifar100_4_personal", "cifar100_4_default")
}
DATA |= {name: _digits(name) for name in ("digits_2_parity", "digits_2_shape")}


class Variant(NamedTuple):
    """What is measured.

    Attributes:
      method: a name of the registry.
      options: besides what the method has for features.
      asks: ``"own"`` questions, ``"same"`` pairs as IPC's, ``"random"`` pairs, or ``"labels"``.
      rounds: in which the answers come, each of which is learned from.
    """

    method: str
    options: dict[str, Any]
    asks: str = "own"
    rounds: int = ROUNDS


def _paper() -> dict[str, Any]:
    """The paper's options; how many rounds and questions is not a method's to say."""
    recipe = registry.get("ipc").recipes["paper"]
    return {name: value for name, value in recipe.items() if "." in name}


PAPER = _paper()
OURS = "IPC"
VARIANTS: dict[str, Variant] = {
    OURS: Variant("ipc", {}),
    "without averaging": Variant("ipc", {"ipc.hops": 0}),
    "without decorrelation": Variant("ipc", {"ipc.decorrelate": False}),
    "from the first start": Variant("ipc", {"ipc.starts": 1}),
    "without spreading": Variant("ipc", {"ipc.spread": 0.0}),
    "without pseudo-labels": Variant("ipc", {"ipc_training.pseudo_weight": 0.0}),
    "with the answers' closure": Variant("ipc", {"ipc.closure": True}),
    "with hard anchors": Variant("ipc", {"ipc.hardness": 1.0}),
    "all in one round": Variant("ipc", {}, rounds=1),
    "random pairs": Variant("ipc", {}, "random", 1),
    "IPC, paper": Variant("ipc", PAPER, rounds=1),
    "paper, without pseudo-labels": Variant(
        "ipc", {**PAPER, "ipc_training.pseudo_weight": 0.0}, rounds=1
    ),
    "paper, random pairs": Variant("ipc", PAPER, "random", 1),
    "paper, with the answers' closure": Variant("ipc", {**PAPER, "ipc.closure": True}, rounds=1),
    "paper, with spreading": Variant("ipc", {**PAPER, "ipc.spread": 0.9}, rounds=1),
    "PCL": Variant("pcl", {}),
    "PCL, the same pairs": Variant("pcl", {}, "same"),
    "graph committee, the same pairs": Variant("graph_committee", {}, "same", 1),
    "graph committee, as much time for labels": Variant("graph_committee", {}, "labels", 10),
}


@lru_cache(maxsize=1)
def task_of(name: str, seed: int) -> Task:
    """A data set; programs of the one before are given back."""
    jax.clear_caches()  # sizes differ between data sets; a process has only so many maps
    return DATA[name](seed)


def begin(task: Task, variant: Variant, seed: int) -> Session:
    """A session of the variant that has asked nothing."""
    return Session(
        task.inputs, task.clusters, method=variant.method, seed=seed, options=variant.options
    )


def measure(point: Point) -> Row:
    """Play a variant; the metrics before any answer and at the end."""
    name, seed, variant = point["task"], point["seed"], VARIANTS[point["variant"]]
    task, begun = task_of(name, seed), time.perf_counter()
    session = begin(task, variant, seed)
    before = agreement(session.probabilities_, task.labels)
    if variant.asks == "own":
        asked_pairs(session, task, variant.rounds)
    elif variant.asks == "labels":
        for count in shares(round(PAIRS / LABEL_TAKES), variant.rounds):
            session.answer({int(i): int(task.labels[i]) for i in session.ask(count).indices})
    else:
        pairs = random_pairs(task, seed) if variant.asks == "random" else our_pairs(name, seed)
        for part in np.array_split(pairs, variant.rounds):
            session.answer(compared(task, part))
            session.probabilities_  # noqa: B018  It learns, as it would before it asks again.
    after = agreement(session.probabilities_, task.labels)
    return {"before": before, "after": after, "seconds": time.perf_counter() - begun}


def asked_pairs(session: Session, task: Task, rounds: int) -> np.ndarray:
    """Let it ask all pairs and answer them; returns them, ``[PAIRS, 2]``."""
    asked = []
    for count in shares(PAIRS, rounds):
        asked.append(session.ask(count).indices)
        session.answer(compared(task, asked[-1]))
    return np.concatenate(asked)


@lru_cache(maxsize=1)
def our_pairs(name: str, seed: int) -> np.ndarray:
    """The pairs that IPC asks about on the same data."""
    task = task_of(name, seed)
    return asked_pairs(begin(task, VARIANTS[OURS], seed), task, ROUNDS)


def shares(total: int, rounds: int) -> Iterator[int]:
    """``total`` questions in ``rounds`` parts."""
    for number in range(rounds):
        yield total * (number + 1) // rounds - total * number // rounds


def compared(task: Task, pairs: np.ndarray) -> dict[Any, Any]:
    """What somebody says of ``pairs`` ``[m, 2]`` who knows the labels, as of Session.answer."""
    return {(int(i), int(j)): bool(task.labels[i] == task.labels[j]) for i, j in pairs}


def random_pairs(task: Task, seed: int) -> np.ndarray:
    """Different pairs of different samples, uniformly."""
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.integers(len(task.labels), size=(2 * PAIRS, 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] != drawn[:, 1]], axis=0)
    return rng.permutation(drawn)[:PAIRS]


def beside(rows: list[Row], metric: str, names: Sequence[str]) -> str:
    """The variants ``names`` by data set, mean ± standard deviation over the seeds."""
    lines = [(f"**{name}**" if name == OURS else name, name, "after") for name in names]
    begun = (name for name in (OURS, "IPC, paper", "PCL") if name in names)
    lines += [(f"*before any answer: {name}*", name, "before") for name in begun]
    found = []
    for title, name, when in lines:
        here = [row for row in rows if row["variant"] == name]
        cells = [[row[when][metric] for row in here if row["task"] == task] for task in DATA]
        found += [[title, *map(_cell, cells)]] if here else []
    return table([metric.upper(), *DATA], found)


def _cell(values: list[float]) -> str:
    few = f" ({len(values)})" if 0 < len(values) < len(SEEDS) else ""
    return spread(values, ddof=0) + few


_BESIDE = (
    OURS,
    "IPC, paper",
    "PCL",
    "PCL, the same pairs",
    "graph committee, the same pairs",
    "graph committee, as much time for labels",
)
_PARTS = tuple(name for name, variant in VARIANTS.items() if variant.method == "ipc")


def tables(rows: list[Row]) -> Tables:
    """Those of docs/ipc.md."""
    found = {
        "pairs_acc": beside(rows, "acc", _BESIDE),
        "pairs_nmi": beside(rows, "nmi", _BESIDE),
        "pairs_parts": beside(rows, "acc", _PARTS),
    }
    return {DOCS / "ipc.md": found}


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """Every variant on every data set."""
    for task, seed, variant in itertools.product(DATA, seeds, VARIANTS):
        yield {"task": task, "variant": variant, "seed": seed}


FAMILY = Family(
    fields=("task", "variant", "seed"),
    points=points,
    measure=measure,
    tables=tables,
    shares=("task", "seed"),
    seeds=SEEDS,
)
