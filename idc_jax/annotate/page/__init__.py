"""A local web page on which people answer the questions of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_jax.annotate.page.pictures import galleries

if TYPE_CHECKING:
    from idc_jax.annotate.page.server import Lodging, Page, identify, lodge, serve

STATIC = Path(__file__).parent / "static"
"""The folder of the page's scripts and styles, some of which notebooks share."""

__all__ = ["STATIC", "Lodging", "Page", "galleries", "identify", "lodge", "serve"]


def __getattr__(name: str) -> Any:
    # Loaded where somebody asks for it: a notebook shows questions without a web server.
    if name in ("Lodging", "Page", "identify", "lodge", "serve"):
        from idc_jax.annotate.page import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
