"""DSAC on frozen features of CIFAR-20, and on the images of digits and Fashion-MNIST.

    python benchmarks/methods/dsac_runs.py --data features
    python benchmarks/methods/dsac_runs.py --data features_all
    python benchmarks/methods/dsac_runs.py --data digits
    python benchmarks/methods/dsac_runs.py --data fashion_mnist

Five rounds of 20 labels, in two recipes: what the configs for small data choose (answers spread
over the neighbour graph) and the published one. Beside them, logistic regression on as many random
labels of the raw inputs. ``features`` takes 20,000 random samples, ``features_all`` all 60,000
with fewer variants, ``fashion_mnist`` 6,000 images. The features need
``../shared/data/cifar20_features.npz``, Fashion-MNIST the Debian package
``dataset-fashion-mnist``. What is done is on file: the same command goes on after a stop.
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
from sklearn.linear_model import LogisticRegression

from idc_jax import data, models
from idc_jax.data.augment.warped import WarpOptions
from idc_jax.data.base import Dataset
from idc_jax.data.views import Views
from idc_jax.methods.contract import Method, Parts
from idc_jax.methods.dsac import method as dsac
from idc_jax.methods.dsac.training import DsacTraining
from idc_jax.models.base import Model, Variables
from idc_jax.train.pretrain import PretrainOptions

ROUNDS, BUDGET = 5, 100
TRAINING = DsacTraining(learning_rate=1e-3, unit_embeddings=True)


class Recipe(NamedTuple):
    """Options, training, and whether SimCLR comes before it all."""

    options: dict[str, Any]
    training: DsacTraining
    pretrained: bool


class Setting(NamedTuple):
    """One data set's parts."""

    dataset: Dataset
    model: Model
    views: Views
    pretraining: PretrainOptions
    graph: Recipe
    published: Recipe


def main() -> None:
    arguments = parse(__doc__, "--data", tuple(_SETTINGS))
    setting = _SETTINGS[arguments.what]()
    points = Points(f"dsac_{arguments.what}")
    inputs = jnp.asarray(setting.dataset.inputs)
    start = cache(partial(_start, setting, inputs))
    few = arguments.what == "features_all"
    for seed in arguments.seeds:
        points.run("logistic regression", seed, partial(logistic_rows, setting.dataset, seed))
        for name, recipe in variants(setting, few).items():
            if arguments.only in name:
                points.run(name, seed, partial(_measure, setting, inputs, start, recipe, seed))


def variants(setting: Setting, few: bool) -> dict[str, Recipe]:
    """The methods of the table by name."""
    chosen: dict[str, Recipe] = {}
    for name, recipe in (("graph", setting.graph), ("published", setting.published)):
        chosen[f"{name}: DSAC"] = recipe
        chosen[f"{name}: DSAC-R, random picks"] = _with(recipe, picks="random")
        if few:
            continue
        chosen[f"{name}: only difficult"] = _with(recipe, picks="difficult")
        if classes_of(setting.dataset) < BUDGET // ROUNDS:
            # Where a round has no more labels than clusters, DSAC asks about representatives alone.
            chosen[f"{name}: only representative"] = _with(recipe, picks="representative")
        chosen[f"{name}: without pseudo-labels"] = _with(recipe, pseudo_labels="none")
    return chosen


def build(setting: Setting, inputs: jax.Array, start: Variables, recipe: Recipe) -> Method:
    """DSAC from a given start."""
    clusters = classes_of(setting.dataset)
    parts = Parts(setting.model, setting.views, inputs, clusters, begin=lambda _: start)
    own = dsac.DsacOptions(restarts=2, normalized_compactness=True, **recipe.options)
    return dsac.build(parts, {"dsac": own, "dsac_training": recipe.training})


def logistic_rows(dataset: Dataset, seed: int) -> list[Row]:
    """Logistic regression on 20, 40, ... random labels of the raw inputs of unit length."""
    x = dataset.inputs.reshape(dataset.size, -1).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    order = np.random.default_rng(seed).permutation(dataset.size)
    labels, rows = labels_of(dataset), []
    for count in range(BUDGET // ROUNDS, BUDGET + 1, BUDGET // ROUNDS):
        chosen = order[:count]
        fitted = LogisticRegression(C=10.0, max_iter=500).fit(x[chosen], labels[chosen])
        rows.append(scored(fitted.predict(x), labels, classes_of(dataset), count))
    return rows


def _measure(
    setting: Setting,
    inputs: jax.Array,
    start: Callable[[int, bool], Variables],
    recipe: Recipe,
    seed: int,
) -> list[Row]:
    method = build(setting, inputs, start(seed, recipe.pretrained), recipe)
    labels = labels_of(setting.dataset)
    return run_rounds(method, labels, classes_of(setting.dataset), BUDGET, ROUNDS, seed)


def _start(setting: Setting, inputs: jax.Array, seed: int, pretrained: bool) -> Variables:
    """One start, which all variants of a seed and a recipe share."""
    if pretrained:
        return trained(seed, setting.model, setting.views, inputs, setting.pretraining)
    sample = setting.views.val(jax.random.key(seed), inputs[0])[None]
    return setting.model.init(jax.random.key(seed), sample)


def _with(recipe: Recipe, **options: Any) -> Recipe:
    return recipe._replace(options={**recipe.options, **options})


def _features(limit: int | None) -> Setting:
    dataset = load_features("labels", limit)
    # The paper's k2 for 60,000 samples, 50 and 1000 more in each round, as a share of the samples.
    share = dataset.size / 60_000
    training = TRAINING._replace(epochs=4, batch_size=512, labelled_batch=256)
    return Setting(
        dataset,
        feature_network(20, "linear"),
        FEATURE_VIEWS,
        _simclr(epochs=10, batch_size=512),
        graph=_graph(dataset, training, space="input", pretrained=False),
        published=Recipe(
            {"pseudo_start": round(50 * share), "pseudo_growth": round(1000 * share)},
            training,
            pretrained=True,
        ),
    )


def _digits() -> Setting:
    dataset = data.load("digits")
    training = TRAINING._replace(epochs=20, batch_size=256)
    return _images(dataset, "mlp", 256, training, _simclr(epochs=100, batch_size=256))


def _fashion_mnist() -> Setting:
    dataset = data.load("idx", path="/usr/share/datasets/fashion-mnist", limit=6000)
    training = TRAINING._replace(epochs=5, batch_size=256)
    return _images(dataset, "mlp", 512, training, _simclr(epochs=30, batch_size=256))


def _images(
    dataset: Dataset, name: str, width: int, training: DsacTraining, pretraining: PretrainOptions
) -> Setting:
    shape = dataset.inputs.shape[1:]
    model = models.build(
        name,
        num_clusters=classes_of(dataset),
        input_shape=shape,
        head="linear",
        embedding_dim=64,
        width=width,
    )
    views = data.image_views(shape, max(shape[:2]), weak=WarpOptions())
    share = dataset.size / 60_000
    return Setting(
        dataset,
        model,
        views,
        pretraining,
        graph=_graph(dataset, training, space="network", pretrained=True),
        published=Recipe(
            {"pseudo_start": max(round(50 * share), 5), "pseudo_growth": round(1000 * share)},
            training,
            pretrained=True,
        ),
    )


def _graph(dataset: Dataset, training: DsacTraining, *, space: str, pretrained: bool) -> Recipe:
    options = {
        "groups": "growing",
        "pseudo_labels": "graph",
        "pseudo_start": dataset.size,
        "pseudo_growth": 0,
        "space": space,
    }
    return Recipe(options, training._replace(unsupervised_weight=0.1), pretrained)


def _simclr(epochs: int, batch_size: int) -> PretrainOptions:
    return PretrainOptions(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=2e-3,
        cluster_weight=0,
        entropy_weight=0,
    )


_SETTINGS: dict[str, Callable[[], Setting]] = {
    "features": partial(_features, 20_000),
    "features_all": partial(_features, None),
    "digits": _digits,
    "fashion_mnist": _fashion_mnist,
}


if __name__ == "__main__":
    main()
