"""What the measurements of DSAC and PCL share: features, starts, one run, and points on file.

A point is one variant with one seed. It is appended to ``results/NAME.jsonl`` when it is done, so
a script that was stopped goes on where it was; ``tables.py`` makes the tables of those files.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from idc_jax import data, models
from idc_jax.annotate.evidence import Ledger
from idc_jax.annotate.questions import Answers, Questions, answered
from idc_jax.data.base import Dataset
from idc_jax.data.views import Views
from idc_jax.methods.contract import Method, Round
from idc_jax.metrics import clustering_metrics
from idc_jax.models.base import Model, Variables
from idc_jax.models.heads import HeadLayout
from idc_jax.train.pretrain import PretrainOptions, pretrain

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ROOT.parent / "shared" / "data" / "cifar20_features.npz"
RESULTS = Path(__file__).resolve().parent / "results"
SEEDS = (0, 1, 2)

Row = dict[str, float]

FEATURE_VIEWS = data.feature_views(
    weak_noise=0.3, strong_noise=0.3, weak_dropout=0.2, strong_dropout=0.2, scale=0.2
)


def parse(about: str, option: str, choices: tuple[str, ...]) -> argparse.Namespace:
    """The command line of a script: what to measure (``option``), ``seeds`` and ``only``."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument(option, dest="what", choices=choices, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--only", default="", help="variants whose name contains this")
    return parser.parse_args()


def load_features(label_key: str, limit: int | None = None) -> Dataset:
    """The frozen features, each of the same length: what a user does with such features first."""
    dataset = data.load(
        "features", path=FEATURES, label_key=label_key, limit=limit, subset="random", seed=0
    )
    norms = np.linalg.norm(dataset.inputs, axis=1, keepdims=True)
    return dataset._replace(inputs=16 * dataset.inputs / norms)


def labels_of(dataset: Dataset) -> np.ndarray:
    """The labels, which all data here have."""
    assert dataset.labels is not None
    return dataset.labels


def classes_of(dataset: Dataset) -> int:
    """How many classes there are."""
    return int(labels_of(dataset).max()) + 1


def feature_network(num_clusters: int, head: HeadLayout) -> Model:
    """A small multilayer perceptron on the features."""
    return models.build(
        "mlp",
        num_clusters=num_clusters,
        input_shape=(256,),
        width=256,
        embedding_dim=128,
        head=head,
    )


def trained(
    seed: int, model: Model, views: Views, inputs: jax.Array, options: PretrainOptions
) -> Variables:
    """A pre-trained start."""
    state = pretrain(
        jax.random.key(seed), model, views, inputs, options, log=lambda _: None, progress=False
    )
    note(f"seed {seed}: pre-trained")
    return jax.block_until_ready(state.variables)


class Points:
    """The finished points of one file.

    Args:
      name: of the file in ``results``.
    """

    def __init__(self, name: str):
        self.path = RESULTS / f"{name}.jsonl"
        self.done = {(point["variant"], point["seed"]) for point in read_points(name)}

    def run(self, variant: str, seed: int, measure: Callable[[], list[Row]]) -> None:
        """Measure a point, unless it is on file already."""
        if (variant, seed) in self.done:
            return
        started = time.perf_counter()
        rows = measure()
        seconds = round(time.perf_counter() - started, 1)
        point = {"variant": variant, "seed": seed, "seconds": seconds, "rows": rows}
        RESULTS.mkdir(exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(point) + "\n")
        self.done.add((variant, seed))
        course = " ".join(f"{row['acc']:.3f}" for row in rows)
        note(f"{variant}, seed {seed}: {course} ({seconds:.0f} s)")


def read_points(name: str) -> list[dict[str, Any]]:
    """The points of ``results/NAME.jsonl``, none where there is no such file."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_rounds(
    method: Method, labels: np.ndarray, num_clusters: int, budget: int, rounds: int, seed: int
) -> list[Row]:
    """Metrics before any answer and after each round, with the questions asked so far."""
    keys = iter(jax.random.split(jax.random.key(seed), 2 * rounds + 1))
    context, state = method.init(next(keys))
    rows, ledger = [_score(state, labels, num_clusters, 0)], Ledger(len(labels))
    each = budget // rounds
    for number in range(1, rounds + 1):
        asked = int(rows[-1]["questions"])
        round_ = Round(number, each, asked, each * rounds, number == rounds, number)
        questions = method.ask(next(keys), context, state, ledger.evidence(), round_)
        ledger.add(questions, truthful(questions, labels))
        state, _ = method.learn(next(keys), context, state, ledger.evidence(), round_)
        rows.append(_score(state, labels, num_clusters, asked + questions.count))
    return rows


def truthful(questions: Questions, labels: np.ndarray) -> Answers:
    """The answers of somebody who knows the labels."""
    asked = labels[questions.indices]
    return answered(questions, asked[:, 0] == asked[:, 1] if questions.kind == "pair" else asked)


def scored(predictions: np.ndarray, labels: np.ndarray, clusters: int, questions: float) -> Row:
    """One row of a point."""
    found = clustering_metrics(predictions, labels, clusters)
    return {"questions": float(questions), **{k: round(v, 5) for k, v in found.items()}}


def note(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _score(state: Any, labels: np.ndarray, clusters: int, asked: float) -> Row:
    return scored(np.asarray(state.probabilities).argmax(1), labels, clusters, asked)
