"""All members of a group on one picture: a contact sheet."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
from PIL import Image

from idc_jax.report.thumbnails import data_uri
from idc_jax.report.view import View

# So many samples are on the sheets of a page; of larger groups the least sure are shown.
MOST_SAMPLES = 10_000
LEAST_OF_A_GROUP = 50
# The side of a sample on a sheet, in pixels, and how many stand beside each other.
CELL, COLUMNS = 48, 12
# Up to this side a sample is kept pixel by pixel.
LOSSLESS_SIDE = 16


def member_sheet(view: View, cluster: int) -> dict[str, Any]:
    """Describe the members of a cluster, the least sure first.

    Returns:
      ``count``: how many are shown; ``src``: the sheet, empty for features; ``columns``;
      ``titles`` and ``files``: JSON, what each is, and its file if any; ``names``: all of them.
    """
    members = np.flatnonzero(view.after == cluster)
    order = members[np.argsort(view.final[members, cluster], kind="stable")]
    most = max(LEAST_OF_A_GROUP, MOST_SAMPLES // view.num_clusters)
    shown = order[:most].tolist()
    titles = [view.title(sample, f"{view.final[sample, cluster]:.3f}") for sample in shown]
    return {
        "count": len(shown),
        "src": _sheet(view.dataset.inputs[shown]) if view.has_images and shown else "",
        "columns": COLUMNS,
        "titles": json.dumps(titles),
        "files": json.dumps([view.file(sample) for sample in shown]) if view.has_files else "[]",
        "names": titles,
    }


def _sheet(images: np.ndarray) -> str:
    """Put uint8 ``[m, h, w, c]`` beside each other, ``COLUMNS`` in a row, as a data URI."""
    side = min(CELL, max(images.shape[1:3]))
    rows = math.ceil(len(images) / COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * side, rows * side), "white")
    for place, image in enumerate(images):
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        picture.thumbnail((side, side), Image.Resampling.BOX)
        sheet.paste(picture.convert("RGB"), (place % COLUMNS * side, place // COLUMNS * side))
    buffer = io.BytesIO()
    kind = "PNG" if side <= LOSSLESS_SIDE else "JPEG"
    sheet.save(buffer, kind, optimize=kind == "PNG", quality=85)
    return data_uri(buffer.getvalue(), f"image/{kind.lower()}")
