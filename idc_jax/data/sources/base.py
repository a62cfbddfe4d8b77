"""The protocol of a data source: one function of one request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.data.fit import Rule
from idc_jax.data.kernels import Kernel
from idc_jax.data.subset import Limit
from idc_jax.errors import UserError

USUAL_SPLITS = ("train", "test")
"""What is joined where nobody says what."""


class Request(NamedTuple):
    """What a source is asked for; a source reads the fields that concern it.

    Attributes:
      path: the folder or file to read, or None where the source needs none.
      name: which data set, for a source that knows many by name.
      image_size: images are resized to a square of this many pixels; None keeps their own size.
      splits: the splits to join, in this order, or empty for every image below a folder, without
        classes; the one called ``"train"`` fills ``Dataset.train``.
      label_key: which of the data set's labels to use, or None for the source's usual one.
      features_key: the array of features within an ``.npz``.
      classes: the class folders to keep, or empty for all.
      cache_dir: where decoded arrays are kept.
      rule: how a file becomes that square, see :class:`idc_jax.data.fit.Fit`.
      kernel: likewise.
      limit: how many samples to keep; a source may as well return all of them, but where it can
        choose before it decodes, it saves the work.
    """

    path: Path | None
    name: str | None
    image_size: int | None
    splits: tuple[str, ...]
    label_key: str | None
    features_key: str
    classes: tuple[str, ...]
    cache_dir: Path
    rule: Rule = "middle"
    kernel: Kernel = "bicubic"
    limit: Limit | None = None

    def decoding(self) -> dict[str, Any]:
        """What the decoded pixels depend on, as part of a key."""
        usual = (self.rule, self.kernel) == ("middle", "bicubic")
        fit = {} if usual else {"rule": self.rule, "kernel": self.kernel}
        return {"image_size": self.image_size, **fit}


Source = Callable[[Request], Dataset]
"""Reads what a request asks for."""


def existing_path(request: Request, wanted: str) -> Path:
    """Return the request's path.

    Raises:
      UserError: there is none, or nothing exists there; ``wanted`` says what should.
    """
    if request.path is None:
        raise UserError(f"no path was given: name {wanted}")
    try:
        request.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{request.path} does not exist: name {wanted}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{request.path} cannot be read ({reason}): name {wanted}") from error
    return request.path


def named_splits(request: Request) -> tuple[str, ...]:
    """Return the request's splits.

    Raises:
      UserError: there are none.
    """
    if not request.splits:
        raise UserError("splits names none; use train,test")
    return request.splits


def compact_labels(
    labels: np.ndarray, class_names: tuple[str, ...] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Renumber the classes that occur in ``labels`` ``[n]`` as 0..k-1, in their own order.

    Args:
      labels: integers, below 0 where unknown, or strings, empty where unknown, ``[n]``.
      class_names: a name for each integer label, or empty: then a class is called by its value.

    Returns:
      int32 labels ``[n]``, -1 for unknown, and the k names.
    """
    known = labels != "" if labels.dtype.kind == "U" else labels >= 0
    values, renumbered = np.unique(labels[known], return_inverse=True)
    if class_names:
        names = tuple(class_names[int(value)] for value in values)
    else:
        names = tuple(str(value) for value in values)
    found = np.full(len(labels), -1, np.int32)
    found[known] = renumbered.reshape(-1)
    return found, names
