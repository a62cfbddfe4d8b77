"""A method for a session's vectors, with the settings that suit features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from idc_jax import models
from idc_jax.data import feature_views
from idc_jax.errors import UserError, choose
from idc_jax.methods.common.searching import searcher
from idc_jax.methods.contract import Method, MethodSpec, Options, Parts
from idc_jax.train.log import Log
from idc_jax.train.pretrain import PretrainOptions
from idc_jax.train.start import Start, make_begin

# The network of the methods that train one, as in configs/features.py.
_WIDTH, _EMBEDDING, _EPOCHS = 256, 128, 6
_NOISE, _DROPOUT = 0.6, 0.4
# Answers for which there is room at first, and where many may come at once: twice as many compile
# the learning again.
ROOM, ROOM_ON_BOARD = 256, 1024


def room(answers: int, least: int = ROOM) -> int:
    """The answers to prepare for, ``least`` or more, where there are so many now."""
    return max(least, 1 << (answers - 1).bit_length())


def compose(
    spec: MethodSpec,
    features: np.ndarray,
    num_clusters: int,
    given: Mapping[str, Any],
    folder: Path,
    *,
    wanted: bool,
    log: Log,
    progress: bool,
) -> Method:
    """Compose the method ``spec`` on ``features`` ``[n, d]``.

    Args:
      spec: which.
      features: of the samples.
      num_clusters: c.
      given: options by their full names, as ``"graph_committee.hops"``.
      folder: where a pre-training keeps its checkpoints.
      wanted: whether c is what somebody wants, or was found in the samples.
      log: hears of the training's losses.
      progress: show bars.

    Raises:
      UserError: an option that the method does not have or that means nothing.
    """
    data = jnp.asarray(features)
    views = feature_views(
        weak_noise=_NOISE / 2,
        strong_noise=_NOISE,
        weak_dropout=_DROPOUT / 2,
        strong_dropout=_DROPOUT,
        scale=0.0,
    )
    model = models.build(
        "mlp",
        num_clusters=num_clusters,
        input_shape=features.shape[1:],
        width=_WIDTH,
        embedding_dim=_EMBEDDING,
        head=spec.defaults.get("model.head", "relu_first"),
    )
    # Pairs turn what a network knows already; the others learn from labels at once.
    init = "pretrain" if spec.chooses == "pairs" else "random"
    start = Start(init, PretrainOptions(epochs=_EPOCHS, batch_size=min(256, len(features) // 2)))
    begin = make_begin(
        start, model, views, data, folder, num_samples=len(data), log=log, progress=progress
    )
    parts = Parts(
        model,
        views,
        data,
        num_clusters,
        begin,
        wanted=wanted,
        search=searcher("auto", log),
        log=log,
        progress=progress,
    )
    return spec.build(parts, options_of(spec, given))


def options_of(spec: MethodSpec, given: Mapping[str, Any]) -> Options:
    """The method's groups of options for features, with what was ``given``."""
    options = {group: kind() for group, kind in spec.options.items()}
    for values in (spec.defaults, spec.small, spec.features):
        options = _with(options, values, strict=False)
    return _with(options, given, strict=True)


def _with(options: dict[str, Any], values: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    options = dict(options)
    for full, value in values.items():
        group, _, name = full.partition(".")
        if group in options and name in options[group]._fields:
            options[group] = options[group]._replace(**{name: value})
        elif strict:
            known = [f"{group}.{name}" for group, o in options.items() for name in o._fields]
            raise UserError(f"options names {full!r}; {choose(known)}")
    return options
