"""Samples as small pictures inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

# The largest side embedded: shown at half of it or less, so sharp on dense screens, and enlarged.
SIDE = 192
# Up to here an image is kept pixel by pixel; above, JPEG is several times smaller.
LOSSLESS_SIDE = 64


def thumbnail(image: np.ndarray) -> str:
    """Turn uint8 ``[h, w, c]`` (c = 1 or 3) into a data URI, at most ``SIDE`` pixels a side."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    if max(picture.size) <= LOSSLESS_SIDE:
        return data_uri(_encoded(picture, "PNG"), "image/png")
    return data_uri(_encoded(picture, "JPEG"), "image/jpeg")


def data_uri(data: bytes, mime: str) -> str:
    """Embed ``data`` of type ``mime`` into a URI."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def _encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, optimize=True, quality=85)
    return buffer.getvalue()
