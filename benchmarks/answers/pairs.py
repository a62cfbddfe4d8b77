"""What 500 pairs teach: IPC beside PCL, the graph committee and labels of as much time.

    python -m benchmarks.answers.pairs                     # what is missing
    python -m benchmarks.answers.pairs --tasks digits --seeds 0 --variants ipc
    python -m benchmarks.answers.pairs --write             # the tables of docs/ipc.md

Every finished point is a line of ``results/pairs.jsonl``. A method asks its own pairs, learns from
those that IPC asked on the same seed ("the same pairs"), or from pairs drawn at random. A label
takes a person 2.2 times as long as "same or different?", so 227 of them stand beside 500 pairs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.answers.report import filled
from benchmarks.answers.tasks import ROOT, TASKS, Task
from idc_jax import Session
from idc_jax.data.target_maps import TARGET_MAPS
from idc_jax.methods import registry
from idc_jax.metrics import clustering_metrics

POINTS = Path(__file__).resolve().parent / "results" / "pairs.jsonl"
DOCUMENT = ROOT / "docs" / "ipc.md"
PAIRS, LABEL_TAKES = 500, 2.2
ROUNDS = 5
SEEDS = tuple(range(5))
# As of Session.answer.
Said = dict[Any, Any]


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


def measure(name: str, seed: int, variant: Variant) -> dict[str, Any]:
    """Play a variant; the metrics before any answer and at the end, and what was asked."""
    task = DATA[name](seed)
    begun = time.perf_counter()
    session = Session(
        task.inputs, task.clusters, method=variant.method, seed=seed, options=variant.options
    )
    before = reached(session, task)
    asked: list[list[int]] = []
    if variant.asks == "own":
        for count in shares(PAIRS, variant.rounds):
            pairs = session.ask(count).indices
            asked += pairs.tolist()
            session.answer(compared(task, pairs))
    elif variant.asks == "labels":
        for count in shares(round(PAIRS / LABEL_TAKES), variant.rounds):
            session.answer({int(i): int(task.labels[i]) for i in session.ask(count).indices})
    else:
        pairs = random_pairs(task, seed) if variant.asks == "random" else our_pairs(name, seed)
        for part in np.array_split(pairs, variant.rounds):
            session.answer(compared(task, part))
            reached(session, task)  # It learns, as it would before it asks again.
    return {
        "before": before,
        "after": reached(session, task),
        "seconds": round(time.perf_counter() - begun, 1),
        "pairs": asked,
    }


def shares(total: int, rounds: int) -> Iterator[int]:
    """``total`` questions in ``rounds`` parts."""
    for number in range(rounds):
        yield total * (number + 1) // rounds - total * number // rounds


def compared(task: Task, pairs: np.ndarray) -> Said:
    """What somebody says of ``pairs`` ``[m, 2]`` who knows the labels."""
    return {(int(i), int(j)): bool(task.labels[i] == task.labels[j]) for i, j in pairs}


def random_pairs(task: Task, seed: int) -> np.ndarray:
    """Different pairs of different samples, uniformly."""
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.integers(len(task.labels), size=(2 * PAIRS, 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] != drawn[:, 1]], axis=0)
    return rng.permutation(drawn)[:PAIRS]


def our_pairs(name: str, seed: int) -> np.ndarray:
    """The pairs that IPC asked about on the same data."""
    (found,) = (row["pairs"] for key, row in finished().items() if key == (name, OURS, seed))
    return np.asarray(found)


def reached(session: Session, task: Task) -> dict[str, float]:
    """ACC, NMI and ARI."""
    probs = session.probabilities_
    found = clustering_metrics(probs.argmax(1), task.labels, probs.shape[1])
    return {name: round(found[name], 5) for name in ("acc", "nmi", "ari")}


def finished() -> dict[tuple[str, str, int], dict[str, Any]]:
    """The points that are there already, by data set, variant and seed."""
    if not POINTS.exists():
        return {}
    rows = [json.loads(line) for line in POINTS.read_text().splitlines()]
    return {(row["task"], row["variant"], row["seed"]): row for row in rows}


def table(metric: str, names: tuple[str, ...]) -> str:
    """The variants ``names`` by data set, mean ± standard deviation over the seeds."""
    lines = ["| " + " | ".join([metric.upper(), *DATA]) + " |", "|---" * (len(DATA) + 1) + "|"]
    lines += [_line(f"**{n}**" if n == OURS else n, n, "after", metric) for n in names]
    begun = (name for name in (OURS, "IPC, paper", "PCL") if name in names)
    lines += [_line(f"*before any answer: {name}*", name, "before", metric) for name in begun]
    return "\n".join(line for line in lines if line)


def _line(title: str, name: str, when: str, metric: str) -> str:
    """One variant's row, or nothing where it was not measured."""
    rows = [row for row in finished().values() if row["variant"] == name]
    found = [[row[when][metric] for row in rows if row["task"] == task] for task in DATA]
    return "| " + " | ".join([title, *map(_cell, found)]) + " |" if rows else ""


def _cell(values: list[float]) -> str:
    if not values:
        return "–"
    few = f" ({len(values)})" if len(values) < len(SEEDS) else ""
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}{few}"


_BESIDE = (
    OURS,
    "IPC, paper",
    "PCL",
    "PCL, the same pairs",
    "graph committee, the same pairs",
    "graph committee, as much time for labels",
)
_PARTS = tuple(name for name, variant in VARIANTS.items() if variant.method == "ipc")
TABLES = {
    "pairs_acc": ("acc", _BESIDE),
    "pairs_nmi": ("nmi", _BESIDE),
    "pairs_parts": ("acc", _PARTS),
}


def main() -> None:
    """Measure what is missing, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(DATA), choices=DATA)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--write", action="store_true", help="only write the tables")
    given = parser.parse_args()
    if given.write:
        tables = {name: table(*wanted) for name, wanted in TABLES.items()}
        DOCUMENT.write_text(filled(DOCUMENT.read_text(), tables))
        return
    for task in given.tasks:
        for seed, name in itertools.product(given.seeds, given.variants):
            if (task, name, seed) not in finished():
                _keep(task, name, seed)
        jax.clear_caches()  # sizes differ between data sets; a process has only so many maps


def _keep(task: str, name: str, seed: int) -> None:
    """Measure one point, write it down and tell it."""
    row = measure(task, seed, VARIANTS[name])
    if name != OURS:
        del row["pairs"]  # Nobody learns from these.
    # One write a line, as others may be writing.
    with POINTS.open("a", buffering=1 << 20) as file:
        file.write(json.dumps({"task": task, "variant": name, "seed": seed, **row}) + "\n")
    told = f"{row['before']['acc']:.3f} -> {row['after']['acc']:.3f}"
    print(task, name, seed, told, f"{row['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
