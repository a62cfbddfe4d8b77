"""A folder of images: one subfolder per class, or flat and without labels."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from idc_jax.data.base import Dataset, Skipped
from idc_jax.data.cache import Entry, cached, file_stamps, room
from idc_jax.data.decode import UnreadableError, decode_file
from idc_jax.data.endings import image_endings
from idc_jax.data.progress import progress
from idc_jax.data.sources.base import Request, compact_labels, existing_path
from idc_jax.data.sources.layout import ImageFile, lay_out
from idc_jax.data.sources.tree import Tree
from idc_jax.data.sources.wnids import CLASS_TITLES
from idc_jax.data.subset import Limit, choose
from idc_jax.data.telling import told
from idc_jax.errors import UserError, representable


def load_folder(request: Request) -> Dataset:
    """Read every image below a folder as uint8 ``[n, size, size, 3]``.

    Classes are the subfolders in the order of their names, so WordNet ids sort as the papers
    have them. Splits above them (``train/``, ``Test/``) are joined; see
    :func:`~idc_jax.data.sources.layout.lay_out`. Without subfolders there are no labels. Whatever
    is not read is in ``skipped``.

    Raises:
      UserError: no such folder or class, no image size, or not one readable image.
    """
    root = existing_path(request, "a folder of images")
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name one that holds images")
    if request.image_size is None:
        raise UserError("a folder of images needs an image size: set it, to 224 for example")
    files, strays, notes = lay_out(Tree(root), request.splits, request.classes)
    if not files:
        held = f"; it holds {told(strays)}" if strays else ""
        raise UserError(
            f"{root} holds no image files: looked for {', '.join(sorted(image_endings()))}{held}"
        )
    entry = _decoded(files, request)
    readable = entry.arrays["readable"]
    unreadable = [Skipped(*item) for item in entry.notes["unreadable"]]
    if not readable.any():
        path, reason, _ = unreadable[0]
        raise UserError(
            f"{root}: none of {len(files)} image files can be read; the first is {path}: {reason}"
        )
    kept = [file for file, good in zip(files, readable, strict=True) if good]
    labels, names = _labels(files, readable, entry.notes["unreadable"])
    return Dataset(
        name=request.name or representable(root.resolve().name),
        kind="images",
        inputs=entry.arrays["images"],
        labels=labels,
        class_names=names,
        names=tuple(str(file.path) for file in kept),
        train=np.asarray([file.train for file in kept]),
        skipped=(*unreadable, *strays),
        notes=tuple(notes),
    )


def _decoded(files: list[ImageFile], request: Request) -> Entry:
    """The images kept, as ``images``, and which of ``files`` they are, as ``readable`` [f]."""
    paths = [file.path for file in files]
    # What nobody may read today may be readable tomorrow, though the file is the same.
    locked = [str(path) for path in paths if not _open_to_us(path)]
    key: dict[str, Any] = {"files": file_stamps(paths), "locked": locked} | request.decoding()
    labels = _labels(files, np.ones(len(files), bool), [])[0]
    if request.limit is not None and request.limit.most < len(files):
        # The same files are of other classes where another folder was named.
        key |= {"limit": request.limit, "labels": None if labels is None else labels.tolist()}

    def build() -> Entry:
        return _Decoder(paths, request).entry(request.limit, labels)

    return cached(request.cache_dir, "folder", key, build)


def _open_to_us(path: Path) -> bool:
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


class _Decoder:
    """Decodes some of the files, each once."""

    def __init__(self, paths: list[Path], request: Request) -> None:
        size = request.image_size
        assert size is not None
        self._paths, self._fit = paths, (size, request.rule, request.kernel)
        # A row for every file: those that are never written take up nothing.
        self._images = room(request.cache_dir, (len(paths), size, size, 3))
        self._tried = np.zeros(len(paths), bool)
        self._readable = np.ones(len(paths), bool)
        self._unreadable: list[tuple[str, str]] = []

    def entry(self, limit: Limit | None, labels: np.ndarray | None) -> Entry:
        """Decode those that ``limit`` chooses among the readable ones."""
        while True:
            open_ = np.flatnonzero(self._readable)
            chosen = open_[choose(limit, len(open_), None if labels is None else labels[open_])]
            left = chosen[~self._tried[chosen]]
            if not len(left):
                break
            self._decode(left)
        for row, index in enumerate(chosen):
            if row != index:
                self._images[row] = self._images[index]
        kept = np.zeros(len(self._paths), bool)
        kept[chosen] = True
        return Entry(
            {"images": self._images[: len(chosen)], "readable": kept},
            {"unreadable": self._unreadable},
        )

    def _decode(self, wanted: np.ndarray) -> None:
        # Pillow decodes outside the interpreter lock, so threads are enough.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = progress(pool.map(self._one, wanted), len(wanted), "decoding images")
            for index, outcome in zip(wanted, outcomes, strict=True):
                self._tried[index] = True
                if isinstance(outcome, str):
                    self._readable[index] = False
                    self._unreadable.append((str(self._paths[index]), outcome))
                else:
                    self._images[index] = outcome

    def _one(self, index: int) -> np.ndarray | str:
        try:
            return decode_file(self._paths[index], *self._fit)
        except UnreadableError as error:
            return str(error)


def _labels(
    files: list[ImageFile], kept: np.ndarray, unreadable: list[list[str]]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Of the files ``kept`` ``[f]``, with an id for every class that has a file to be read."""
    if all(file.class_name is None for file in files):
        return None, ()
    bad = {path for path, _ in unreadable}
    good = np.asarray([str(file.path) not in bad for file in files])
    # Those of a split without class folders are of an unknown one.
    classes = np.asarray([file.class_name or "" for file in files])
    labels, names = compact_labels(classes[good])
    if not names:
        return None, ()
    return labels[kept[good]], tuple(CLASS_TITLES.get(name, representable(name)) for name in names)
