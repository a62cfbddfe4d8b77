"""Which files are images, by the endings of their names, and which of them can be read here."""

import importlib.util
from functools import cache

from PIL import features

# fmt: off
_ALWAYS = frozenset((
    ".apng", ".bmp", ".dib", ".gif", ".jfif", ".jif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp",
))
# fmt: on
_AVIF = frozenset((".avif", ".avifs"))
_HEIF = frozenset((".heic", ".heif", ".hif"))
_JPEG_2000 = frozenset((".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx"))


@cache
def unreadable_endings() -> dict[str, str]:
    """The endings of images that cannot be read here, with what would make them readable."""
    missing: dict[str, str] = {}
    if not features.check("avif"):
        missing |= dict.fromkeys(_AVIF, "reading it needs pip install 'pillow>=11.3'")
    if not features.check("jpg_2000"):
        missing |= dict.fromkeys(_JPEG_2000, "this Pillow was built without JPEG 2000")
    if not _heif_opened():
        missing |= dict.fromkeys(_HEIF, "reading it needs pip install pillow-heif")
    return missing


@cache
def image_endings() -> frozenset[str]:
    """The endings, in small letters with their dot, of the images that can be read here."""
    return (_ALWAYS | _AVIF | _HEIF | _JPEG_2000) - unreadable_endings().keys()


def _heif_opened() -> bool:
    """Whether Pillow opens HEIF files, which it does with the help of pillow-heif."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True
