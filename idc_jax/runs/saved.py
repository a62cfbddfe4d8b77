"""The checkpoints of a run: what never changes once, what is learned after each round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from absl import logging

from idc_jax.errors import UserError
from idc_jax.methods.contract import Context, State
from idc_jax.runs.interaction import storable
from idc_jax.runs.state import Progress, Run
from idc_jax.train.checkpoint import Checkpoints, read_latest, rebuild


def resume(this: Run, checkpoints: Checkpoints, seconds: dict[str, float]) -> Progress | None:
    """Go on where the checkpoints stopped; None where there is nothing to go on from."""
    saved = checkpoints.latest()
    if saved is None:
        return None
    try:
        kept = read_latest(_context_folder(this))
    except UserError as error:
        logging.warning("beginning again, with all answers: %s", error)
        return None
    if kept is None:
        # A run of before the context was kept apart: it begins again, with the answers it has.
        return None
    spec = this.interaction.spec
    try:
        context: Context = rebuild(spec.context, kept.tree.get("context"))
        state: State = rebuild(spec.state, saved.tree["state"])
    except ValueError as error:
        logging.warning("beginning again, with all answers: another version saved this (%s)", error)
        return None
    logging.info("going on after round %d", saved.step)
    this.log.rewind(saved.meta["log_lines"])
    spent = {k: saved.meta["seconds"].get(k, 0.0) + seconds.get(k, 0.0) for k in seconds}
    this.interaction.go_on(context, state)
    last = saved.meta["history"][-1]
    this.notify("resumed", {**last, "probabilities": this.interaction.probabilities})
    return Progress(
        initial=np.asarray(kept.tree["initial"]),
        history=saved.meta["history"],
        seconds={**saved.meta["seconds"], **spent},
        # Checkpoints of before this was kept: what is said now is what was learned.
        learned=saved.meta.get("learned", []),
    )


def save(this: Run, checkpoints: Checkpoints, progress: Progress) -> None:
    """Save as the round that was learned last."""
    meta = {
        "history": progress.history,
        "seconds": progress.seconds,
        "learned": progress.learned,
        "log_lines": len(this.log.lines),
    }
    state = storable(this.interaction.state)
    checkpoints.save(progress.history[-1]["round"], {"state": state}, meta)


def keep_context(this: Run, initial: np.ndarray) -> None:
    """Keep what never changes, and the probabilities before any answer.

    What is spread over devices is made again when the run goes on, be it over others.
    """
    kept = Checkpoints(_context_folder(this))
    kept.save(0, {"context": storable(this.interaction.context), "initial": initial}, {})
    kept.close()


def _context_folder(this: Run) -> Path:
    return this.course.folder(this.workdir) / "context"
