"""A folder of images: one subfolder per class, or flat and without labels."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.data.base import Dataset, Skipped
from idc_jax.data.cache import Entry, cached, file_stamps, room
from idc_jax.data.decode import UNREADABLE, decode_file
from idc_jax.data.progress import progress
from idc_jax.data.sources.base import Request, compact_labels, existing_path
from idc_jax.data.sources.wnids import CLASS_TITLES
from idc_jax.data.subset import Limit, choose
from idc_jax.errors import UserError

# fmt: off
IMAGE_ENDINGS = frozenset((
    ".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff",
    ".webp",
))
# fmt: on


class _File(NamedTuple):
    path: Path
    class_name: str | None
    train: bool


def load_folder(request: Request) -> Dataset:
    """Read every image below a folder as uint8 ``[n, size, size, 3]``.

    Classes are the subfolders in the order of their names, so WordNet ids sort as the papers
    have them. A folder with subfolders called as the splits (``train/``, ``test/``) is read split
    by split; anything else counts as training data. Without subfolders there are no labels.

    Raises:
      UserError: no such folder or class, no image size, or not one readable image.
    """
    root = existing_path(request, "a folder of images")
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name one that holds images")
    if request.image_size is None:
        raise UserError("a folder of images needs an image size: set it, to 224 for example")
    files, strays = _list_files(root, request)
    if not files:
        raise UserError(
            f"{root} holds no image files: looked for {', '.join(sorted(IMAGE_ENDINGS))}"
        )
    entry = _decoded(files, request)
    readable = entry.arrays["readable"]
    if not readable.any():
        path, reason = entry.notes["unreadable"][0]
        raise UserError(
            f"{root}: none of {len(files)} image files can be read; the first is {path}: {reason}"
        )
    kept = [file for file, good in zip(files, readable, strict=True) if good]
    labels, names = _labels(files, readable, entry.notes["unreadable"])
    return Dataset(
        name=request.name or root.resolve().name,
        kind="images",
        inputs=entry.arrays["images"],
        labels=labels,
        class_names=names,
        names=tuple(str(file.path) for file in kept),
        train=np.asarray([file.train for file in kept]),
        skipped=tuple(Skipped(*item) for item in entry.notes["unreadable"]) + strays,
    )


def _list_files(root: Path, request: Request) -> tuple[list[_File], tuple[Skipped, ...]]:
    splits = [split for split in request.splits if (root / split).is_dir()]
    splits = [split for split in splits if split not in request.classes]
    if not splits:
        return _list_root(root, request, train=True)
    files: list[_File] = []
    strays: tuple[Skipped, ...] = ()
    for split in splits:
        found, stray = _list_root(root / split, request, train=split == "train")
        files += found
        strays += stray
    return files, strays


def _list_root(
    root: Path, request: Request, train: bool
) -> tuple[list[_File], tuple[Skipped, ...]]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    if request.classes:
        missing = sorted(set(request.classes) - {folder.name for folder in folders})
        if missing:
            raise UserError(
                f"{root} lacks {len(missing)} of {len(request.classes)} class folders: "
                f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}"
            )
        folders = [folder for folder in folders if folder.name in request.classes]
    files = [_File(path, folder.name, train) for folder in folders for path in _images(folder)]
    loose = [path for path in sorted(root.iterdir()) if _is_image(path)]
    if files:
        return files, tuple(Skipped(str(path), "not in a class folder") for path in loose)
    return [_File(path, None, train) for path in loose], ()


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if _is_image(path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_ENDINGS and path.name[0] != "." and path.is_file()


def _decoded(files: list[_File], request: Request) -> Entry:
    """The images kept, as ``images``, and which of ``files`` they are, as ``readable`` [f]."""
    paths = [file.path for file in files]
    key: dict[str, Any] = {"files": file_stamps(paths)} | request.decoding()
    labels = _labels(files, np.ones(len(files), bool), [])[0]
    if request.limit is not None and request.limit.most < len(files):
        # The same files are of other classes where another folder was named.
        key |= {"limit": request.limit, "labels": None if labels is None else labels.tolist()}

    def build() -> Entry:
        return _Decoder(paths, request).entry(request.limit, labels)

    return cached(request.cache_dir, "folder", key, build)


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
        except UNREADABLE as error:
            return str(error) or type(error).__name__


def _labels(
    files: list[_File], kept: np.ndarray, unreadable: list[list[str]]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Of the files ``kept`` ``[f]``, with an id for every class that has a file to be read."""
    if any(file.class_name is None for file in files):
        return None, ()
    bad = {path for path, _ in unreadable}
    good = np.asarray([str(file.path) not in bad for file in files])
    classes = np.asarray([file.class_name for file in files])
    labels, names = compact_labels(classes[good])
    return labels[kept[good]], tuple(CLASS_TITLES.get(name, name) for name in names)
