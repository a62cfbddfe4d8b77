"""Label Studio: a task for each image, with the group as a prediction to correct."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from idc_jax.errors import UserError
from idc_jax.export.destination import fresh_folder
from idc_jax.export.folders import put_all
from idc_jax.export.request import Request, pictures_of
from idc_jax.export.table import Row

# The control of the labelling interface, and what it labels.
_CONTROL, _IMAGE = "group", "image"


def write_label_studio(request: Request) -> str:
    """Write ``tasks.json`` and the labelling interface ``config.xml``.

    The images stay where they are; those that are not files are written to ``images/``.

    Raises:
      UserError: the samples are not images, or some are not below the ``root``.
    """
    pictures = pictures_of(request)
    out = request.out.resolve()
    with fresh_folder(out) as part:
        files = list(pictures.files)
        if not files:
            files = [str(out / "images" / name) for name in put_all(pictures, part / "images")]
        folder = Path(os.path.commonpath([os.path.dirname(file) for file in files]))
        root = folder.parent if request.root is None else Path(os.path.abspath(request.root))
        tasks = [
            make_task(local_url(file, root), row, request.made_by)
            for file, row in zip(files, request.table.rows(), strict=True)
        ]
        (part / "tasks.json").write_text(json.dumps(tasks, indent=1), encoding="utf-8")
        (part / "config.xml").write_text(labelling_config(request.table.names), encoding="utf-8")
    return _serving(root, folder)


def make_task(url: str, row: Row, made_by: str) -> dict[str, Any]:
    """A task as Label Studio imports it.

    Args:
      url: of the image, as Label Studio serves it.
      row: the sample.
      made_by: the prediction's ``model_version``.
    """
    choice = {
        "from_name": _CONTROL,
        "to_name": _IMAGE,
        "type": "choices",
        "value": {"choices": [row.name]},
        "score": row.confidence,
    }
    prediction = {"model_version": made_by, "score": row.confidence, "result": [choice]}
    data = {_IMAGE: url, **row._asdict()}
    return {"data": data, "predictions": [prediction]}


def local_url(file: str, root: Path) -> str:
    """Where Label Studio serves ``file`` if its document root is ``root``.

    Raises:
      UserError: it is not below ``root``.
    """
    path = Path(file)
    if root not in path.parents:
        raise UserError(f"{file} is not below root {root}; root must be a folder above all images")
    return f"/data/local-files/?d={quote(os.fsencode(path.relative_to(root)))}"


def labelling_config(names: Sequence[str]) -> str:
    """The labelling interface: the image, and one of the groups' ``names``."""
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in dict.fromkeys(names))
    return (
        f'<View>\n  <Image name="{_IMAGE}" value="${_IMAGE}"/>\n'
        f'  <Choices name="{_CONTROL}" toName="{_IMAGE}" choice="single" required="true">\n'
        f"{choices}  </Choices>\n</View>\n"
    )


def _serving(root: Path, folder: Path) -> str:
    """What has to be set so that Label Studio shows the images."""
    return (
        f"start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}, and add {folder} to the project "
        "as local storage"
    )
