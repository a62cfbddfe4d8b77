"""What each method learns from labels, from pairs, and from both: 100 answers, asked of nobody.

    python -m benchmarks.answers.kinds --path FILE.npz --seeds 2

Random samples of the features are labelled, or random pairs compared (half of them of one class),
by a session that has asked nothing: so the table tells how kinds of answers are learned, not how
questions are chosen.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from idc_jax import Session
from idc_jax.methods import registry
from idc_jax.metrics import clustering_metrics

ANSWERS = 100
# How many labels, how many pairs.
KINDS = {
    "nothing": (0, 0),
    "labels": (ANSWERS, 0),
    "pairs": (0, ANSWERS),
    "half labels": (ANSWERS // 2, 0),
    "half labels, half pairs": (ANSWERS // 2, ANSWERS // 2),
}


def said(labels: np.ndarray, rng: np.random.Generator, named: int, compared: int) -> dict[Any, Any]:
    """``named`` labels of random samples and ``compared`` pairs, half of them of one class."""
    answers: dict[Any, Any] = {
        int(i): int(labels[i]) for i in rng.choice(len(labels), named, replace=False)
    }
    while len(answers) < named + compared:
        first = int(rng.integers(len(labels)))
        same = len(answers) % 2 == 0
        pool = np.flatnonzero((labels == labels[first]) == same)
        second = int(rng.choice(pool))
        if first != second:
            answers[first, second] = same
    return answers


def accuracy(method: str, x: np.ndarray, labels: np.ndarray, kind: str, seed: int) -> float:
    classes = int(labels.max()) + 1
    session = Session(x, classes, method=method, seed=seed)
    session.answer(said(labels, np.random.default_rng(seed), *KINDS[kind]))
    probs = session.probabilities_
    return clustering_metrics(probs.argmax(1), labels, probs.shape[1])["acc"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--methods", nargs="*", default=registry.names())
    given = parser.parse_args()
    with np.load(given.path) as saved:
        features, labels = saved["features"].astype(np.float32), saved["labels"]
    print(f"| {ANSWERS} answers | " + " | ".join(KINDS) + " |\n|" + "---|" * (len(KINDS) + 1))
    for method in given.methods:
        cells = []
        for kind in KINDS:
            found = []
            for seed in range(given.seeds):
                rng = np.random.default_rng(seed)
                rows = rng.choice(len(labels), given.samples, replace=False)
                found.append(accuracy(method, features[rows], labels[rows], kind, seed))
            cells.append(f"{np.mean(found):.3f} ± {np.std(found):.3f}")
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
