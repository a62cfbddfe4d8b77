"""The routes of the page: one document, its two files, pictures by index, and a small API."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from idc_jax.annotate.page import STATIC
from idc_jax.annotate.page.board_app import board_routes
from idc_jax.annotate.page.documents import template
from idc_jax.annotate.page.guard import max_body_bytes
from idc_jax.annotate.page.pictures import Pictures, Rendered
from idc_jax.annotate.page.session import Session
from idc_jax.annotate.page.wire import Post, RefusedError, check_annotator, parse

_MOST_QUESTIONS, _MOST_HELD = 50, 500
_MOST_WRITTEN_AT_ONCE = 200
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_log = logging.getLogger(__name__)

_Reply = dict[str, Any] | RefusedError


def build_app(session: Session, pictures: Pictures, *, run: str, title: str) -> Starlette:
    """The ASGI application.

    Args:
      session: what is asked and answered.
      pictures: of the samples.
      run: an id of the run, so that a browser never mixes up two runs at one address.
      title: of the document.
    """
    writer = _Writer(session.write)
    page = template("page.html").render(run=run, title=title)

    renders: dict[str, Callable[[int], Rendered]] = {
        "tile": lambda sample: pictures.render(sample, False),
        "large": lambda sample: pictures.render(sample, True),
        "whole": pictures.render_whole,
        "seen": pictures.render_seen,
    }

    async def index(_: Request) -> Response:
        return HTMLResponse(page)

    def state(request: Request) -> Response:
        return JSONResponse(session.state(_annotator(request)))

    def questions(request: Request) -> Response:
        held, spare = _positions(request, "held"), _positions(request, "spare")
        count = min(_whole(request.query_params.get("count", "5")), _MOST_QUESTIONS)
        return JSONResponse(session.next_questions(_annotator(request), held, spare, count))

    def recent(request: Request) -> Response:
        return JSONResponse({"answers": session.recent(_annotator(request))})

    def picture(request: Request) -> Response:
        sample, render = request.path_params["index"], renders.get(request.path_params["size"])
        if request.path_params["run"] != run or not 0 <= sample < pictures.size or render is None:
            raise RefusedError(404, "there is no such picture")
        body, media_type = render(sample)
        return Response(body, media_type=media_type, headers=_FOREVER)

    board = board_routes(session, pictures, run=run, page=template("board.html"), title=title)

    async def post(request: Request) -> Response:
        body = await _body(request)
        return _reply(await writer.write(parse(request.path_params["kind"], body)))

    return Starlette(
        routes=[
            Route("/", index),
            Route("/api/state", state),
            Route("/api/questions", questions),
            Route("/api/recent", recent),
            *board,
            Route("/api/{kind}", post, methods=["POST"]),
            Route("/pictures/{run}/{size}/{index:int}", picture),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={
            RefusedError: _refused,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )


class _Writer:
    """Gathers posts that arrive together into one transaction: one sync to disk for all."""

    def __init__(self, write: Callable[[list[Post]], list[_Reply]]) -> None:
        self._write = write
        self._waiting: list[tuple[Post, asyncio.Future[_Reply]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, post: Post) -> _Reply:
        future: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((post, future))
        # For as long as something waits: the page may come and go while the server runs.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[:_MOST_WRITTEN_AT_ONCE]
            del self._waiting[: len(batch)]
            for (_, future), reply in zip(batch, await self._replies(batch), strict=True):
                if not future.done():
                    future.set_result(reply)

    async def _replies(self, batch: list[tuple[Post, asyncio.Future[_Reply]]]) -> list[_Reply]:
        try:
            return await run_in_threadpool(self._write, [post for post, _ in batch])
        except Exception:
            _log.exception("writing answers failed")
            return [
                RefusedError(500, "the server failed; it has said why in its own window")
            ] * len(batch)


def _reply(reply: _Reply) -> Response:
    if isinstance(reply, RefusedError):
        raise reply
    return JSONResponse(reply)


async def _body(request: Request) -> bytes:
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > (most := max_body_bytes(request.url.path)):
            raise RefusedError(413, f"the body must have at most {most} bytes")
    return bytes(parts)


def _annotator(request: Request) -> str:
    return check_annotator(request.query_params.get("annotator", ""))


def _positions(request: Request, name: str) -> list[int]:
    parts = request.query_params.get(name, "").split(",")
    return [_whole(part) for part in parts if part][:_MOST_HELD]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise RefusedError(422, "it must be a whole number")
    return int(text)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    headers = {"Retry-After": "1"} if error.status == 503 else None
    return JSONResponse({"error": error.reason}, error.status, headers)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


async def _unexpected(_: Request, error: Exception) -> Response:
    if not isinstance(error, ClientDisconnect):
        _log.error("a request failed", exc_info=error)
    return JSONResponse({"error": "the server failed; it has said why in its own window"}, 500)
