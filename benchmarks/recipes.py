"""Shipped configs as their users run them: every row of a table is a combination of options.

    python -m benchmarks recipes --table digits --seeds 0 1 2 3 4
    python -m benchmarks recipes --report             # results/recipes.md

A point is a sweep of ``launch.py`` with one seed, whose runs share their pre-training, and
beside it logistic regression on as many random labels of the inputs (of unit length).
"""

from __future__ import annotations

import importlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from sklearn.linear_model import LogisticRegression

from benchmarks.answers.tasks import FEATURES
from benchmarks.harness import launching
from benchmarks.harness.points import Family, Point, Row
from benchmarks.harness.tables import spread, table
from idc_jax.runs.parts import load_dataset

METRICS = ("acc", "nmi", "ari")


class Table(NamedTuple):
    """A sweep.

    Attributes:
      config: what is run, with a method behind a colon if it is not the default.
      options: that all runs share.
      axes: what is swept, beside the seed.
    """

    config: str
    options: dict[str, Any]
    axes: tuple[str, ...]


_FEATURES = {"data.path": FEATURES, "num_clusters": 20}
_FIVE_HUNDRED = {**_FEATURES, "budget": 500}
_PICKS = "selector=idc,random,medoids"
TABLES = {
    # README: "Digits", and "IDC on the same features".
    "digits": Table("configs/digits.py", {}, ("budget=50,20", _PICKS)),
    "digits_annotator": Table("configs/digits.py", {}, ("annotator.oracle=aligned,exemplar",)),
    "features": Table("configs/features.py:idc", _FIVE_HUNDRED, (_PICKS,)),
    "features_candidates": Table(
        "configs/features.py:idc", _FIVE_HUNDRED, ("idc.num_candidates=5,10",)
    ),
    "features_rounds": Table("configs/features.py:idc", _FIVE_HUNDRED, ("rounds=5,10",)),
    "features_published": Table(
        "configs/features.py:idc_paper", _FIVE_HUNDRED, ("finetune.learning_rate=1e-4,1e-3",)
    ),
    "fashion_mnist": Table("configs/fashion_mnist.py", {}, ("budget=100,250,500",)),
    # docs/methods_dsac_pcl.md: DSAC and PCL, in this project's settings and in their papers'.
    **{
        f"{data}_{method}": Table(f"configs/{data}.py:{method}", options, ("budget=20,100",))
        for data, options in (("digits", {}), ("features", _FEATURES))
        for method in ("dsac", "dsac_paper")
    },
    "digits_pcl": Table("configs/digits.py:pcl", {"rounds": 5}, ("budget=100,300,1000",)),
}


def config_of(wanted: Table) -> ConfigDict:
    """A table's config with the options that its runs share."""
    file, _, method = wanted.config.partition(":")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    config = module.get_config(method) if method else module.get_config()
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in wanted.options.items()}
    config.update_from_flattened_dict(plain)
    return config


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """Every table with every seed."""
    for name, seed in itertools.product(TABLES, seeds):
        yield {"table": name, "seed": seed}


def measure(point: Point) -> Row:
    """Run the sweep of a table."""
    return played(TABLES[point["table"]], point["seed"])


def played(wanted: Table, seed: int) -> Row:
    """Run a sweep; of each run the values of the axes (``"of"``) and what was reached."""
    with tempfile.TemporaryDirectory() as folder:
        options = {**wanted.options, "seed": seed}
        found = launching.sweep(wanted.config, options, wanted.axes, Path(folder) / "sweep")
    names = [axis.partition("=")[0] for axis in wanted.axes]
    runs = [
        {
            "of": ", ".join(f"{option} {row[option]}" for option in names),
            **{f"{when}_{m}": float(row[f"{when}_{m}"]) for when in _WHEN for m in METRICS},
            **{count: float(row[count]) for count in ("asked", "none", "seconds")},
        }
        for row in found
    ]
    budgets = sorted({int(run["asked"]) for run in runs})
    config = config_of(wanted)
    return {"runs": runs, "regression": [[b, regressed(config, b, seed)] for b in budgets]}


_WHEN = ("initial", "final")


def regressed(config: ConfigDict, budget: int, seed: int) -> float:
    """Accuracy over all samples of logistic regression on ``budget`` random labels."""
    dataset = load_dataset(config)
    x = dataset.inputs.reshape(dataset.size, -1).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    picked = np.random.default_rng(seed).choice(dataset.size, budget, replace=False)
    assert dataset.labels is not None
    model = LogisticRegression(C=10.0, max_iter=1000).fit(x[picked], dataset.labels[picked])
    return float(np.mean(model.predict(x) == dataset.labels))


def told(every: dict[str, Table], rows: list[Row]) -> str:
    """Mean ± standard deviation over the seeds, a section for each table."""
    parts = []
    for name in dict.fromkeys(row["table"] for row in rows):
        here = [row for row in rows if row["table"] == name]
        parts.append(f"## {name} (`{every[name].config}`)\n\n{_section(here)}\n")
    return "\n".join(parts)


def _section(rows: list[Row]) -> str:
    lines = []
    for runs in zip(*(row["runs"] for row in rows), strict=True):
        columns = ("initial_acc", *(f"final_{m}" for m in METRICS))
        cells = [spread([run[column] for run in runs], ddof=0) for column in columns]
        counts = [f"{np.mean([run[c] for run in runs]):.0f}" for c in ("asked", "none", "seconds")]
        lines.append([runs[0]["of"], str(len(runs)), *cells, *counts])
    for found in zip(*(row["regression"] for row in rows), strict=True):
        reached = spread([acc for _, acc in found], ddof=0)
        title = "logistic regression, random labels"
        lines.append([title, str(len(found)), "", reached, "", "", str(found[0][0]), "", ""])
    heads = ["run", "seeds", "ACC before", *(m.upper() for m in METRICS), "answers", "none"]
    return table([*heads, "seconds"], lines)


FAMILY = Family(
    fields=("table", "seed"),
    points=points,
    measure=measure,
    tables=lambda rows: {Path("recipes.md"): told(TABLES, rows)},
    seeds=(0, 1, 2),
)
