"""The scikit-learn estimator beside scikit-learn's own: ``python -m benchmarks estimator``.

Each row is a data set with a few labels per class, the mean over seeds. Four fifths of the samples
are fitted; the others are predicted (``held out``) and, fitted as well, found (``transductive``).
Features are standardised for the tables of measurements, and for the others as they come.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from benchmarks.answers import tasks as data
from benchmarks.harness.points import Family, Point, Row, Tables
from benchmarks.harness.tables import spread, table
from idc_jax import InteractiveClusterer

COLUMNS = (
    "asked, found", "asked, held out", "asked, transductive", "random, found",
    "random, LabelSpreading", "random, LogisticRegression",
)  # fmt: skip
ROUNDS = 5


class Case(NamedTuple):
    """A data set, and how many labels of each class there are to be."""

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    per_class: int


def cases() -> Iterator[Case]:
    """Toys in a plane, tables of measurements, images and their features."""
    yield Case("moons", *datasets.make_moons(500, noise=0.1, random_state=0), 5)
    yield Case("circles", *datasets.make_circles(500, noise=0.05, factor=0.5, random_state=0), 5)
    for name in ("iris", "wine", "breast_cancer"):
        found = getattr(datasets, f"load_{name}")()
        yield Case(name, StandardScaler().fit_transform(found.data), found.target, 5)
    yield Case("digits", *datasets.load_digits(return_X_y=True), 5)
    if data.FASHION.exists():
        part = data.fashion().part(0)
        yield Case("fashion-mnist, 10,000", part.inputs, part.labels, 5)
    if data.FEATURES.exists():
        part = data.cifar20().part(0)
        yield Case("cifar20 features, 10,000", part.inputs, part.labels, 5)


def measure(point: Point) -> Row:
    """Accuracies, in the order of ``COLUMNS``."""
    seed, case = point["seed"], next(case for case in cases() if case.name == point["data"])
    order = np.random.default_rng(seed).permutation(len(case.labels))
    x, truth = case.inputs[order].astype(np.float32), case.labels[order]
    fitted, classes = int(0.8 * len(x)), int(truth.max()) + 1
    near, far = slice(0, fitted), slice(fitted, None)
    model = InteractiveClusterer(classes, warm_start=True, random_state=seed)
    y, budget = np.full(len(x), -1), classes * case.per_class
    for part in np.array_split(np.arange(budget), ROUNDS):
        asked = model.fit(x[near], y[near]).query(len(part))
        y[asked] = truth[asked]
    model.fit(x[near], y[near])
    whole = InteractiveClusterer(classes, random_state=seed).fit(x, y)
    # The samples are in random order, so the first are random ones.
    some = np.where(np.arange(fitted) < budget, truth[near], -1)
    spread = LabelSpreading(kernel="knn", max_iter=100).fit(x[near], some)
    planes = LogisticRegression(max_iter=1000).fit(x[:budget], truth[:budget])
    found = (
        np.mean(model.labels_ == truth[near]),
        model.score(x[far], truth[far]),
        np.mean(whole.labels_[far] == truth[far]),
        np.mean(model.fit(x[near], some).labels_ == truth[near]),
        np.mean(spread.transduction_ == truth[near]),
        planes.score(x[near], truth[near]),
    )
    return {"found": [float(accuracy) for accuracy in found]}


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """Every data set that is there."""
    for case, seed in itertools.product(cases(), seeds):
        yield {"data": case.name, "seed": seed}


def tables(rows: list[Row]) -> Tables:
    """A line a data set, the mean over the seeds."""
    lines = []
    for case in cases():
        found = [row["found"] for row in rows if row["data"] == case.name]
        cells = [spread(values, ddof=0) for values in zip(*found, strict=True)]
        labels = (int(case.labels.max()) + 1) * case.per_class
        lines += [[case.name, str(labels), *cells]] if found else []
    return {Path("estimator.md"): table(["", "labels", *COLUMNS], lines) + "\n"}


FAMILY = Family(("data", "seed"), points, measure, tables, ("data",), tuple(range(5)))
