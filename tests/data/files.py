"""Files as people have them, made for the tests."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

NOBODY = 65534


def save(path: Path, level: int = 100, **options: object) -> Path:
    """A small grey image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), (level,) * 3).save(path, **options)
    return path


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write: uint16 ``[h, w]`` or ``[h, w, c]``."""
    values = np.atleast_3d(values).astype(">u2")
    height, width, channels = values.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def deep_tiff(values: np.ndarray) -> bytes:
    """A TIFF of 16 bits a channel: uint16 ``[h, w, 3]``."""
    height, width, channels = values.shape
    data = values.astype("<u2").tobytes()
    # Width, height, bits (at the end), no compression, RGB, offset, channels, rows, bytes.
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8 + len(data))]
    entries += [(259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, channels)]
    entries += [(278, 4, 1, height), (279, 4, 1, len(data))]
    bits = struct.pack(f"<{channels}H", *[16] * channels)
    table = struct.pack("<H", len(entries))
    table += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data) + len(bits)) + data + bits + table


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@contextlib.contextmanager
def locked(path: Path, mode: int = 0) -> Iterator[None]:
    """Keep ``path`` from being read meanwhile: also by root, who becomes nobody for that time."""
    before = path.stat().st_mode
    root = os.geteuid() == 0
    if root:
        for folder in path.parents[:-1]:
            folder.chmod(folder.stat().st_mode | 0o55)
    path.chmod(mode)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        path.chmod(before)
