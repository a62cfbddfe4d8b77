"""What a writer is asked for; it reads the fields that concern it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from idc_jax.errors import UserError
from idc_jax.export.pictures import Pictures
from idc_jax.export.table import Table


class Request(NamedTuple):
    """What is to be written, and where.

    Attributes:
      table: the samples.
      out: the file or folder to make.
      pictures: the samples as image files, or None where they are not images.
      unsure: samples below this confidence go into a folder of their own; None for none.
      root: what Label Studio serves local files from; None for the images' parent folder.
      made_by: what the predictions are said to come from.
    """

    table: Table
    out: Path
    pictures: Pictures | None = None
    unsure: float | None = None
    root: Path | None = None
    made_by: str = "idc_jax"


def pictures_of(request: Request) -> Pictures:
    """The samples as image files.

    Raises:
      UserError: they are not images.
    """
    if request.pictures is None:
        raise UserError("the samples are features, not images; use --to=csv or --to=parquet")
    return request.pictures
