"""DSAC on frozen features of CIFAR-20, and on the images of digits and Fashion-MNIST.

    python benchmarks/methods/dsac_features.py --data features
    python benchmarks/methods/dsac_features.py --data digits
    python benchmarks/methods/dsac_features.py --data fashion_mnist

12,000 random samples of the features, 6,000 of Fashion-MNIST. Five rounds of 20 labels, mean over
seeds. Beside the variants: logistic regression on as many random labels of the raw inputs. The
features need ``../shared/data/cifar20_features.npz``, Fashion-MNIST the Debian package
``dataset-fashion-mnist``.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

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
from sklearn.linear_model import LogisticRegression

from idc_jax import data, models
from idc_jax.data.augment.warped import WarpOptions
from idc_jax.data.base import Dataset
from idc_jax.data.views import Views
from idc_jax.methods import dsac
from idc_jax.methods.base import Method
from idc_jax.methods.dsac_training import DsacTraining
from idc_jax.metrics import clustering_metrics
from idc_jax.models.base import Model, Variables
from idc_jax.train.pretrain import PretrainOptions

METRICS = ("ari", "nmi", "acc")
ROUNDS, BUDGET = 5, 100
TRAINING = DsacTraining(
    learning_rate=1e-3, weight_decay=1e-4, center_weight=0.01, unit_embeddings=True
)
# The settings that did best; "as in the paper" takes c clusters and their representatives alone.
GROWING = {"groups": "growing", "pseudo_labels": "nearest", "pseudo_growth": 0}


class Setting(NamedTuple):
    """One data set's parts."""

    dataset: Dataset
    model: Model
    views: Views
    pretraining: PretrainOptions
    training: DsacTraining
    pseudo_start: int
    pseudo_growth: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", choices=tuple(_SETTINGS), required=True)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    setting = _SETTINGS[arguments.data]()
    results: dict[str, list[Row]] = {}
    inputs = on_device(setting.dataset)
    starts = [
        trained(seed, setting.model, setting.views, inputs, setting.pretraining)
        for seed in range(arguments.seeds)
    ]
    for name, options in variants(setting).items():
        note(name)
        results[name] = mean_rows(
            [
                run_rounds(
                    build(setting, inputs, start, options),
                    setting.dataset.labels,
                    _classes(setting.dataset),
                    BUDGET,
                    ROUNDS,
                    seed,
                )
                for seed, start in enumerate(starts)
            ]
        )
        _save(arguments.data, setting, results)
    rows = [logistic_rows(setting.dataset, seed) for seed in range(arguments.seeds)]
    results["logistic regression, random labels"] = mean_rows(rows)
    _save(arguments.data, setting, results)


def variants(setting: Setting) -> dict[str, dict[str, Any]]:
    """The methods of the table by name."""
    paper = {"pseudo_start": setting.pseudo_start, "pseudo_growth": setting.pseudo_growth}
    growing = {**GROWING, "pseudo_start": 2 * setting.pseudo_start}
    chosen: dict[str, dict[str, Any]] = {
        "DSAC, growing groups": growing,
        "DSAC-R, growing groups' pseudo-labels": {**growing, "picks": "random"},
        "DSAC as in the paper": paper,
        "DSAC-R as in the paper": {**paper, "picks": "random"},
        "without pseudo-labels": {**paper, "pseudo_labels": "none"},
        "only difficult": {**paper, "picks": "difficult"},
    }
    if _classes(setting.dataset) < BUDGET // ROUNDS:
        # Where a round has no more labels than clusters, DSAC asks about representatives alone.
        chosen["only representative"] = {**paper, "picks": "representative"}
    return chosen


def build(setting: Setting, inputs: jax.Array, start: Variables, options: dict[str, Any]) -> Method:
    """DSAC from a given start."""
    return dsac.build(
        setting.model,
        setting.views,
        inputs,
        num_clusters=_classes(setting.dataset),
        begin=lambda _: start,
        options=dsac.DsacOptions(restarts=2, normalized_compactness=True, **options),
        training=setting.training,
        log=lambda _: None,
        progress=False,
    )


def logistic_rows(dataset: Dataset, seed: int) -> list[Row]:
    """Logistic regression on 20, 40, ... random labels of the raw inputs of unit length."""
    x = dataset.inputs.reshape(dataset.size, -1).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    order = np.random.default_rng(seed).permutation(dataset.size)
    rows = []
    for count in range(BUDGET // ROUNDS, BUDGET + 1, BUDGET // ROUNDS):
        chosen = order[:count]
        fitted = LogisticRegression(C=10.0, max_iter=500).fit(x[chosen], dataset.labels[chosen])
        found = clustering_metrics(fitted.predict(x), dataset.labels, _classes(dataset))
        rows.append({"questions": float(count), **found})
    return rows


def _features() -> Setting:
    dataset = load_features("labels", 12_000)
    return Setting(
        dataset,
        feature_network(20, "linear"),
        FEATURE_VIEWS,
        PretrainOptions(epochs=20, batch_size=512, cluster_weight=0, entropy_weight=0),
        TRAINING._replace(epochs=8, batch_size=512, labelled_batch=256),
        pseudo_start=25,
        pseudo_growth=200,
    )


def _digits() -> Setting:
    dataset = data.load("digits")
    return _images(
        dataset,
        epochs=100,
        training=TRAINING._replace(epochs=20, batch_size=256),
        growth=20,
        start=20,
    )


def _fashion_mnist() -> Setting:
    dataset = data.load("idx", path="/usr/share/datasets/fashion-mnist", limit=6000)
    return _images(
        dataset,
        epochs=10,
        training=TRAINING._replace(epochs=4, batch_size=256),
        growth=100,
        start=50,
    )


def _images(
    dataset: Dataset, *, epochs: int, training: DsacTraining, growth: int, start: int
) -> Setting:
    shape = dataset.inputs.shape[1:]
    views = data.image_views(shape, max(shape[:2]), weak=WarpOptions())
    model = models.build(
        "mlp" if max(shape[:2]) <= 8 else "resnet_small",
        num_clusters=_classes(dataset),
        input_shape=shape,
        head="linear",
        embedding_dim=64,
        width=256 if max(shape[:2]) <= 8 else 16,
    )
    pretraining = PretrainOptions(
        epochs=epochs, batch_size=256, learning_rate=2e-3, cluster_weight=0, entropy_weight=0
    )
    return Setting(dataset, model, views, pretraining, training, start, growth)


def _classes(dataset: Dataset) -> int:
    return int(dataset.labels.max()) + 1


def _save(name: str, setting: Setting, results: dict[str, list[Row]]) -> None:
    title = f"DSAC, {name}, {setting.dataset.size:,} samples"
    save(f"dsac_{name}", title, results, METRICS)


_SETTINGS = {"features": _features, "digits": _digits, "fashion_mnist": _fashion_mnist}


if __name__ == "__main__":
    main()
