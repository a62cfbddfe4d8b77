"""Hugging Face's image folder: the images with a ``metadata.csv`` beside them."""

from __future__ import annotations

import csv

from idc_jax.export.destination import fresh_folder
from idc_jax.export.folders import put_all
from idc_jax.export.request import Request, pictures_of
from idc_jax.export.table import COLUMNS


def write_huggingface(request: Request) -> str:
    """Write what ``datasets.load_dataset("imagefolder", data_dir=...)`` reads.

    The name of the group is the column ``label``. All is in ``train/``: a split is otherwise
    guessed from the names of files.
    """
    pictures = pictures_of(request)
    header = ["label" if column == "name" else column for column in COLUMNS]
    with fresh_folder(request.out) as part:
        names = put_all(pictures, part / "train")
        with (part / "train" / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["file_name", *header])
            writer.writerows([n, *r] for n, r in zip(names, request.table.rows(), strict=True))
    return f'load_dataset("imagefolder", data_dir="{request.out}")'
