"""The scikit-learn estimator beside scikit-learn's own: ``python -m benchmarks.estimator``.

Each row is a data set with a few labels per class, the mean over seeds. Four fifths of the samples
are fitted; the others are predicted (``held out``) and, fitted as well, found (``transductive``).
Features are standardised for the tables of measurements, and for the others as they come.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from benchmarks.answers import tasks
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
    if tasks.FASHION.exists():
        part = tasks.fashion().part(0)
        yield Case("fashion-mnist, 10,000", part.inputs, part.labels, 5)
    if tasks.FEATURES.exists():
        part = tasks.cifar20().part(0)
        yield Case("cifar20 features, 10,000", part.inputs, part.labels, 5)


def measure(case: Case, seed: int) -> tuple[float, ...]:
    """Accuracies, in the order of ``COLUMNS``."""
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
    return (
        np.mean(model.labels_ == truth[near]),
        model.score(x[far], truth[far]),
        np.mean(whole.labels_[far] == truth[far]),
        np.mean(model.fit(x[near], some).labels_ == truth[near]),
        np.mean(spread.transduction_ == truth[near]),
        planes.score(x[near], truth[near]),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    print(f"| {seeds} seeds | labels | " + " | ".join(COLUMNS) + " |")
    print("|---" * (2 + len(COLUMNS)) + "|")
    for case in cases():
        found = np.array([measure(case, seed) for seed in range(seeds)])
        cells = [f"{a:.3f} ± {b:.3f}" for a, b in zip(found.mean(0), found.std(0), strict=True)]
        labels = (int(case.labels.max()) + 1) * case.per_class
        print(f"| {case.name} | {labels} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
