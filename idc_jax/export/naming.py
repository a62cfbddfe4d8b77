"""Names that every file system takes, each different from the others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

from idc_jax.errors import representable

# What Windows refuses, and control characters.
_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
# File systems take 255 bytes; numbers and endings come on top.
_LONGEST = 180


def safe_name(text: str) -> str:
    """``text`` as the name of a file or folder.

    What a file system refuses becomes ``_``, and so does a dot in front, which would hide it.
    """
    name = _REFUSED.sub("_", unicodedata.normalize("NFC", representable(text))).strip()
    name = name.encode()[:_LONGEST].decode(errors="ignore").rstrip(". ")
    name = re.sub(r"^\.", "_", name)
    if _RESERVED.fullmatch(name.partition(".")[0]):
        name = "_" + name
    return name or "_"


def folder_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A folder for each of ``names``: safe, and none of another's or of those ``taken``."""
    used = set(taken)
    return {name: _unused(safe_name(name), "", used) for name in dict.fromkeys(names)}


class FileNames:
    """Gives out file names within one folder, each stem once, by whatever case it is written."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def take(self, wanted: str) -> str:
        """``wanted`` made safe, with a number where its stem has been given out."""
        path = PurePath(wanted)
        return _unused(safe_name(path.stem), safe_name(path.suffix)[1:], self._used)


def _unused(stem: str, ending: str, used: set[str]) -> str:
    """``stem`` with the first number that is not among ``used``, which is added to."""
    found, number = stem, 1
    while found.casefold() in used:
        number += 1
        found = f"{stem} ({number})"
    used.add(found.casefold())
    return f"{found}.{ending}" if ending else found
