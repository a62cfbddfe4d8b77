"""`result.json` and `assignments.csv`: written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.errors import UserError, representable
from idc_jax.report.answers import Round, answers_by_sample
from idc_jax.report.naming import stand

RESULT_KEYS = (
    "config",
    "method",
    "recipe",
    "departures",
    "dataset",
    "num_samples",
    "num_clusters",
    "device",
    "versions",
    "network",
    "embedded_with",
    "neighbors_recall",
    "questions",
    "stages",
    "rounds",
    "initial",
    "final",
    "best",
    "seconds",
)
"""The keys of ``result.json``, in order."""


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write ``content`` to ``path`` through a temporary file beside it.

    A reader sees the old file or the new one, also after a crash in between.

    Args:
      path: where to write; its folder is made if it is missing.
      content: text (written as UTF-8, with the replacement character for what that cannot hold)
        or bytes.

    Returns:
      ``path``.

    Raises:
      UserError: if the file cannot be written; the old one is then untouched.
    """
    data = representable(content).encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def write_result(path: Path, result: Mapping[str, Any]) -> Path:
    """Write ``result.json``.

    Args:
      path: where to write.
      result: the keys of ``RESULT_KEYS``. NumPy scalars and arrays are converted; numbers that
        are not finite become null, which JSON has no other word for.

    Returns:
      ``path``.

    Raises:
      UserError: if a key is missing, or the file cannot be written.
    """
    missing = [key for key in RESULT_KEYS if key not in result]
    if missing:
        raise UserError(f"the result lacks {', '.join(missing)}; needed are {list(RESULT_KEYS)}")
    return write_atomically(path, json.dumps(plain(result), indent=2, allow_nan=False) + "\n")


def write_assignments(
    path: Path,
    *,
    probabilities: np.ndarray,
    names: Sequence[str] = (),
    rounds: Sequence[Round] = (),
    class_names: Sequence[str] = (),
) -> Path:
    """Write ``assignments.csv``: one line per sample, in the data set's order.

    Columns: ``sample`` (its name, else its index), ``group``, ``name`` (what that is called),
    ``confidence`` and ``answer`` (what the annotator said of it, several joined by "; "). A sample
    is where people said, with confidence 1; see :class:`~idc_jax.report.naming.Standing`.

    Args:
      path: where to write.
      probabilities: ``[n, c]``.
      names: one name per sample, or empty.
      rounds: the questions and answers of every round.
      class_names: one name per id that a label answer can give, or empty.

    Returns:
      ``path``.

    Raises:
      UserError: if the file cannot be written.
    """
    probabilities = np.asarray(probabilities)
    answers = answers_by_sample(rounds, names, class_names)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["sample", "group", "name", "confidence", "answer"])
    standing = stand(rounds, probabilities, class_names)
    for i, (group, confidence) in enumerate(
        zip(standing.group.tolist(), standing.confidence, strict=True)
    ):
        name = names[i] if names else i
        answer = "; ".join(answers[i])
        writer.writerow([name, group, standing.names[group], f"{confidence:.6f}", answer])
    return write_atomically(path, table.getvalue())


def plain(value: Any) -> Any:
    """Convert nested mappings, sequences and NumPy values to what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)
