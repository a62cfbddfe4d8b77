"""Image files to uint8 arrays, with Pillow alone."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from idc_jax.data.cache import in_memory
from idc_jax.data.fit import Rule, fit_square
from idc_jax.data.kernels import Kernel
from idc_jax.data.progress import progress

_PAPER = (255, 255, 255, 255)
# Bits that cameras and scanners count in; files have room for 16 or 32.
_DEPTHS = (8, 10, 12, 14, 16)
# Of a channel's upper byte: below it, the upper two of 16 bits are not used.
_OF_14_BITS = 64


class UnreadableError(ValueError):
    """A file that is not an image, or damaged; says why, without the file's name."""


def decode_file(
    path: Path, size: int, rule: Rule = "middle", kernel: Kernel = "bicubic"
) -> np.ndarray:
    """Read an image as uint8 ``[size, size, 3]``, the right way up; see :class:`Fit`.

    Raises:
      UnreadableError: the file cannot be read, or is damaged or no image.
    """
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    return decode_bytes(encoded, 3, size, rule, kernel)


def decode_bytes(
    encoded: bytes,
    channels: int,
    size: int | None,
    rule: Rule = "middle",
    kernel: Kernel = "bicubic",
) -> np.ndarray:
    """Read an encoded image as uint8 ``[h, w, channels]``, a square if ``size`` is set.

    Raises:
      UnreadableError: it is damaged or no image.
    """
    try:
        plain = read_rgb(encoded)
        plain = plain.convert("L") if channels == 1 else plain
        fitted = plain if size is None else fit_square(plain, size, rule, kernel)
        array = np.asarray(fitted)
    except UnidentifiedImageError as error:
        raise UnreadableError("no image" if encoded else "an empty file") from error
    except Exception as error:  # Whatever the decoder of a damaged file can meet.
        raise UnreadableError(str(error) or type(error).__name__) from error
    return array[..., None] if array.ndim == 2 else array


def read_rgb(encoded: bytes, *, least: int | None = None) -> Image.Image:
    """Read an encoded image as it is seen here and by networks: RGB, the right way up.

    Args:
      encoded: the content of a file.
      least: pixels along the longer side that are enough; a large JPEG is then decoded to few more.

    Raises:
      Exception: whatever the decoder of a damaged file meets.
    """
    return to_rgb(_upright(encoded, least))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; what is transparent becomes white, deeper channels 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(to_8_bits(np.asarray(image)))
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _PAPER), image)
    return image.convert("RGB")


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scale pixels of any depth to uint8.

    Whole numbers from 0 on are taken to have as many bits as hold the greatest: 8, 10, 12, 14 or
    16; fractions to lie between 0 and 1. Anything else is stretched from its least to its greatest.

    Args:
      values: numbers of any shape.

    Raises:
      ValueError: some are not finite.
    """
    least, greatest = values.min(), values.max()
    if not (np.isfinite(least) and np.isfinite(greatest)):
        raise ValueError("holds pixels that are not finite")
    black, white = float(least), float(greatest)
    if least >= 0 and greatest < 1 << _DEPTHS[-1] and (values == np.rint(values)).all():
        black, white = 0.0, next((1 << bits) - 1.0 for bits in _DEPTHS if greatest < 1 << bits)
    elif least >= 0 and greatest <= 1:
        black, white = 0.0, 1.0
    scaled = (values.astype(np.float64) - black) / ((white - black) or 1.0)
    return (scaled * 255 + 0.5).astype(np.uint8)


def fit_all(images: np.ndarray, size: int | None) -> np.ndarray:
    """Resize uint8 ``[n, h, w, c]`` to ``[n, size, size, c]``; None leaves them as they are."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    channels = images.shape[3]
    out = in_memory((len(images), size, size, channels))
    for index, array in enumerate(progress(images, len(images), "resizing images")):
        image = Image.fromarray(array[..., 0] if channels == 1 else array)
        out[index] = np.asarray(fit_square(image, size)).reshape(size, size, channels)
    return out


def _upright(encoded: bytes, least: int | None = None) -> Image.Image:
    """The first image of a file, turned as its camera says."""
    with Image.open(io.BytesIO(encoded)) as image:
        if least is not None:
            image.draft("RGB", (least, least))
        lower = _lower_bytes(image)
        image.load()
        dark = bool(lower) and np.asarray(image)[..., :3].max() < _OF_14_BITS
        return ImageOps.exif_transpose(_deepened(image, encoded, lower) if dark else image)


def _lower_bytes(image: Image.Image) -> str:
    """Which raw mode gives the lower bytes of 16-bit colours, of which Pillow keeps the upper."""
    raw = _raw_mode(image)
    if raw == "LA;16B":
        # Four bytes a pixel as well: both of the grey, both of the alpha.
        return "RGBA"
    if image.mode not in ("RGB", "RGBA") or ";16" not in raw:
        return ""
    big = raw.endswith("B") or (raw.endswith("N") and sys.byteorder == "big")
    return raw[:-1] + ("L" if big else "B")


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", ())
    arguments = tiles[0].args if tiles else None
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw if isinstance(raw, str) else ""


def _deepened(image: Image.Image, encoded: bytes, lower: str) -> Image.Image:
    """``image``, whose colours have fewer than 16 bits, scaled by how many they have."""
    upper = np.asarray(image).astype(np.uint16)
    with Image.open(io.BytesIO(encoded)) as again:
        again.tile = [_with_raw_mode(tile, lower) for tile in again.tile]
        low = np.asarray(again)
    if lower == "RGBA":
        upper, low = low[..., [0, 2]].astype(np.uint16), low[..., [1, 3]]
    values = (upper << 8) | low
    colours = values.shape[-1] - (values.shape[-1] in (2, 4))
    parts = [to_8_bits(values[..., :colours])]
    if colours < values.shape[-1]:
        parts.append(to_8_bits(values[..., colours:]))
    found = Image.fromarray(np.concatenate(parts, axis=-1))
    found.info.update(image.info)
    return found


def _with_raw_mode(tile: Any, raw: str) -> Any:
    arguments = (raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw
    return tile._replace(args=arguments)
