"""Which folders are splits and which are classes, told by their names and by what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from idc_jax.data.base import Skipped
from idc_jax.data.sources.base import USUAL_SPLITS
from idc_jax.data.sources.tree import Tree
from idc_jax.errors import UserError

# What people call the folders above their classes.
_SPLIT_NAMES = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
)
_TRAINING = ("train", "training")
_SHOWN = 5


class ImageFile(NamedTuple):
    """An image to be read.

    Attributes:
      path: the file.
      class_name: the class folder that it lies in, or None.
      train: whether it is of the training split.
    """

    path: Path
    class_name: str | None
    train: bool


class Layout(NamedTuple):
    """What is to be read of a folder, and what is not.

    Attributes:
      files: the images.
      skipped: what is left out.
      notes: what the person should know, a line each.
    """

    files: list[ImageFile]
    skipped: list[Skipped]
    notes: list[str]


def lay_out(root: Tree, splits: tuple[str, ...], classes: tuple[str, ...]) -> Layout:
    """Tell splits from classes.

    Folders called as splits usually are (``train``, ``Val``), or as the ``splits`` asked for, are
    splits where they hold class folders, or where nothing but splits is there; beside folders that
    hold images themselves, they are classes as those are.

    Args:
      root: the folder.
      splits: which splits to join, in this order; empty for every image below the folder, as it
        lies there, without classes.
      classes: the class folders to keep, in every split; empty for all.

    Raises:
      UserError: there is no such split or class.
    """
    if not splits and not classes:
        files = [ImageFile(path, None, True) for path in root.every_image]
        return Layout(files, list(root.every_unread()), [])
    classes = _named_classes(root, classes)
    found = _splits(root, splits, classes) if splits else []
    if not found:
        if splits not in ((), USUAL_SPLITS) and root.every_image:
            held = f"folders {_listed(root.holding)}" if root.holding else "images"
            raise UserError(
                f"{root.path} is not divided into splits such as {splits[0]!r}: it holds {held}"
            )
        return _with_hints(root, _in_classes(root, classes, train=True), classes)
    wanted = _wanted(root, found, splits)
    parts = [_in_classes(tree, classes, train=tree.name.casefold() in _TRAINING) for tree in wanted]
    skipped = [item for part in parts for item in part.skipped] + root.unread
    skipped += [Skipped(str(path), "not in a split") for path in root.images]
    for tree in root.folders:
        if tree not in wanted:
            skipped += [_left_out(tree, wanted)] if tree.every_image else tree.every_unread()
    return Layout([file for part in parts for file in part.files], skipped, [])


def _named_classes(root: Tree, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The names one by one: on a command line, several come as one string with commas."""
    there = {tree.name for above in (root, *root.folders) for tree in above.folders}
    parts = ([name] if name in there else name.split(",") for name in classes)
    return tuple(one.strip() for part in parts for one in part)


def _splits(root: Tree, splits: tuple[str, ...], classes: tuple[str, ...]) -> list[Tree]:
    """The folders that are splits; none where they are all classes."""
    names = _SPLIT_NAMES | {split.casefold() for split in splits}
    called = [tree for tree in root.holding if tree.name.casefold() in names]
    called = [tree for tree in called if tree.name not in classes]
    above_classes = [tree for tree in called if tree.holding]
    beside = [tree for tree in root.holding if tree not in called and tree.images]
    # One of them that holds folders may be a class that has them; two are hardly.
    return [] if beside and len(above_classes) < 2 else called


def _wanted(root: Tree, found: list[Tree], splits: tuple[str, ...]) -> list[Tree]:
    """Those of the splits ``found`` that were asked for."""
    by_name = {tree.name.casefold(): tree for tree in found} | {tree.name: tree for tree in found}
    wanted = [by_name.get(split, by_name.get(split.casefold())) for split in splits]
    missing = [split for split, tree in zip(splits, wanted, strict=True) if tree is None]
    there = [tree for tree in wanted if tree is not None]
    # Of the usual splits, one may be missing.
    if not there or (missing and splits != USUAL_SPLITS):
        joined = ",".join(tree.name for tree in found)
        raise UserError(f"{root.path} has no split {missing[0]!r}: use splits={joined}")
    return there


def _left_out(tree: Tree, wanted: list[Tree]) -> Skipped:
    joined = ",".join([*(one.name for one in wanted), tree.name])
    count = len(tree.every_image)
    held = "1 image" if count == 1 else f"{count} images"
    reason = f"{held} of a split that was not asked for: splits={joined} joins it"
    return Skipped(str(tree.path), reason, folder=True)


def _in_classes(root: Tree, classes: tuple[str, ...], *, train: bool) -> Layout:
    """The images below ``root``, by the folders in it; those of a flat folder have no class."""
    if classes:
        missing = sorted(set(classes) - {tree.name for tree in root.folders})
        if missing:
            more = ", ..." if len(missing) > _SHOWN else ""
            raise UserError(
                f"{root.path} lacks {len(missing)} of {len(classes)} class folders: "
                f"{', '.join(missing[:_SHOWN])}{more}"
            )
    kept = [tree for tree in root.folders if not classes or tree.name in classes]
    skipped = [*(item for tree in kept for item in tree.every_unread()), *root.unread]
    files = [ImageFile(path, tree.name, train) for tree in kept for path in tree.every_image]
    if not files:
        return Layout([ImageFile(path, None, train) for path in root.images], skipped, [])
    strays = [Skipped(str(path), "not in a class folder") for path in root.images]
    return Layout(files, skipped + strays, [])


def _with_hints(root: Tree, layout: Layout, classes: tuple[str, ...]) -> Layout:
    """``layout``, with what should be said where folders are hardly meant as classes."""
    if classes or not root.holding:
        return layout
    if len(root.holding) == 1:
        hint = f"{root.path} has one class folder, {root.holding[0].name}, which is not a class"
        below = root.holding[0]
        while len(below.holding) == 1 and not below.images:
            below = below.holding[0]
        if len(below.holding) > 1:
            hint += f": name {below.path}, which holds {_listed(below.holding)}"
        files = [file._replace(class_name=None) for file in layout.files]
        return layout._replace(files=files, notes=[hint])
    alike = set.intersection(*({tree.name for tree in one.holding} for one in root.holding))
    if len(alike) > 1 and not any(tree.images for tree in root.holding):
        joined = ",".join(tree.name for tree in root.holding)
        hint = (
            f"{_listed(root.holding)} are taken as classes, though each holds {_named(alike)}: "
            f"splits={joined} joins them"
        )
        return layout._replace(notes=[hint])
    return layout


def _listed(trees: list[Tree]) -> str:
    return _named({tree.name for tree in trees})


def _named(names: set[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    return ", ".join(shown) + (", ..." if len(names) > _SHOWN else "")
