"""What people see while nothing is asked: how far the work is, and what answers have bought."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_MOST_LOSSES = 400


class Learning:
    """The training as it goes, and the results of the rounds; use it under its owner's lock."""

    def __init__(self) -> None:
        """Nothing has been learned."""
        self._progress: dict[str, Any] = {}
        self._losses: list[float] = []
        self._results: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Forget how far another learning was."""
        self._progress, self._losses = {}, []

    def progress(self, values: Mapping[str, Any]) -> None:
        """Note scalars, e.g. ``{"step": 20, "steps": 500, "loss": 0.7}``."""
        now = {name.rsplit("/", 1)[-1]: value for name, value in plain(dict(values)).items()}
        if now.get("phase") != self._progress.get("phase"):
            self._losses = []  # of another kind
        self._progress = now
        if isinstance(now.get("loss"), int | float):
            self._losses.append(now["loss"])
        if len(self._losses) > _MOST_LOSSES:  # halve the resolution, keep the whole curve
            self._losses = self._losses[::2]

    def add(self, result: Mapping[str, Any]) -> None:
        """Note what a round has bought."""
        self._results.append(plain(dict(result)))

    def told(self, names: Sequence[str]) -> dict[str, Any]:
        """All of it, the clusters of the last result by the ``names`` that they have now."""
        result = None
        if self._results:
            result = self._results[-1] | ({"names": names} if names else {})
        return {
            "progress": self._progress,
            "losses": self._losses,
            "results": len(self._results),
            "result": result,
        }


def plain(value: Any) -> Any:
    """Arrays and their scalars as JSON can say them; what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
