"""The page before there is anything to ask about: it says how far the preparations are."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from idc_jax.annotate.page import STATIC
from idc_jax.annotate.page.documents import template
from idc_jax.annotate.page.learning import Learning

# All that the page asks of, as long as nothing is known.
_NOTHING: Mapping[str, Any] = {
    "phase": "waiting",
    "round": 0,
    "kind": None,
    "total": 0,
    "mine": 0,
    "votes": 1,
    "others": 0,
    "learns_from": 0,
    "given": 0,
    "needed": 0,
    "complete": False,
    "closes_in": None,
    "groups": [],
    "max_groups": 0,
    "report": False,
}


class Lobby:
    """An application that another one takes the place of, once it is there."""

    def __init__(self, *, run: str, title: str) -> None:
        """Prepare for the page of a ``run``, called ``title`` until its data are known."""
        self._title, self._lock, self._learning = title, threading.Lock(), Learning()
        document = template("page.html").render(run=run, title=title)

        async def index(_: Request) -> Response:
            return HTMLResponse(document)

        async def state(_: Request) -> Response:
            return JSONResponse(self.state())

        async def board(_: Request) -> Response:
            return RedirectResponse("./")

        self._app: ASGIApp = Starlette(
            routes=[
                Route("/", index),
                Route("/api/state", state),
                Route("/board", board),
                Route("/report", board),
                Route("/api/{rest:path}", _not_now, methods=["GET", "POST"]),
                Mount("/static", StaticFiles(directory=STATIC)),
            ]
        )

    def progress(self, values: Mapping[str, Any]) -> None:
        """Show how far the preparations are; see :meth:`Learning.progress`."""
        with self._lock:
            self._learning.progress(values)

    def state(self) -> dict[str, Any]:
        """What the page is told."""
        with self._lock:
            return {**_NOTHING, "title": self._title, **self._learning.told(())}

    def give_way(self, app: ASGIApp) -> None:
        """Have ``app`` answer from now on."""
        self._app = app

    def end(self) -> None:
        """Answer nothing any more; what stands on a page stays there."""
        self._app = Starlette(routes=[Route("/{rest:path}", _not_now, methods=["GET", "POST"])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)


async def _not_now(_: Request) -> Response:
    return JSONResponse({"error": "nothing is asked now"}, 503, {"Retry-After": "1"})
