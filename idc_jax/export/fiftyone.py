"""FiftyOne's JSON format for classifications, with confidences and attributes."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from idc_jax.export.destination import fresh_folder
from idc_jax.export.folders import put_all
from idc_jax.export.request import Request, pictures_of
from idc_jax.export.table import Row


def write_fiftyone(request: Request) -> str:
    """Write a ``fiftyone.types.FiftyOneImageClassificationDataset``: ``data/``, ``labels.json``."""
    pictures = pictures_of(request)
    with fresh_folder(request.out) as part:
        names = put_all(pictures, part / "data")
        # An image is known by its name without the ending.
        labels = {
            PurePath(name).stem: _classification(row)
            for name, row in zip(names, request.table.rows(), strict=True)
        }
        content = {"classes": list(request.table.names), "labels": labels}
        (part / "labels.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return f'Dataset.from_dir("{request.out}", fiftyone.types.FiftyOneImageClassificationDataset)'


def _classification(row: Row) -> dict[str, Any]:
    attributes: dict[str, Any] = {"group": row.group, "path": row.path}
    if row.answer:
        attributes |= {"answered_by": row.answered_by, "answer": row.answer}
    return {"label": row.group, "confidence": row.confidence, "attributes": attributes}
