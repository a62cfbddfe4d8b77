"""`load`: any data source by name, with plain arguments."""

import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from idc_jax.data.base import Dataset
from idc_jax.data.fit import Rule, check_fit
from idc_jax.data.kernels import Kernel
from idc_jax.data.sources import CLASS_LISTS, SOURCES, USUAL_SPLITS, Request
from idc_jax.data.subset import Limit, SubsetKind, check_limit
from idc_jax.data.subset import limit as limit_samples
from idc_jax.errors import UserError, choose, of_the_system

CACHE_VARIABLE = "IDC_JAX_CACHE"
# The longest side that images are stored at, in pixels.
_LARGEST = 8192


def default_cache_dir() -> Path:
    """Return ``$IDC_JAX_CACHE``, or ``~/.cache/idc_jax`` where it is not set.

    Who has no home folder that can be written, as in a container, has one among the temporary
    files.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    with suppress(RuntimeError):
        wanted = Path.home() / ".cache" / "idc_jax"
        there = next(path for path in (wanted, *wanted.parents) if os.path.exists(path))
        if there == wanted or os.access(there, os.W_OK | os.X_OK):
            return wanted
    return _temporary()


@cache
def _temporary() -> Path:
    """A folder among the temporary files that nobody else can have put there."""
    path = Path(tempfile.gettempdir()) / f"idc_jax-{os.getuid()}"
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        if path.lstat().st_uid == os.getuid() and not path.is_symlink():
            return path
    return Path(tempfile.mkdtemp(prefix="idc_jax-"))


def expanded(path: str | Path) -> Path:
    """``path`` with the home folder for a ``~`` that it begins with.

    Raises:
      UserError: nobody knows whose home that would be, or no path can be so.
    """
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} is not a path")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: no home folder is known for '~'; write it in full") from error


def load(
    source: str,
    *,
    path: str | Path | None = None,
    name: str | None = None,
    image_size: int | None = None,
    rule: Rule = "middle",
    kernel: Kernel = "bicubic",
    splits: tuple[str, ...] = USUAL_SPLITS,
    label_key: str | None = None,
    features_key: str = "features",
    classes: str | tuple[str, ...] = (),
    limit: int | None = None,
    subset: SubsetKind = "stratified",
    seed: int = 0,
    cache_dir: str | Path | None = None,
) -> Dataset:
    """Load all samples of a data set, its splits joined.

    Args:
      source: ``"digits"``, ``"tfds"``, ``"idx"``, ``"folder"`` or ``"features"``.
      path: TFDS's data directory, the folder of IDX files or of images, or the file of features.
      name: TFDS's data set (``"cifar100"``); elsewhere a title in place of the path's own.
      image_size: resize images to this square; None keeps their own size (a folder needs one).
      rule: how the files of a folder or of TFDS become that square: ``"middle"`` cuts it out,
        ``"shorter"`` resizes the shorter side first, ``"stretch"`` takes the whole image.
      kernel: of the resizing, see :data:`idc_jax.data.kernels.KERNELS`.
      splits: the splits to join, in this order; empty for every image below a folder, without
        classes.
      label_key: which labels to use (``"coarse_label"``); None for the source's usual one.
      features_key: the array of features within an ``.npz``.
      classes: of a folder, the class subfolders to keep, or the name of a known list of them
        (``"imagenet10"``, ``"imagenet_dogs"``, ``"imagenet10_2"``); empty for all.
      limit: keep this many samples only.
      subset: how ``limit`` chooses, see :func:`idc_jax.data.subset.limit`.
      seed: of a random subset.
      cache_dir: where decoded arrays are kept; None for :func:`default_cache_dir`.

    Raises:
      UserError: an unknown source or anything about the data that a user can put right.
    """
    if source not in SOURCES:
        raise UserError(f"unknown data source {source!r}; {choose(SOURCES)}")
    if image_size is not None and not 1 <= image_size <= _LARGEST:
        raise UserError(
            f"an image size of {image_size} pixels is impossible: use at least 1, at most "
            f"{_LARGEST}"
        )
    check_fit(rule, kernel)
    wanted = None if limit is None else Limit(limit, subset, seed)
    if wanted is not None:
        check_limit(wanted)
    request = Request(
        path=None if path is None else expanded(path),
        name=name,
        image_size=image_size,
        splits=_names(splits),
        label_key=label_key,
        features_key=features_key,
        classes=_class_folders(classes),
        cache_dir=default_cache_dir() if cache_dir is None else expanded(cache_dir),
        rule=rule,
        kernel=kernel,
        limit=wanted,
    )
    try:
        dataset = SOURCES[source](request)
    except OSError as error:
        raise UserError(f"cannot read {of_the_system(error)}") from error
    # Of a source that has chosen already, this keeps everything.
    return dataset if wanted is None else limit_samples(dataset, *wanted)


def _class_folders(classes: str | tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(classes, str):
        return tuple(map(str, classes))
    if classes and classes not in CLASS_LISTS:
        raise UserError(f"unknown class list {classes!r}; {choose(CLASS_LISTS)}")
    return tuple(CLASS_LISTS[classes]) if classes else ()


def _names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    """Names one by one; on a command line, several come as one string with commas."""
    given = (names,) if isinstance(names, str) else names
    found = [one.strip() for name in given for one in str(name).split(",")]
    return tuple(dict.fromkeys(one for one in found if one))
