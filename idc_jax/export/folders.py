"""A folder of images for each group."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from idc_jax.errors import UserError
from idc_jax.export.destination import fresh_folder
from idc_jax.export.naming import FileNames, folder_names
from idc_jax.export.pictures import Pictures
from idc_jax.export.request import Request, pictures_of

UNSURE = "unsure"


def write_folders(request: Request) -> str:
    """Put each image into the folder of its group, or into ``unsure/``.

    Raises:
      UserError: the samples are not images, ``unsure`` is not a probability, or the folder holds
        something else.
    """
    pictures, threshold = pictures_of(request), request.unsure or 0.0
    if not 0 <= threshold <= 1:
        raise UserError(f"unsure is {threshold}; it must be a confidence from 0 to 1")
    folders = folder_names(request.table.names, taken=(UNSURE,))
    given: dict[str, FileNames] = defaultdict(FileNames)
    unsure = 0
    with fresh_folder(request.out) as part:
        for sample, row in enumerate(request.table.rows()):
            below = row.confidence < threshold
            unsure += below
            folder = UNSURE if below else folders[row.name]
            (part / folder).mkdir(exist_ok=True)
            pictures.put(sample, part / folder / given[folder].take(pictures.names[sample]))
    return f"{unsure} of them in {UNSURE}/" if request.unsure is not None else ""


def put_all(pictures: Pictures, folder: Path) -> list[str]:
    """Make ``folder`` with every image in it, each by a stem of its own.

    Returns:
      ``[n]`` file names.
    """
    folder.mkdir()
    given = FileNames()
    names = [given.take(name) for name in pictures.names]
    for sample, name in enumerate(names):
        pictures.put(sample, folder / name)
    return names
