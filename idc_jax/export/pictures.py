"""How a sample becomes a file: a link or a copy of its own, or a PNG of its pixels."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from idc_jax.errors import UserError, check_one_of

Links = Literal["hard", "soft", "copy"]
"""How an exported image is made of a file: a hard link, a symbolic one, or a copy."""


class Pictures(NamedTuple):
    """The samples as image files.

    Attributes:
      names: ``[n]``, what to call each, not all different.
      put: ``(sample, path)``: puts it there, where nothing is yet.
      files: ``[n]``, the files that the samples are, or empty where they are none.
    """

    names: tuple[str, ...]
    put: Callable[[int, Path], object]
    files: tuple[str, ...]


def from_files(paths: Sequence[str], links: Links = "hard") -> Pictures:
    """Images that are files.

    Args:
      paths: ``[n]``, absolute.
      links: ``"hard"`` and ``"soft"`` links take no room; a ``"copy"`` can be changed.

    Raises:
      UserError: an unknown kind of link, or a file that is gone.
    """
    check_one_of("links", links, get_args(Links))
    gone = [path for path in paths if not os.path.isfile(path)]
    if gone:
        more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
        raise UserError(f"{gone[0]} is not there{more}: put the images back where the run saw them")
    names = tuple(os.path.basename(path) for path in paths)
    return Pictures(names, lambda sample, path: _PLACE[links](paths[sample], path), tuple(paths))


def from_arrays(images: np.ndarray) -> Pictures:
    """Images that are pixels: uint8 ``[n, h, w, c]``, c = 1 or 3, saved as PNG by their index."""
    from PIL import Image

    def put(sample: int, path: Path) -> None:
        pixels = images[sample]
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, "PNG")

    digits = len(str(len(images) - 1))
    return Pictures(tuple(f"{i:0{digits}}.png" for i in range(len(images))), put, ())


def _hard_link(source: str, path: Path) -> None:
    try:
        # A link to a symbolic link would hang on that.
        os.link(os.path.realpath(source), path)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        raise UserError(
            f"no hard link from {path.parent} to {source} is possible; use links=soft or links=copy"
        ) from error


_PLACE: dict[Links, Callable[[str, Path], object]] = {
    "hard": _hard_link,
    "soft": os.symlink,
    "copy": shutil.copy,
}
