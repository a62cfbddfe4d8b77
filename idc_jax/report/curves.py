"""Training curves out of the flat lines of ``metrics.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idc_jax.report.figures import Series
from idc_jax.report.summary import METRICS, learning_series
from idc_jax.report.view import View

# Counters and clocks: what a curve is drawn over, not what is drawn.
COUNTERS = (
    *("step", "steps", "epoch", "epochs", "round"),
    *("time", "seconds", "questions", "asked"),
)
# Text that tells one part of a run from another.
PHASES = ("phase", "stage", "event", "split")
# Told by the tables and by the curve over the questions.
SCORED = "evaluate"
# Neither is of a training.
_TOLD = (SCORED, "neighbors")
PANELS = 12


def training_panels(log: Sequence[Mapping[str, Any]]) -> list[tuple[str, Series]]:
    """Collect every number that was logged at least twice while something was trained.

    Args:
      log: flat records; text under one of ``PHASES`` keeps parts of the run apart.

    Returns:
      At most ``PANELS`` titled panels of one curve each, losses first. x is the step where
      steps grow, else the position among the records that have the number.
    """
    points: dict[tuple[str, str], list[tuple[Any, float]]] = {}
    for record in log:
        if record.get("phase") in _TOLD:
            continue
        phase = next((str(record[key]) for key in PHASES if isinstance(record.get(key), str)), "")
        for key, value in record.items():
            if key.rsplit("/", 1)[-1] not in COUNTERS and _is_number(value):
                points.setdefault((phase, key), []).append((record.get("step"), float(value)))
    several = {name: found for name, found in points.items() if len(found) > 1}
    # What is logged under two names is one quantity: the first is drawn.
    once = {tuple(found): name for name, found in reversed(several.items()) if _varies(found)}
    drawn = [
        (name, found) for name, found in several.items() if once.get(tuple(found), name) == name
    ]
    drawn.sort(key=lambda item: _rank(item[0][1]))
    return [(_title(*name), {name[1]: _curve(found)}) for name, found in drawn[:PANELS]]


def learning_panel(view: View) -> list[tuple[str, Series]]:
    """Draw the metrics over the number of questions; empty below three measured rounds."""
    asked, metrics = learning_series(view)
    if len(asked) < 3:
        return []
    curves = {
        name: (asked, np.array([entry[key] for entry in metrics])) for key, name in METRICS.items()
    }
    return [("metrics by questions asked", curves)]


def _curve(found: Sequence[tuple[Any, float]]) -> tuple[np.ndarray, np.ndarray]:
    steps, values = zip(*found, strict=True)
    y = np.asarray(values)
    if all(_is_number(step) for step in steps) and (np.diff(steps) > 0).all():
        return np.asarray(steps, np.float64), y
    return np.arange(1, len(y) + 1, dtype=np.float64), y


def _varies(found: Sequence[tuple[Any, float]]) -> bool:
    return len({value for _, value in found}) > 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _rank(key: str) -> int:
    if "loss" in key:
        return 0
    return 1 if key in METRICS else 2


def _title(phase: str, key: str) -> str:
    name = METRICS.get(key, key.removeprefix(f"{phase}/").replace("_", " "))
    return f"{phase} · {name}" if phase else name
