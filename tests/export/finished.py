"""Finished runs, written by the writers of the runs themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from idc_jax.annotate import Store, answered, label_questions
from idc_jax.annotate.store import Row
from idc_jax.report import RESULT_KEYS, write_assignments, write_atomically, write_result
from idc_jax.runs import configuration

# What a person may well call groups.
NAMES = ("cats/dogs", "Ünïcode 猫", "unsure")
# Sample 5 is of group 1, and hardly so.
CONFIDENCE = (0.9, 0.8, 0.95, 0.7, 0.6, 0.4)


def make_images(folder: Path) -> list[Path]:
    """Six images in two folders, two by two of one name."""
    paths = [folder / part / f"{name}.png" for name in ("1", "zwei ü", "3") for part in ("a", "b")]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(path)
    return paths


def probabilities() -> np.ndarray:
    """``[6, 3]``: the samples are of groups 0, 1, 2, 0, 1, 2 but for the last, of 1."""
    found = np.zeros((6, 3))
    for sample, confidence in enumerate(CONFIDENCE):
        group = 1 if sample == 5 else sample % 3
        found[sample] = (1 - confidence) / 2
        found[sample, group] = confidence
    return found


def finish(
    folder: Path,
    *,
    names: Sequence[str] = (),
    started_in: Path | None = None,
    data: dict[str, Any] | None = None,
) -> Path:
    """Leave in ``folder`` what a run leaves: Ann named a sample of each group, Bob agreed on one.

    Args:
      folder: the workdir.
      names: of the samples, or empty.
      started_in: where the run was started.
      data: options of ``config.data``; those of features if there are none.
    """
    folder.mkdir(parents=True)
    config = configuration.get_config().to_dict()
    config["data"] |= data or {"source": "features", "path": "features.npz"}
    questions = label_questions(1, np.array([2, 1, 0]), np.ones(3))
    with Store(folder / "answers.db") as store:
        store.freeze(questions)
        for group, (key, sample) in enumerate(zip("xyz", (0, 1, 2), strict=True)):
            store.name_group(key, NAMES[group], sample, limit=3)
        said = [("ann", 0, 2), ("ann", 1, 1), ("ann", 2, 0), ("bob", 2, 0)]
        store.add(Row(f"{who}{at}", 1, at, who, choice) for who, at, choice in said)
    rounds = [(questions, answered(questions, np.array([2, 1, 0])))]
    write_assignments(
        folder / "assignments.csv",
        probabilities=probabilities(),
        names=names,
        rounds=rounds,
        class_names=NAMES,
    )
    write_atomically(folder / "config.json", json.dumps(config))
    result = dict.fromkeys(RESULT_KEYS) | {
        "config": config,
        "method": "idc",
        "num_clusters": 3,
        "num_samples": 6,
        "answer_names": NAMES,
        "started_in": str(started_in or folder.parent),
    }
    write_result(folder / "result.json", result)
    return folder


def finish_images(home: Path) -> Path:
    """A run on a folder of images, which it was given by a relative path."""
    paths = [str(path.relative_to(home)) for path in make_images(home / "photos")]
    data = {"source": "folder", "path": "photos"}
    return finish(home / "run", names=paths, started_in=home, data=data)
