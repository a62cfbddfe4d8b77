"""Accuracy against answers: selectors x learners x budgets x seeds, on several data sets.

    python -m benchmarks.answers.run                         # the whole grid
    python -m benchmarks.answers.run --tasks digits --seeds 5
    python -m benchmarks.answers.run --report                # tables and figure of what is there

Every finished point is a line of ``results/points.jsonl``; what is there is not repeated, so a
run that was stopped goes on. Learners all work on features averaged over ten neighbours three
times: "regression" and "spreading" are what an hour of scripting gives, "graph_committee" is the
method, with its own picks or with a selector's.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.answers.tasks import TASKS, Task
from idc_jax import ops
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.methods import graph_committee
from idc_jax.methods.graph_committee import GraphCommitteeOptions
from idc_jax.metrics import clustering_metrics

RESULTS = Path(__file__).resolve().parent / "results"
POINTS = RESULTS / "points.jsonl"
BUDGETS = (1, 2, 5, 10, 25)
PLAIN: dict[str, Any] = {"decorrelate": False}
LEARNERS: dict[str, dict[str, Any]] = {
    "regression": {**PLAIN, "reaches": ()},
    "spreading": {**PLAIN, "reaches": ((15, 0.95),), "regression": 0.0},
    "graph_committee": {},
    "without decorrelation": {**PLAIN},
    "without regression": {"regression": 0.0},
    "without spreading": {"reaches": ()},
    "one reach": {"reaches": ((15, 0.95),)},
    "answers taken as law": {"trust": 0.9999},
}
ABLATIONS = tuple(LEARNERS)[3:]
SELECTORS = (
    "value",
    "medoids",
    "random",
    "margin",
    "k_center",
    "typiclust",
    "probcover",
    "max_herding",
    "u_herding",
    "idc",
    "dsac",
)
# These look at predictions, so they ask in rounds; the others spend their budget at once.
IN_ROUNDS = ("value", "margin", "u_herding")
MOST_ROUNDS = 10


class Point(NamedTuple):
    """One run: where, how, with how many answers per class."""

    task: str
    learner: str
    selector: str
    per_class: int
    seed: int


def truthful(questions: Questions, task: Task, seed: int) -> Answers:
    """Labels, a share of them wrong; a sample's answer depends on it and the seed alone."""
    said = []
    for sample in questions.indices.tolist():
        rng = np.random.default_rng([seed, sample])
        label, errs = int(task.labels[sample]), rng.random() < task.error_rate
        others = np.delete(np.arange(task.classes), label)
        said.append(int(rng.choice(others)) if errs else label)
    choice = np.asarray(said, np.int32)
    return Answers("label", questions.round, questions.indices, questions.candidates, choice)


@functools.lru_cache(maxsize=2)
def space(task: str, decorrelate: bool) -> graph_committee.Compared:
    """Averaged features and their graph, which all runs on a data set share."""
    options = GraphCommitteeOptions(decorrelate=decorrelate)
    return graph_committee.compare(jax.random.key(0), jnp.asarray(TASKS[task]().inputs), options)


def play(point: Point) -> dict[str, Any]:
    """Run ``point``; its accuracy, and what was expected round by round."""
    task, options = TASKS[point.task](), LEARNERS[point.learner]
    method = graph_committee.build(
        None,  # type: ignore[arg-type]  # features need no network, and no views of it
        None,  # type: ignore[arg-type]
        jnp.asarray(task.inputs),
        num_clusters=task.clusters,
        begin=lambda key: {},
        options=GraphCommitteeOptions(**{**options, "picks": point.selector}),
        log=lambda values: None,
    )
    compared = space(point.task, options.get("decorrelate", True))
    wanted = max((k for k, _ in options.get("reaches", ((15, 0.0),))), default=1)
    near = ops.Neighbors(*(part[:, :wanted] for part in compared.neighbors))
    compared = compared._replace(neighbors=near)
    keys = jax.random.split(jax.random.key(point.seed), 2 * MOST_ROUNDS + 1)
    state = graph_committee.first_state(keys[0], compared, task.clusters, restarts=3)
    start = _accuracy(method.predict(state), task)
    started, rounds = time.perf_counter(), []
    for round_, budget in enumerate(_shares(point, task), start=1):
        state, questions = method.ask(keys[2 * round_ - 1], state, round_, budget)
        answers = truthful(questions, task, point.seed)
        state, info = method.learn(keys[2 * round_], state, answers)
        rounds.append({**info, **_accuracy(method.predict(state), task)})
    seconds = time.perf_counter() - started
    return {**point._asdict(), **rounds[-1], "start": start, "rounds": rounds, "seconds": seconds}


def _shares(point: Point, task: Task) -> list[int]:
    total = point.per_class * task.classes
    rounds = min(MOST_ROUNDS, point.per_class) if point.selector in IN_ROUNDS else 1
    return [total // rounds + (r < total % rounds) for r in range(rounds)]


def _accuracy(probabilities: jax.Array, task: Task) -> dict[str, float]:
    predicted = np.asarray(probabilities).argmax(1)
    found = clustering_metrics(predicted, task.labels, probabilities.shape[1])
    return {name: found[name] for name in ("acc", "nmi", "ari")}


def grid(given: argparse.Namespace) -> Iterator[Point]:
    """All points, a data set at a time, and a seed at a time within it."""
    for task, seed, budget in itertools.product(given.tasks, given.seeds, given.budgets):
        for learner in given.learners:
            for selector in given.selectors:
                ours = learner == "graph_committee" and selector == "value"
                ablation = learner in ABLATIONS
                if ours or (selector != "value") != ablation or given.cross:
                    yield Point(task, learner, selector, budget, seed)


def finished() -> dict[Point, dict[str, Any]]:
    """The points that are there already."""
    if not POINTS.exists():
        return {}
    rows = [json.loads(line) for line in POINTS.read_text().splitlines()]
    return {Point(*(row[name] for name in Point._fields)): row for row in rows}


def main() -> None:
    """Run what is missing, or write the tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--learners", nargs="*", default=list(LEARNERS), choices=LEARNERS)
    parser.add_argument("--selectors", nargs="*", default=list(SELECTORS), choices=SELECTORS)
    parser.add_argument("--budgets", nargs="*", type=int, default=list(BUDGETS))
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(5)))
    parser.add_argument("--cross", action="store_true", help="every learner with every selector")
    parser.add_argument("--report", action="store_true", help="only write tables and figure")
    given = parser.parse_args()
    if given.report:
        from benchmarks.answers import report

        report.write(list(finished().values()))
        return
    RESULTS.mkdir(exist_ok=True)
    there = finished()
    for point in grid(given):
        if point in there:
            continue
        row = play(point)
        with POINTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(*point, f"{row['acc']:.4f}", f"{row['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
