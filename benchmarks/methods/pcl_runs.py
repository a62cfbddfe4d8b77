"""PCL on frozen features with CIFAR100-4 and on digits: orientations, and what each part is worth.

    python benchmarks/methods/pcl_runs.py --table orientations
    python benchmarks/methods/pcl_runs.py --table ablation
    python benchmarks/methods/pcl_runs.py --table digits

Needs ``../shared/data/cifar20_features.npz``, except for the digits. The features' tables take
12,800 random samples: 100 blocks of 128. ``orientations`` asks 10,000 pairs in ten rounds,
``ablation`` 2,000 in four. What is done is on file: the same command goes on after a stop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import (
    FEATURE_VIEWS,
    Points,
    Row,
    classes_of,
    feature_network,
    labels_of,
    load_features,
    parse,
    run_rounds,
    scored,
    trained,
)
from constrained_kmeans import constrained_kmeans

from idc_jax import data, models
from idc_jax.annotate.closure import close_links
from idc_jax.data.augment.warped import WarpOptions
from idc_jax.data.base import Dataset
from idc_jax.data.target_maps import retarget
from idc_jax.data.views import Views
from idc_jax.methods.contract import Method, Parts
from idc_jax.methods.pcl import method as pcl
from idc_jax.methods.pcl.training import PclTraining
from idc_jax.models.base import Model, Variables
from idc_jax.train.pretrain import PretrainOptions

SAMPLES = 12_800
ABLATION: dict[str, dict[str, Any]] = {
    "S_up + S_hp": {},
    "random pairs": {"picks": "random"},
    "S_up alone": {"picks": "uncertain"},
    "S_hp alone": {"picks": "hard"},
    "without attention": {"attention": "none"},
    "attention from a random start": {"attention": "random"},
}


class Setting(NamedTuple):
    """One data set's parts, and how many pairs are asked in how many rounds."""

    dataset: Dataset
    model: Model
    views: Views
    training: PclTraining
    budget: int
    rounds: int


def main() -> None:
    arguments = parse(__doc__, "--table", tuple(_TABLES))
    seeds = tuple(arguments.seeds)
    if arguments.what == "ablation":
        ablation(seeds, arguments.only)
    else:
        _TABLES[arguments.what](seeds)


def orientations(seeds: tuple[int, ...]) -> None:
    points = Points("pcl_orientations")
    fine = load_features("fine_labels", SAMPLES)
    start = _shared_start(fine)
    for seed in seeds:
        for orientation in ("personal", "default"):
            setting = _features(retarget(fine, f"cifar100_4_{orientation}"), 10_000, 10, epochs=3)
            measure = partial(_measure, setting, start, seed, {})
            points.run(f"{orientation}: PCL", seed, measure)
            answers = (0, 1000, 5000, 10_000)
            baseline = partial(kmeans_rows, setting.dataset, 4, seed, answers)
            points.run(f"{orientation}: constrained k-means", seed, baseline)


def ablation(seeds: tuple[int, ...], only: str) -> None:
    points = Points("pcl_ablation")
    fine = load_features("fine_labels", SAMPLES)
    start = _shared_start(fine)
    setting = _features(retarget(fine, "cifar100_4_personal"), 2000, 4, epochs=8)
    for seed in seeds:
        for name, options in ((n, o) for n, o in ABLATION.items() if only in n):
            points.run(name, seed, partial(_measure, setting, start, seed, options))
        answers = (0, 500, 1000, 1500, 2000)
        baseline = partial(kmeans_rows, setting.dataset, 4, seed, answers)
        points.run("constrained k-means, random pairs", seed, baseline)


def digits(seeds: tuple[int, ...]) -> None:
    points = Points("pcl_digits")
    plain = data.load("digits")
    for orientation in ("shape", "parity"):
        setting = _digits(retarget(plain, f"digits_2_{orientation}"))
        options = PretrainOptions(epochs=100, batch_size=256, learning_rate=2e-3)
        start = _pretrained(setting, options)
        for seed in seeds:
            for name, chosen in (("PCL", {}), ("random pairs", {"picks": "random"})):
                measure = partial(_measure, setting, start, seed, chosen)
                points.run(f"{orientation}: {name}", seed, measure)


def build(setting: Setting, start: Variables, **options: Any) -> Method:
    """PCL from a given start."""
    parts = Parts(
        setting.model,
        setting.views,
        jnp.asarray(setting.dataset.inputs),
        num_clusters=setting.model.num_clusters,
        begin=lambda _: start,
        train=setting.dataset.train,
    )
    return pcl.build(parts, {"pcl": pcl.PclOptions(**options), "pcl_training": setting.training})


def kmeans_rows(dataset: Dataset, clusters: int, seed: int, answers: tuple[int, ...]) -> list[Row]:
    """Constrained k-means with random pairs within the same kind of blocks."""
    x = dataset.inputs.reshape(dataset.size, -1) / 16
    order = np.asarray(pcl.make_blocks(jax.random.key(seed), dataset.train, 128))
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, len(order), max(answers))
    places = np.stack([rng.permutation(128)[:2] for _ in blocks])
    pairs = order[blocks[:, None], places]
    pairs = pairs[(pairs >= 0).all(1)]
    labels = labels_of(dataset)
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    rows = []
    for count in answers:
        closure = close_links(dataset.size, pairs[:count], same[:count])
        predicted = constrained_kmeans(x, closure, clusters, seed=seed)
        rows.append(scored(predicted, labels, clusters, count))
    return rows


def _measure(
    setting: Setting, start: Callable[[int], Variables], seed: int, options: dict[str, Any]
) -> list[Row]:
    method = build(setting, start(seed), **options)
    labels, clusters = labels_of(setting.dataset), classes_of(setting.dataset)
    return run_rounds(method, labels, clusters, setting.budget, setting.rounds, seed)


def _features(dataset: Dataset, budget: int, rounds: int, *, epochs: int) -> Setting:
    training = PclTraining(warmup_epochs=2, epochs=epochs, final_epochs=0, learning_rate=3e-4)
    return Setting(dataset, feature_network(4, "plain"), FEATURE_VIEWS, training, budget, rounds)


def _digits(dataset: Dataset) -> Setting:
    shape = dataset.inputs.shape[1:]
    model = models.build("mlp", num_clusters=2, input_shape=shape, head="plain")
    views = data.image_views(shape, max(shape[:2]), weak=WarpOptions())
    training = PclTraining(warmup_epochs=2, epochs=6, final_epochs=0, learning_rate=3e-4)
    return Setting(dataset, model, views, training, 1000, 10)


def _shared_start(fine: Dataset) -> Callable[[int], Variables]:
    """One pre-trained start for each seed, which no orientation has a part in."""
    setting = _features(fine, 0, 0, epochs=0)
    return _pretrained(setting, PretrainOptions(epochs=15, batch_size=256))


def _pretrained(setting: Setting, options: PretrainOptions) -> Callable[[int], Variables]:
    inputs = jnp.asarray(setting.dataset.inputs)

    @cache
    def start(seed: int) -> Variables:
        return trained(seed, setting.model, setting.views, inputs, options)

    return start


_TABLES: dict[str, Callable[..., None]] = {
    "orientations": orientations,
    "ablation": ablation,
    "digits": digits,
}


if __name__ == "__main__":
    main()
