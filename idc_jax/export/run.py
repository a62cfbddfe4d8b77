"""What a finished run left, read as a table."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from idc_jax.annotate.fusion import fuse
from idc_jax.annotate.questions import UNASKED, Questions
from idc_jax.annotate.samples import open_store
from idc_jax.annotate.stopping import by_people
from idc_jax.annotate.store import Row
from idc_jax.errors import UserError
from idc_jax.export.table import Table
from idc_jax.report.naming import name_groups


class FinishedRun(NamedTuple):
    """A run that is done.

    Attributes:
      folder: its working directory.
      table: its samples.
      config: its configuration, with nothing left open.
      method: which method ran.
      images: the folder of its images; None where its samples are not files.
    """

    folder: Path
    table: Table
    config: Mapping[str, Any]
    method: str
    images: Path | None


class _Said(NamedTuple):
    """What people said of n samples: the class, -1 for none ``[n]``, and who was asked ``[n]``."""

    classes: np.ndarray
    people: list[str]


def read_run(folder: Path) -> FinishedRun:
    """Read the run in ``folder``.

    Raises:
      UserError: there is none, it is not finished, or its files are damaged.
    """
    result = _read_result(folder)
    rows = _read_assignments(folder / "assignments.csv", result.get("num_samples"))
    try:
        config, names = result["config"], result.get("answer_names", ())
        data, method = config["data"], result["method"]
        images = (
            _start(result) / Path(data["path"]).expanduser() if data["source"] == "folder" else None
        )
        # Runs of before groups had names here called it the cluster.
        group = np.asarray([row.get("group") or row["cluster"] for row in rows], np.int32)
        confidence = np.asarray([row["confidence"] for row in rows], float)
        samples, answer = ([row[key] for row in rows] for key in ("sample", "answer"))
        samples = _names(folder / "samples.npz", len(rows)) or samples
        fusion = config["annotator"]["fusion"]
        count = max(result["num_clusters"], int(group.max()) + 1)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder} is not as a run leaves it ({error!r}); run it anew") from error
    said = _read_answers(folder / "answers.db", len(rows), fusion)
    table = Table(
        paths=tuple(samples) if images is None else _absolute(samples, _start(result)),
        group=group,
        names=name_groups(group, said.classes, names, count),
        confidence=confidence,
        answered_by=tuple(said.people),
        answer=tuple(answer),
    )
    return FinishedRun(folder, table, config, method, images)


def _read_result(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no run; give the --workdir of a finished one")
    if not path.is_file():
        raise UserError(f"the run in {folder} is not finished; its own command goes on with it")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _read_assignments(path: Path, size: int | None) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not rows or len(rows) != size or any(None in row.values() for row in rows):
        raise UserError(f"{path} is cut short: {len(rows)} of {size} samples; run it anew")
    return rows


def _names(path: Path, size: int) -> list[str]:
    """What the samples are called, also where UTF-8, and so a table, cannot hold it; or nothing."""
    try:
        with path.open("rb") as file, np.load(file) as saved:
            names = saved["names"].tolist()
    except (OSError, ValueError, KeyError, BadZipFile):
        return []
    return names if len(names) == size else []


def _start(result: Mapping[str, Any]) -> Path:
    """Where the run was started, and relative paths begin; runs of before it was kept: here."""
    return Path(result.get("started_in", "")).absolute()


def _absolute(samples: Sequence[str], start: Path) -> tuple[str, ...]:
    return tuple(os.path.normpath(start / sample) for sample in samples)


def _read_answers(path: Path, size: int, fusion: str) -> _Said:
    said = _Said(np.full(size, UNASKED, np.int32), [""] * size)
    if not path.is_file():
        raise UserError(f"{path} is not there, and with it who answered; put it back")
    people: dict[int, dict[str, None]] = {}
    with open_store(path.parent) as store:
        for number in store.rounds():
            questions = store.questions(number)
            assert questions is not None
            rows = by_people(store.live(number))
            _enter(questions, rows, people)
            if questions.kind in ("label", "grid"):
                choice = fuse(rows, questions.count, fusion)
                given = np.zeros(questions.count, bool)
                given[[row.position for row in rows]] = True
                told = questions.here & given
                said.classes[questions.indices[told]] = choice[told]
    for sample, names in people.items():
        said.people[sample] = "; ".join(names)
    return said


def _enter(questions: Questions, rows: Sequence[Row], people: dict[int, dict[str, None]]) -> None:
    """Add who answered each question to ``people``, by sample, in order and once."""
    for row in rows:
        for sample in np.atleast_1d(questions.indices[row.position]).tolist():
            people.setdefault(sample, {})[row.annotator] = None
