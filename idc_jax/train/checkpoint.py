"""Checkpoints of a run: a tree of arrays and a little JSON, saved whole or not at all."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging

from idc_jax import hosts
from idc_jax.errors import UserError
from idc_jax.train.trees import fill_empty, plain_tree, rebuild, take_empty

__all__ = ["Checkpoints", "Saved", "read_latest", "rebuild"]

# Where the meta keeps the parts of the tree that Orbax has no room for.
_EMPTY = "empty_parts"
# Stands in the file for a tree without a single number, which Orbax refuses.
_NOTHING = {"nothing": np.zeros(1)}
_ORBAX = str(Path(ocp.__file__).parent)


class _WithoutOrbax(logging.Filter):
    """Lets everything through but Orbax's lines for every save and restore.

    Orbax logs through absl's one logger, which all of the process share, and from threads
    of its own. What goes wrong it raises as well.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is somebody else's."""
        return not record.pathname.startswith(_ORBAX)


class Saved(NamedTuple):
    """A checkpoint read back.

    Attributes:
      step: what it was saved as.
      tree: nested dicts of arrays; :func:`rebuild` makes of them what was saved.
      meta: what JSON can hold.
    """

    step: int
    tree: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """The checkpoints of one folder, numbered by step; the last two are kept."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        """Open ``directory``.

        Args:
          directory: made if it is missing; half-written checkpoints in it are cleared.
          read_only: leave all in it as it is: it may be another run's, which is saving.
        """
        self._directory = directory.absolute()
        self._quiet = _WithoutOrbax()
        absl_logging.get_absl_logger().addFilter(self._quiet)
        if not read_only:
            self._directory.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=not read_only,
            create=False,
            read_only=read_only,
            multiprocessing_options=_alone(),
        )
        self._manager = ocp.CheckpointManager(
            self._directory, options=options, item_names=("tree", "meta")
        )

    def save(self, step: int, tree: Any, meta: dict[str, Any]) -> None:
        """Save as ``step``, replacing one of the same number.

        Args:
          step: its number.
          tree: dicts, NamedTuples, tuples and lists of arrays, which may be empty.
          meta: what JSON can hold.

        Raises:
          UserError: the folder cannot be written.
        """
        full, empty = take_empty(plain_tree(tree))
        args = ocp.args.Composite(
            tree=ocp.args.StandardSave(full or _NOTHING),
            meta=ocp.args.JsonSave({**meta, _EMPTY: empty}),
        )
        try:
            if step in self._manager.all_steps():
                self._manager.delete(step)
            self._manager.save(step, args=args, force=True)
        except OSError as error:
            raise UserError(f"cannot write a checkpoint to {self._directory}: {error}") from error

    def latest(self) -> Saved | None:
        """The checkpoint of the highest step that can be read, or None where there is none.

        Raises:
          UserError: there are some, and all are damaged.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                found = self._read(step)
            # A cut file is told by JSON, TensorStore or the system, each in its own way.
            except Exception as error:
                damaged[step] = " ".join(f"{type(error).__name__}: {error}".split())[:150]
                continue
            if damaged:
                numbers = " and ".join(map(str, damaged))
                absl_logging.warning(
                    "checkpoint %s in %s is damaged (%s); going on from %d",
                    *(numbers, self._directory, next(iter(damaged.values())), step),
                )
            return found
        if damaged:
            raise UserError(
                f"no checkpoint in {self._directory} can be read ({next(iter(damaged.values()))}); "
                "with that folder moved away, what it held is computed again"
            )
        return None

    def _read(self, step: int) -> Saved:
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore())
        found = self._manager.restore(step, args=args)
        meta = dict(found["meta"])
        full = {} if found["tree"].keys() == _NOTHING.keys() else found["tree"]
        tree = fill_empty(full, meta.pop(_EMPTY, {}))
        return Saved(step, jax.tree.map(jax.numpy.asarray, tree), meta)

    def close(self) -> None:
        """Let go of the folder."""
        self._manager.close()
        absl_logging.get_absl_logger().removeFilter(self._quiet)


def _alone() -> ocp.options.MultiprocessingOptions:
    """Of several processes one saves, and waits for no other."""
    if hosts.count() == 1:
        return ocp.options.MultiprocessingOptions()
    here = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}, barrier_sync_key_prefix=f"process_{here}"
    )


def read_latest(directory: Path) -> Saved | None:
    """The latest checkpoint in ``directory``, perhaps another run's, which is left as it is.

    Raises:
      UserError: there are some, and all are damaged.
    """
    checkpoints = Checkpoints(directory, read_only=True)
    try:
        return checkpoints.latest()
    finally:
        checkpoints.close()
