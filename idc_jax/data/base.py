"""What every data source returns: one in-memory data set, images or features."""

from typing import Literal, NamedTuple

import numpy as np


class Skipped(NamedTuple):
    """A file that was not read, or a folder, and why."""

    path: str
    reason: str
    folder: bool = False


class Dataset(NamedTuple):
    """All samples of a data set, its splits joined.

    Attributes:
      name: for titles and file names.
      kind: ``"images"`` or ``"features"``.
      inputs: uint8 ``[n, h, w, c]`` with c = 1 or 3, or float32 ``[n, d]``.
      labels: int32 ``[n]``, or None: no labels is a normal case.
      class_names: one name per class id, or empty.
      names: what to call each sample (a file's path), or empty: then its index.
      train: bool ``[n]``, which samples belong to the official training split (PCL needs it).
      skipped: files left out, with the reason.
      notes: what a person should know of how the data were read, a line each.
    """

    name: str
    kind: Literal["images", "features"]
    inputs: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    train: np.ndarray
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of samples."""
        return int(self.inputs.shape[0])
