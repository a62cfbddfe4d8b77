"""The formats by name, and the one function that writes any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from idc_jax.errors import UserError, check_one_of
from idc_jax.export.fiftyone import write_fiftyone
from idc_jax.export.folders import write_folders
from idc_jax.export.huggingface import write_huggingface
from idc_jax.export.label_studio import write_label_studio
from idc_jax.export.pictures import Links, Pictures, from_arrays, from_files
from idc_jax.export.request import Request
from idc_jax.export.run import FinishedRun
from idc_jax.export.tables import write_csv, write_parquet


class Format(NamedTuple):
    """A format.

    Attributes:
      write: writes it, and returns a line on how to go on, or an empty one.
      pictures: whether it needs the images.
      options: which of ``unsure``, ``links`` and ``root`` it takes.
    """

    write: Callable[[Request], str]
    pictures: bool = True
    options: tuple[str, ...] = ()


FORMATS = {
    "folders": Format(write_folders, options=("unsure", "links")),
    "csv": Format(write_csv, pictures=False),
    "parquet": Format(write_parquet, pictures=False),
    "huggingface": Format(write_huggingface, options=("links",)),
    "fiftyone": Format(write_fiftyone, options=("links",)),
    "label_studio": Format(write_label_studio, options=("root",)),
}
"""The formats by their names in ``--to``."""


class Options(NamedTuple):
    """What some formats can be told; None leaves it to them.

    Attributes:
      unsure: samples below this confidence go into a folder of their own.
      links: how images are put into folders, see :data:`idc_jax.export.pictures.Links`.
      root: what Label Studio serves local files from.
    """

    unsure: float | None = None
    links: Links | None = None
    root: Path | None = None


NO_OPTIONS = Options()


def export(
    run: FinishedRun,
    to: str,
    out: Path,
    options: Options = NO_OPTIONS,
    *,
    load_images: Callable[[], np.ndarray],
) -> str:
    """Write ``run`` in the format ``to``.

    Args:
      run: see :func:`idc_jax.export.run.read_run`.
      to: one of ``FORMATS``.
      out: the file or folder to make.
      options: those that the format takes.
      load_images: returns the images uint8 ``[n, h, w, c]`` of a run on images that are not files.

    Returns:
      A line on how to go on, or an empty one.

    Raises:
      UserError: anything that the user can put right; then ``out`` is as it was.
    """
    check_one_of("to", to, FORMATS)
    wanted = FORMATS[to]
    for name, value in options._asdict().items():
        if value is not None and name not in wanted.options:
            takers = [key for key, one in FORMATS.items() if name in one.options]
            raise UserError(f"{to} takes no {name}; use it with {' or '.join(takers)}")
    _check_apart(run, out)
    pictures = _pictures(run, options.links or "hard", load_images) if wanted.pictures else None
    return wanted.write(
        Request(
            table=run.table,
            out=out,
            pictures=pictures,
            unsure=options.unsure,
            root=options.root,
            made_by=f"idc_jax {run.method}",
        )
    )


def _check_apart(run: FinishedRun, out: Path) -> None:
    """Refuse to write among the images, where the next run would read what was written."""
    if run.images is not None and run.images.resolve() in (out.resolve(), *out.resolve().parents):
        raise UserError(f"{out} is in the folder of the images, {run.images}; use another")


def _pictures(
    run: FinishedRun, links: Links, load_images: Callable[[], np.ndarray]
) -> Pictures | None:
    if run.images is not None:
        return from_files(run.table.paths, links)
    if run.config["data"]["source"] == "features":
        return None
    images = load_images()
    if len(images) != run.table.size:
        raise UserError(
            f"the data have {len(images)} images now, and {run.table.size} samples in "
            f"{run.folder}; use the data that the run saw"
        )
    return from_arrays(images)
