"""What lies below a folder: images, and everything else, so that nothing goes unmentioned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from idc_jax.data.base import Skipped
from idc_jax.data.endings import image_endings, unreadable_endings

# Folders in folders: deeper ones are a mistake.
_DEEPEST = 100


class Tree:
    """A folder and all that is below it; what is hidden, as ``.git``, does not count.

    Links are followed, but no folder is entered twice.

    Attributes:
      path: the folder.
      images: the image files that lie in it, by name.
      folders: the folders that lie in it, by name.
      unread: what lies in it and is not read.
    """

    def __init__(
        self, path: Path, seen: dict[tuple[int, int], Path] | None = None, depth: int = 0
    ) -> None:
        """Look into ``path``, and into what is below it.

        Args:
          path: the folder.
          seen: the folders that were entered before, by device and inode.
          depth: how many folders it lies in.

        Raises:
          OSError: the first of the folders cannot be read; others are left out.
        """
        self.path = path
        self.images: list[Path] = []
        self.folders: list[Tree] = []
        self.unread: list[Skipped] = []
        try:
            self._look({} if seen is None else seen, depth)
        except OSError as error:
            if not depth:
                raise
            self._skip(path, f"cannot be read: {error.strerror or error}", folder=True)

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.path.name

    @cached_property
    def every_image(self) -> list[Path]:
        """The images that lie in it and below, by path."""
        return sorted([*self.images, *(one for tree in self.folders for one in tree.every_image)])

    def every_unread(self) -> Iterator[Skipped]:
        """What is not read, in it and below."""
        yield from self.unread
        for tree in self.folders:
            yield from tree.every_unread()

    @cached_property
    def holding(self) -> list[Tree]:
        """The folders that lie in it and have images."""
        return [tree for tree in self.folders if tree.every_image]

    def _look(self, seen: dict[tuple[int, int], Path], depth: int) -> None:
        stat = self.path.stat()
        before = seen.setdefault((stat.st_dev, stat.st_ino), self.path)
        if before is not self.path:
            return self._skip(self.path, f"the same folder as {before}", folder=True)
        if depth > _DEEPEST:
            return self._skip(self.path, f"more than {_DEEPEST} folders deep", folder=True)
        with os.scandir(self.path) as entries:
            found = [entry for entry in entries if entry.name[0] != "."]
        # A folder itself goes before links to it.
        for entry in sorted(found, key=lambda entry: (entry.is_symlink(), entry.name)):
            path = self.path / entry.name
            # Unlike an entry, a path has no error for a link that leads nowhere.
            if path.is_dir():
                self.folders.append(Tree(path, seen, depth + 1))
            elif path.is_file():
                self._sort(path)
            else:
                self._skip(path, "a link to nothing" if path.is_symlink() else "no regular file")
        self.images.sort()
        self.folders.sort(key=lambda tree: tree.path)
        return None

    def _sort(self, path: Path) -> None:
        ending = path.suffix.lower()
        if ending in image_endings():
            self.images.append(path)
        else:
            self._skip(path, unreadable_endings().get(ending, "no image file"))

    def _skip(self, path: Path, reason: str, *, folder: bool = False) -> None:
        self.unread.append(Skipped(str(path), reason, folder))
