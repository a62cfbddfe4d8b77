"""What a sample looks like: a picture of it by index, and where there is none, its name."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from idc_jax.errors import representable

if TYPE_CHECKING:  # importing it for good would bring JAX along
    from idc_jax.data.base import Dataset


# The longest side of what is sent: to fill a screen, and for a tile.
_LARGE, _TILE = 1024, 256
_CACHED_PICTURES = 4096
# In a sheet of many: the longest side, and up to which every pixel stays as it is.
_IN_SHEET, _EXACT = 128, 64
_CACHED_TILES = 20_000
_NEIGHBORS = 3
# Sides that differ by less are those of a square that was rounded.
_NEARLY_SQUARE = 1.02


class Rendered(NamedTuple):
    """A picture as a browser takes it."""

    body: bytes
    media_type: str


class Pictures:
    """Renders the samples of a data set, by index alone."""

    def __init__(self, dataset: Dataset, *, largest: int = _LARGE) -> None:
        """Render the samples of ``dataset``, at most ``largest`` pixels along the longer side."""
        self._dataset, self._largest = dataset, largest
        self.render = lru_cache(_CACHED_PICTURES)(self._render)
        self._tile = lru_cache(_CACHED_TILES)(self._small)
        self._neighbors = lru_cache(_CACHED_PICTURES)(self._nearest_names)
        self._is_cut = lru_cache(_CACHED_PICTURES)(self._differs_in_shape)

    @property
    def size(self) -> int:
        """How many samples there are."""
        return self._dataset.size

    def describe(self, index: int, *, alone: bool = False) -> dict[str, Any]:
        """What is needed to show sample ``index``.

        Args:
          index: which.
          alone: it is what a question is about, not one of many: its neighbours are named.

        Returns:
          ``index``, ``name``; ``picture``: whether there is one; ``side``: the pixels along its
          longer side, which are shown as squares, or None for a file; ``link``: a web address
          that the name is, or None; ``near``: names of the nearest neighbours of a sample that
          has only a name and stands ``alone``; ``cut``: whether a file that stands ``alone`` is of
          another shape than what the network sees of it.
        """
        file = self._file(index)
        named = bool(self._dataset.names) and self._dataset.kind == "features" and file is None
        return {
            "index": index,
            "name": self._name(index),
            "picture": not named,
            "side": None if file else self._side(),
            "link": self._link(index),
            "near": self._neighbors(index) if named and alone else [],
            "cut": alone and file is not None and self._is_cut(index),
        }

    def sheet(self, samples: tuple[int, ...]) -> Rendered:
        """Many samples in one picture: tiles side by side, as many in each row as there are rows.

        Args:
          samples: which, from left to right and from the top down.
        """
        tiles = [self._tile(index) for index in samples]
        # As they are where they are small: the browser scales them up without a blur.
        side = min(_IN_SHEET, max(max(tile.size) for tile in tiles))
        columns = sheet_columns(len(tiles))
        size = (columns * side, -(-len(tiles) // columns) * side)
        modes = {tile.mode if tile.size == (side, side) else "RGBA" for tile in tiles}
        sheet = Image.new(modes.pop() if len(modes) == 1 else "RGBA", size)
        for at, tile in enumerate(tiles):
            if max(tile.size) > side:
                tile = tile.copy()
                tile.thumbnail((side, side))
            row, column = divmod(at, columns)
            corner = (
                column * side + (side - tile.width) // 2,
                row * side + (side - tile.height) // 2,
            )
            sheet.paste(tile, corner)
        out = io.BytesIO()
        if side > _EXACT:
            sheet.save(out, "WEBP", quality=80, method=0)
            return Rendered(out.getvalue(), "image/webp")
        sheet.save(out, "PNG", compress_level=1)
        return Rendered(out.getvalue(), "image/png")

    def _small(self, index: int) -> Image.Image:
        file = self._file(index)
        photo = _read(file, _IN_SHEET) if file else None
        return self._pixels(index) if photo is None else photo

    def render_whole(self, index: int) -> Rendered:
        """Sample ``index`` with all the pixels that its file has."""
        file = self._file(index)
        photo = _read(file, None) if file else None
        return self.render_seen(index) if photo is None else _jpeg(photo)

    def render_seen(self, index: int) -> Rendered:
        """Sample ``index`` as the network sees it."""
        out = io.BytesIO()
        self._pixels(index).save(out, "PNG", compress_level=1)
        return Rendered(out.getvalue(), "image/png")

    def _render(self, index: int, large: bool) -> Rendered:
        file = self._file(index)
        photo = _read(file, self._largest if large else _TILE) if file else None
        return self.render_seen(index) if photo is None else _jpeg(photo)

    def _differs_in_shape(self, index: int) -> bool:
        if self._dataset.kind != "images":
            return False
        height, width = self._dataset.inputs.shape[1:3]
        file = self._file(index)
        photo = _read(file, _TILE) if file else None
        if photo is None:
            return False
        ratio = photo.width / photo.height * height / width
        return max(ratio, 1 / ratio) > _NEARLY_SQUARE

    def _pixels(self, index: int) -> Image.Image:
        values = np.asarray(self._dataset.inputs[index])
        if self._dataset.kind == "features":
            return Image.fromarray(_heat_map(values))
        return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)

    def _side(self) -> int:
        shape = self._dataset.inputs.shape[1:]
        return max(shape[:2]) if len(shape) > 1 else int(np.ceil(np.sqrt(shape[0])))

    def _file(self, index: int) -> Path | None:
        if not self._dataset.names or self._link(index):
            return None
        # Here, as it brings JAX along.
        from idc_jax.data.endings import image_endings

        path = Path(self._dataset.names[index])
        return path if path.suffix.lower() in image_endings() and path.is_file() else None

    def _name(self, index: int) -> str:
        if not self._dataset.names:
            return f"sample {index}"
        name = representable(self._dataset.names[index])
        return name if self._link(index) else Path(name).name or name

    def _link(self, index: int) -> str | None:
        name = representable(self._dataset.names[index]) if self._dataset.names else ""
        return name if name.startswith(("http://", "https://")) else None

    def _nearest_names(self, index: int) -> list[str]:
        features = self._dataset.inputs
        distances = np.sum((features - features[index]) ** 2, axis=1)
        distances[index] = np.inf
        count = min(_NEIGHBORS, self.size - 1)
        if not count:
            return []
        nearest = np.argpartition(distances, count - 1)[:count]
        return [self._name(int(i)) for i in sorted(nearest, key=lambda i: distances[i])]


def sheet_columns(count: int) -> int:
    """How many of ``count`` tiles stand side by side in a sheet."""
    return max(1, math.ceil(math.sqrt(count)))


def galleries(probabilities: np.ndarray, count: int = 12) -> list[list[int]]:
    """The ``count`` most confident samples of each cluster, for :meth:`Page.show_result`.

    Args:
      probabilities: ``[n, c]``.
      count: the most samples of a cluster.

    Returns:
      A list of sample indices for each of the c clusters, the most confident first.
    """
    probabilities = np.asarray(probabilities)
    cluster, confidence = probabilities.argmax(1), probabilities.max(1)
    order = np.argsort(-confidence, kind="stable")
    return [
        order[cluster[order] == wanted][:count].tolist() for wanted in range(probabilities.shape[1])
    ]


def _read(path: Path, side: int | None) -> Image.Image | None:
    """An image as networks see it, at most ``side`` pixels along the longer side."""
    # As the data set reads it; here, as it brings JAX along.
    from idc_jax.data.decode import read_rgb

    try:
        image = read_rgb(path.read_bytes(), least=side)
    # A damaged file is told by each decoder in its own way.
    except Exception:
        return None  # it was readable when the data set was loaded: show those pixels
    if side is not None:
        image.thumbnail((side, side))
    return image


def _jpeg(photo: Image.Image) -> Rendered:
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=90)
    return Rendered(out.getvalue(), "image/jpeg")


def _heat_map(values: np.ndarray) -> np.ndarray:
    """A feature vector ``[d]`` as uint8 ``[h, w, 3]``: blue below zero, red above."""
    side = int(np.ceil(np.sqrt(values.size)))
    grid = np.zeros(side * side, np.float64)
    grid[: values.size] = values / max(float(np.abs(values).max()), 1e-12)
    strength = np.abs(grid)[:, None]
    warm, cold, white = np.asarray([196, 52, 45]), np.asarray([38, 92, 178]), np.full(3, 246)
    hue = np.where(grid[:, None] > 0, warm, cold)
    mixed = white + strength * (hue - white)
    return mixed.astype(np.uint8).reshape(side, side, 3)
