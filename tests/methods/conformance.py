"""Any registered method on four blobs, composed as a run composes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from playing import Game

from idc_jax.annotate.questions import DIFFERENT, SAME, Questions, grid_questions
from idc_jax.data.base import Dataset
from idc_jax.methods.contract import Method, MethodSpec
from idc_jax.runs import configuration
from idc_jax.runs.compose import make_method
from idc_jax.runs.parts import check_against_data

CLUSTERS = 4
LABELS = np.repeat(np.arange(CLUSTERS), 30)
N = len(LABELS)
# Which cluster people call by which class: not the one of its own number.
_CLASS_OF = (1, 2, 3, 0)


@cache
def dataset(kind: str) -> Dataset:
    """Four blobs, as ``"features"`` or as small grey ``"images"``."""
    rng = np.random.default_rng(0)
    middles = 3 * rng.normal(size=(CLUSTERS, 16))
    x = (middles[LABELS] + rng.normal(size=(N, 16))).astype(np.float32)
    if kind == "images":
        x = np.clip(128 + 20 * x, 0, 255).astype(np.uint8).reshape(N, 4, 4, 1)
        x = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
    names = tuple(map(str, range(N)))
    return Dataset(
        name="blobs",
        kind=kind,
        inputs=x,
        labels=LABELS.astype(np.int32),
        class_names=tuple("abcd"),
        train=np.ones(N, bool),
        names=names,
        skipped=(),
    )


def begin(
    spec: MethodSpec,
    folder: Path,
    data: Dataset | None = None,
    *,
    total: int = 40,
    **how: Any,
) -> Game:
    """A run of ``spec``'s method; see :func:`compose`."""
    method = compose(spec, folder, data, total=total, **how)
    return Game(method, N, total, shown=spec.asks[0] != "cluster")


def compose(
    spec: MethodSpec,
    folder: Path,
    data: Dataset | None = None,
    *,
    total: int = 40,
    gigabytes: float = 1.0,
    suit: Callable[[ConfigDict], None] = configuration.for_small_network,
) -> Method:
    """The method of ``spec``, with options that ``suit``, small enough for seconds."""
    data = dataset("features") if data is None else data
    config = configuration.get_config(spec.name)
    suit(config)
    config.num_clusters, config.budget, config.rounds = CLUSTERS, total, 4
    config.progress = False
    config.init = "random"
    config.model.name, config.model.width, config.model.embedding_dim = "mlp", 16, 16
    config.data.device_gigabytes = gigabytes
    for name, value in {
        "pretrain.batch_size": 32,
        "idc.head_steps": 20,
        "idc.num_candidates": 2,
        "finetune.epochs": 3,
        "finetune.min_steps": 10,
        "finetune.batch_size": 12,
        "finetune.learning_rate": 3e-3,
        "finetune.pseudo_labels": "graph",
        "dsac_training.batch_size": 32,
        "dsac_training.labelled_batch": 32,
        "pcl_training.block_size": 40,
        "pcl.num_heads": 2,
        "pcl_training.learning_rate": 1e-3,
        "ipc_training.hidden": 32,
        "ipc_training.epochs": 40,
        "ipc_training.min_steps": 0,
        "ipc.starts": 3,
        "ipc_training.learning_rate": 3e-3,
    }.items():
        config.update_from_flattened_dict({name: value})
    check_against_data(config, data)
    return make_method(config, data, folder, lambda values: None)


def make(game: Game, kind: str, rng: np.random.Generator, count: int) -> Questions:
    """Random questions of ``kind``."""
    chosen = rng.permutation(N)[:count]
    if kind == "label":
        return game.next_labels(chosen)
    if kind == "grid":
        # One in three is thought to be of another class than it is.
        thought = (LABELS[chosen] + (rng.random(count) < 1 / 3)) % len(np.unique(LABELS))
        questions = game.next_labels(chosen)
        return grid_questions(questions.round, chosen, thought, questions.values, questions.roles)
    if kind == "pair":
        return game.next_pairs(rng.permuted(np.tile(np.arange(N), (count, 1)), axis=1)[:, :2])
    # Each cluster is shown by a sample of the class that it is taken for.
    exemplars = [30 * c + 1 for c in _CLASS_OF]
    offered = np.stack([rng.permutation(CLUSTERS)[:3] for _ in range(count)])
    return game.next_clusters(chosen, offered, exemplars)


def choose(questions: Questions) -> np.ndarray:
    """What somebody says who knows the classes."""
    asked = LABELS[questions.indices]
    if questions.kind == "label":
        return asked.copy()
    if questions.kind == "pair":
        return np.where(asked[:, 0] == asked[:, 1], SAME, DIFFERENT)
    if questions.kind == "grid":
        return np.where(questions.candidates[:, 0] == asked, asked, -1)
    shown = LABELS[questions.exemplars]
    offered = shown[questions.candidates] == asked[:, None]
    first = questions.candidates[np.arange(len(asked)), offered.argmax(1)]
    return np.where(offered.any(1), first, -1)
