"""What the browser runs and how it looks, each as the one text that a notebook takes."""

from __future__ import annotations

import re
from pathlib import Path

from idc_jax.annotate.page import STATIC

_HERE = Path(__file__).parent
# What the page and the widget share, in the order in which they use each other.
_SHARED = (
    *("keys.js", "words.js", "draw.js", "naming.js", "palette.js", "question.js", "input.js"),
    "learn.js",
)
_IMPORT = re.compile(r'^import [^;]* from "\./[^"]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def script() -> str:
    """The page's modules and the widget's own, joined to one module."""
    text = "\n".join(_read(STATIC / name) for name in _SHARED) + _read(_HERE / "widget.js")
    return _EXPORT.sub("", _IMPORT.sub("", text))


def style() -> str:
    """The page's parts, kept from the rest of the notebook, and the widget's own style."""
    return f".idc-jax {{\n{_read(STATIC / 'parts.css')}}}\n{_read(_HERE / 'widget.css')}"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
