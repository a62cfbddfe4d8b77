"""How a network comes to its first variables: pre-trained here, at random, or from a file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax

from idc_jax import hosts
from idc_jax.data.registry import expanded
from idc_jax.data.residency import Samples, some
from idc_jax.data.views import Views, view_batch
from idc_jax.errors import UserError
from idc_jax.models.base import Model, Variables
from idc_jax.models.importing import (
    KNOWN,
    Imported,
    ImportReport,
    holds_checkpoint,
    in_cache,
    locate,
)
from idc_jax.train import forecast, pretrain
from idc_jax.train.checkpoint import Checkpoints, read_latest, rebuild
from idc_jax.train.log import Log
from idc_jax.train.pretrain import PretrainOptions, PretrainState

Begin = Callable[[jax.Array], Variables]
"""How a network gets its first variables: pre-trained, resumed or loaded from a file."""
Fill = Callable[[Variables], tuple[Variables, ImportReport]]

# Epochs between two checkpoints of the pre-training.
_EVERY = 10


class Start(NamedTuple):
    """Where the variables come from.

    Attributes:
      init: ``"pretrain"``, ``"random"``, the path of a checkpoint, or the name of published
        weights.
      pretraining: how to pre-train.
      imported: the opened checkpoint, where it is somebody else's.
    """

    init: str
    pretraining: PretrainOptions
    imported: Imported | None = None


def published_weights(init: str) -> Path | None:
    """The file or folder of somebody else's weights that ``init`` names, by path or by name.

    A name is one of ``KNOWN``, which are fetched if need be, or a repository ``owner/name`` that
    is in the hub's cache.

    Raises:
      UserError: weights that are known by name, but not here.
    """
    if init in KNOWN:
        return locate(init)
    path = expanded(init)
    if path.is_file() or (path.is_dir() and holds_checkpoint(path)):
        return path
    return None if path.exists() else in_cache(init)


def make_begin(
    start: Start,
    model: Model,
    views: Views,
    data: Samples,
    directory: Path,
    *,
    num_samples: int,
    log: Log,
    progress: bool,
) -> Begin:
    """Make the function that returns the first variables.

    Args:
      start: which way.
      model: the network.
      views: of its samples.
      data: raw samples ``[n, ...]``.
      directory: where the pre-training keeps its checkpoints; it goes on from the latest.
      num_samples: n; rows beyond are not trained on.
      log: for the pre-training's losses.
      progress: show a bar.

    Raises:
      UserError: a checkpoint that is not there.
    """

    def fresh(key: jax.Array) -> Variables:
        # Only now: a method that compares the samples themselves never begins with a network.
        return model.init(key, view_batch(views.val, jax.random.key(0), some(data, 2)))

    if start.init == "random":
        return fresh
    if start.imported is not None:
        fill = start.imported.fill
        return lambda key: _filled(fill, fresh(key))
    if start.init != "pretrain":
        path = expanded(start.init)
        if not path.exists():
            raise UserError(
                f"init is {start.init!r}: no such file or folder, nor in the hub's cache; "
                f"use 'pretrain', 'random' or one of {', '.join(KNOWN)}"
            )
        return lambda key: _loaded(path, fresh(key))
    pretrain.check_options(start.pretraining, num_samples)
    return lambda key: _pretrained(
        key, start.pretraining, model, views, data, directory, num_samples, log, progress
    )


def _pretrained(
    key: jax.Array,
    options: PretrainOptions,
    model: Model,
    views: Views,
    data: Samples,
    directory: Path,
    num_samples: int,
    log: Log,
    progress: bool,
) -> Variables:
    # Of several processes the first keeps the checkpoints.
    kept = Checkpoints(directory) if hosts.leads() else None
    with nullcontext() if kept is None else closing(kept):
        saved = hosts.told(lambda: _latest(kept))
        resumed = None
        if saved is not None:
            pieces = pretrain.build(model, views, options, num_samples)
            template = jax.eval_shape(lambda k: pieces.init(k, data), key)
            resumed = rebuild(template, saved)
        if told := _slow(model, views, data, options, resumed):
            print(told, flush=True)

        def on_epoch(state: PretrainState, epoch: int) -> None:
            if kept is not None and (epoch % _EVERY == 0 or epoch == options.epochs):
                kept.save(epoch, state, {"epoch": epoch})

        state = pretrain.pretrain(
            key,
            model,
            views,
            data,
            options,
            num_samples=num_samples,
            log=lambda values: log({"phase": "pretrain", **values}),
            start=resumed,
            on_epoch=on_epoch,
            progress=progress,
        )
    return state.variables


def _slow(
    model: Model,
    views: Views,
    data: Samples,
    options: PretrainOptions,
    resumed: PretrainState | None,
) -> str:
    """How long the pre-training will take, where that should be known beforehand."""
    if resumed is not None:
        return forecast.warning(
            model, resumed.variables, views, data, options, done=int(resumed.epoch)
        )
    fresh = model.init(jax.random.key(0), view_batch(views.val, jax.random.key(0), some(data, 2)))
    return forecast.warning(model, fresh, views, data, options)


def _latest(kept: Checkpoints | None) -> dict[str, Any] | None:
    saved = None if kept is None else kept.latest()
    return None if saved is None else saved.tree


def _filled(fill: Fill, fresh: Variables) -> Variables:
    """Imported weights in ``fresh``, having said what became of each."""
    variables, report = fill(fresh)
    print("\n".join(report.lines()), flush=True)
    return variables


def _loaded(path: Path, fresh: Variables) -> Variables:
    """Variables of one of our own checkpoints: a run's folder, or one of its checkpoint folders."""
    for folder in (path / "checkpoints" / "rounds", path / "checkpoints" / "pretrain", path):
        if not folder.is_dir():
            continue
        saved = read_latest(folder)
        if saved is not None:
            tree = saved.tree.get("state", saved.tree)
            return _fitting(tree["variables"], fresh, path)
    raise UserError(f"init is {str(path)!r}, which holds no checkpoint of a run")


def _fitting(found: Variables, fresh: Variables, path: Path) -> Variables:
    """Return ``found`` where it fits the configured network ``fresh``."""
    there, here = _shapes(found), _shapes(fresh)
    if there == here:
        return found
    name = min(k for k in there.keys() | here.keys() if there.get(k) != here.get(k))
    raise UserError(
        f"{path} does not fit the configured network: {name} is {there.get(name, 'missing')} "
        f"there and {here.get(name, 'missing')} here"
    )


def _shapes(tree: Variables) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves}
