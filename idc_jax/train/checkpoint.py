"""Checkpoints of a run: a tree of arrays and a little JSON, saved whole or not at all."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from idc_jax.errors import UserError


class Saved(NamedTuple):
    """A checkpoint read back.

    Attributes:
      step: what it was saved as.
      tree: nested dict of arrays.
      meta: what JSON can hold.
    """

    step: int
    tree: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """The checkpoints of one folder, numbered by step; the last two are kept."""

    def __init__(self, directory: Path) -> None:
        """Open ``directory``, making it if it is missing; half-written checkpoints are cleared."""
        # One line for every save and restore is not what a person at a terminal wants to read.
        logging.getLogger("absl").setLevel(logging.ERROR)
        self._directory = directory.absolute()
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2, enable_async_checkpointing=False, cleanup_tmp_directories=True
            ),
            item_names=("tree", "meta"),
        )

    def save(self, step: int, tree: dict[str, Any], meta: dict[str, Any]) -> None:
        """Save as ``step``, replacing one of the same number.

        Raises:
          UserError: the folder cannot be written.
        """
        host = jax.tree.map(np.asarray, tree)
        args = ocp.args.Composite(tree=ocp.args.StandardSave(host), meta=ocp.args.JsonSave(meta))
        try:
            if step in self._manager.all_steps():
                self._manager.delete(step)
            self._manager.save(step, args=args, force=True)
        except OSError as error:
            raise UserError(f"cannot write a checkpoint to {self._directory}: {error}") from error

    def latest(self) -> Saved | None:
        """The checkpoint of the highest step, or None."""
        step = self._manager.latest_step()
        if step is None:
            return None
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore())
        found = self._manager.restore(step, args=args)
        return Saved(step, _as_arrays(found["tree"]), found["meta"])

    def close(self) -> None:
        """Let go of the folder."""
        self._manager.close()


def _as_arrays(tree: dict[str, Any]) -> dict[str, Any]:
    return jax.tree.map(jax.numpy.asarray, tree)
