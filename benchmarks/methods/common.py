"""What the tables of DSAC and PCL share: features, starts, one run, means, Markdown."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import data, models
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.data.base import Dataset
from idc_jax.data.views import Views
from idc_jax.methods.base import Method
from idc_jax.metrics import clustering_metrics
from idc_jax.models.base import Model, Variables
from idc_jax.models.heads import HeadLayout
from idc_jax.train.pretrain import PretrainOptions, pretrain

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ROOT.parent / "shared" / "data" / "cifar20_features.npz"
RESULTS = Path(__file__).resolve().parent / "results"

Row = dict[str, float]

FEATURE_VIEWS = data.feature_views(
    weak_noise=0.3, strong_noise=0.3, weak_dropout=0.2, strong_dropout=0.2, scale=0.2
)


def load_features(label_key: str, limit: int | None = None) -> Dataset:
    """The frozen features, each of the same length: what a user does with such features first."""
    dataset = data.load(
        "features", path=FEATURES, label_key=label_key, limit=limit, subset="random", seed=0
    )
    norms = np.linalg.norm(dataset.inputs, axis=1, keepdims=True)
    return dataset._replace(inputs=16 * dataset.inputs / norms)


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
    """One pre-trained start, which all variants of a seed share."""
    state = pretrain(
        jax.random.key(seed), model, views, inputs, options, log=lambda _: None, progress=False
    )
    note(f"seed {seed}: pre-trained")
    return jax.block_until_ready(state.variables)


def run_rounds(
    method: Method, labels: np.ndarray, num_clusters: int, budget: int, rounds: int, seed: int
) -> list[Row]:
    """Metrics before any answer and after each round, with the questions asked so far."""
    keys = iter(jax.random.split(jax.random.key(seed), 2 * rounds + 1))
    state = method.init(next(keys))
    rows = [_score(method, state, labels, num_clusters, 0)]
    for round_ in range(1, rounds + 1):
        state, questions = method.ask(next(keys), state, round_, budget // rounds)
        state, _ = method.learn(next(keys), state, truthful(questions, labels))
        asked = rows[-1]["questions"] + questions.count
        rows.append(_score(method, state, labels, num_clusters, asked))
    note(f"seed {seed}: {rows[0]['acc']:.3f} -> {rows[-1]['acc']:.3f}")
    return rows


def truthful(questions: Questions, labels: np.ndarray) -> Answers:
    """The answers of somebody who knows the labels."""
    asked = labels[questions.indices]
    choice = asked[:, 0] == asked[:, 1] if questions.kind == "pair" else asked
    return Answers(
        questions.kind,
        questions.round,
        questions.indices,
        questions.candidates,
        choice.astype(np.int32),
    )


def mean_rows(runs: Sequence[list[Row]]) -> list[Row]:
    """The mean over seeds of each round's metrics."""
    return [
        {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        for rows in zip(*runs, strict=True)
    ]


def table(results: Mapping[str, list[Row]], metrics: Sequence[str]) -> str:
    """A Markdown table for each metric: a line a variant, a column a number of answers."""
    lines: list[str] = []
    heads = max(([row["questions"] for row in rows] for rows in results.values()), key=len)
    for metric in metrics:
        lines += ["", f"| {metric.upper()} after | " + " | ".join(f"{h:.0f}" for h in heads) + " |"]
        lines.append("|---" * (len(heads) + 1) + "|")
        for name, rows in results.items():
            cells = {row["questions"]: f"{row[metric]:.3f}" for row in rows}
            lines.append(f"| {name} | " + " | ".join(cells.get(h, "–") for h in heads) + " |")
    return "\n".join(lines)


def save(name: str, title: str, results: Mapping[str, list[Row]], metrics: Sequence[str]) -> None:
    """Write a table as ``results/NAME.md`` and its numbers as ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    text = f"### {title}\n{table(results, metrics)}\n"
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    print(text, flush=True)


def note(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def on_device(dataset: Dataset) -> jax.Array:
    """The raw samples."""
    return jnp.asarray(dataset.inputs)


def _score(method: Method, state: Any, labels: np.ndarray, clusters: int, asked: float) -> Row:
    predictions = np.asarray(method.predict(state)).argmax(1)
    return {"questions": float(asked), **clustering_metrics(predictions, labels, clusters)}
