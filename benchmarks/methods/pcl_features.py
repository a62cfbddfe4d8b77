"""PCL on frozen features with CIFAR100-4: both orientations, and what each part is worth.

    python benchmarks/methods/pcl_features.py --table orientations
    python benchmarks/methods/pcl_features.py --table ablation

Needs ``../shared/data/cifar20_features.npz``. By default the orientations take 12,800 random
samples of it and 10,000 answers, the ablation 6,400 samples and 1,000 answers: some minutes each
on 2 idle cores. ``--samples 60000`` takes all, and an hour.
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import numpy as np
from common import (
    FEATURE_VIEWS,
    Row,
    feature_network,
    load_features,
    mean_rows,
    note,
    on_device,
    run_rounds,
    save,
    trained,
)
from constrained_kmeans import constrained_kmeans

from idc_jax.data.base import Dataset
from idc_jax.data.target_maps import retarget
from idc_jax.methods import pcl
from idc_jax.methods.base import Method
from idc_jax.methods.closure import close_links
from idc_jax.methods.pcl_training import PclTraining
from idc_jax.metrics import clustering_metrics
from idc_jax.models.base import Model, Variables
from idc_jax.train.pretrain import PretrainOptions

C = 4
METRICS = ("nmi", "ari", "fmi", "acc")
ABLATION: dict[str, dict[str, Any]] = {
    "S_up + S_hp": {},
    "random pairs": {"picks": "random"},
    "without attention": {"attention": "none"},
    "S_up": {"picks": "uncertain"},
    "S_hp": {"picks": "hard"},
    "attention, random start": {"attention": "random"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", choices=("orientations", "ablation"), required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.table == "orientations":
        orientations(arguments.seeds, arguments.samples or 12_800)
    else:
        ablation(arguments.seeds, arguments.samples or 6400)


def orientations(seeds: int, samples: int) -> None:
    results: dict[str, list[Row]] = {}
    fine = load_features("fine_labels", samples)
    starts = _starts(fine, seeds, epochs=15)
    for orientation in ("personal", "default"):
        dataset = retarget(fine, f"cifar100_4_{orientation}")
        name = f"{orientation}: PCL"
        runs, baseline = [], []
        for seed, (model, start) in enumerate(starts):
            method = build(dataset, model, start, budget=10_000, epochs=2)
            runs.append(run_rounds(method, dataset.labels, C, 10_000, 10, seed))
            baseline.append(kmeans_rows(dataset, seed, (0, 1000, 5000, 10_000)))
        results[name] = mean_rows(runs)
        results[f"{orientation}: constrained k-means"] = mean_rows(baseline)
        save("pcl_orientations", f"PCL, CIFAR100-4, {samples:,} features", results, METRICS)


def ablation(seeds: int, samples: int) -> None:
    results: dict[str, list[Row]] = {}
    dataset = retarget(load_features("fine_labels", samples), "cifar100_4_personal")
    starts = _starts(dataset, seeds, epochs=15)
    for name, options in ABLATION.items():
        note(name)
        runs = []
        for seed, (model, start) in enumerate(starts):
            method = build(dataset, model, start, budget=1000, epochs=6, **options)
            runs.append(run_rounds(method, dataset.labels, C, 1000, 4, seed))
        results[name] = mean_rows(runs)
        save("pcl_ablation", f"PCL, personal CIFAR100-4, {samples:,} features", results, METRICS)
    rows = [kmeans_rows(dataset, seed, (0, 250, 500, 750, 1000)) for seed in range(seeds)]
    results["constrained k-means, random pairs"] = mean_rows(rows)
    save("pcl_ablation", f"PCL, personal CIFAR100-4, {samples:,} features", results, METRICS)


def build(
    dataset: Dataset, model: Model, start: Variables, *, budget: int, epochs: int, **options: Any
) -> Method:
    """PCL from a given start."""
    return pcl.build(
        model,
        FEATURE_VIEWS,
        on_device(dataset),
        dataset.train,
        num_clusters=C,
        head="plain",
        total_budget=budget,
        begin=lambda _: start,
        options=pcl.PclOptions(**options),
        training=PclTraining(warmup_epochs=2, epochs=epochs, final_epochs=0, learning_rate=3e-4),
        log=lambda _: None,
        progress=False,
    )


def kmeans_rows(dataset: Dataset, seed: int, answers: tuple[int, ...]) -> list[Row]:
    """Constrained k-means with random pairs within the same kind of blocks."""
    labels, x = dataset.labels, dataset.inputs / 16
    order = np.asarray(pcl.make_blocks(jax.random.key(seed), dataset.train, 128))
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, len(order), max(answers))
    places = np.stack([rng.permutation(128)[:2] for _ in blocks])
    pairs = order[blocks[:, None], places]
    pairs = pairs[(pairs >= 0).all(1)]
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    rows = []
    for count in answers:
        closure = close_links(len(labels), pairs[:count], same[:count])
        predicted = constrained_kmeans(x, closure, C, seed=seed)
        rows.append({"questions": float(count), **clustering_metrics(predicted, labels, C)})
    return rows


def _starts(dataset: Dataset, seeds: int, epochs: int) -> list[tuple[Model, Variables]]:
    model = feature_network(C, "plain")
    options = PretrainOptions(epochs=epochs, batch_size=256)
    inputs = on_device(dataset)
    return [(model, trained(s, model, FEATURE_VIEWS, inputs, options)) for s in range(seeds)]


if __name__ == "__main__":
    main()
