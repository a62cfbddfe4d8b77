"""Image files to uint8 arrays, with Pillow alone."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from idc_jax.data.fit import Rule, fit_square
from idc_jax.data.kernels import Kernel
from idc_jax.data.progress import progress

# What Pillow raises on damaged or foreign files.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_PAPER = (255, 255, 255, 255)


def decode_file(
    path: Path, size: int, rule: Rule = "middle", kernel: Kernel = "bicubic"
) -> np.ndarray:
    """Read an image as uint8 ``[size, size, 3]``, the right way up; see :class:`Fit`.

    Raises:
      OSError or another of `UNREADABLE`: the file is damaged or no image.
    """
    with Image.open(path) as image:
        image.load()
        return np.asarray(fit_square(to_rgb(ImageOps.exif_transpose(image)), size, rule, kernel))


def decode_bytes(
    encoded: bytes,
    channels: int,
    size: int | None,
    rule: Rule = "middle",
    kernel: Kernel = "bicubic",
) -> np.ndarray:
    """Read an encoded image as uint8 ``[h, w, channels]``, a square if ``size`` is set."""
    with Image.open(io.BytesIO(encoded)) as image:
        upright = ImageOps.exif_transpose(image)
        plain = upright.convert("L") if channels == 1 else to_rgb(upright)
        fitted = plain if size is None else fit_square(plain, size, rule, kernel)
        array = np.asarray(fitted)
    return array[..., None] if array.ndim == 2 else array


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; what is transparent becomes white, 16 bits become 8."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _PAPER), image)
    return image.convert("RGB")


def fit_all(images: np.ndarray, size: int | None) -> np.ndarray:
    """Resize uint8 ``[n, h, w, c]`` to ``[n, size, size, c]``; None leaves them as they are."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    channels = images.shape[3]
    out = np.empty((len(images), size, size, channels), np.uint8)
    for index, array in enumerate(progress(images, len(images), "resizing images")):
        image = Image.fromarray(array[..., 0] if channels == 1 else array)
        out[index] = np.asarray(fit_square(image, size)).reshape(size, size, channels)
    return out
