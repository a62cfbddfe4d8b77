"""The routes of the board: its document, the groups, their members, and sheets of pictures."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

from jinja2 import Template
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.page.session import Session
from idc_jax.annotate.page.wire import RefusedError

_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_POLICY = "Content-Security-Policy"
_ONE_FILE = (
    "default-src 'none'; script-src {script}; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SCRIPT = b"<script>"
# Where it is served, it leads to the groups themselves.
_LINKED = b'<header>\n<p><a href="board">All groups and their members, to be set right</a></p>'
_MOST_IN_SHEET, _CACHED_SHEETS = 64, 512


def board_routes(
    session: Session, pictures: Pictures, *, run: str, page: Template, title: str
) -> list[Route]:
    """The routes of the board.

    Args:
      session: of the page.
      pictures: of the samples.
      run: an id of the run.
      page: the board's document.
      title: of the run.
    """
    board = session.board
    document = page.render(run=run, title=title)
    sheet_of = lru_cache(_CACHED_SHEETS)(pictures.sheet)

    async def index(_: Request) -> Response:
        return HTMLResponse(document)

    def report(_: Request) -> Response:
        # It is one file, with its styles, its script and its pictures in it.
        page = _read(session.folder / "report.html").replace(b"<header>", _LINKED, 1)
        policy = _ONE_FILE.format(script=_script_of(page))
        return Response(page, media_type="text/html", headers={_POLICY: policy})

    def table(_: Request) -> Response:
        saved = {"Content-Disposition": 'attachment; filename="assignments.csv"'}
        body = _read(session.folder / "assignments.csv")
        return Response(body, media_type="text/csv", headers=saved)

    def overview(_: Request) -> Response:
        return JSONResponse(board.overview())

    def version(_: Request) -> Response:
        return JSONResponse(session.board_state())

    def members(request: Request) -> Response:
        query = request.query_params
        body = board.members(
            query.get("group", ""), query.get("sort", "doubt"), query.get("filter", "all")
        )
        return Response(body, media_type="application/octet-stream")

    def parts(request: Request) -> Response:
        return JSONResponse(board.parts(request.query_params.get("group", "")))

    def sample(request: Request) -> Response:
        return JSONResponse(board.sample(request.path_params["index"]))

    def sheet(request: Request) -> Response:
        samples = _samples(request.path_params["samples"], pictures.size)
        if request.path_params["run"] != run:
            raise RefusedError(404, "there is no such picture")
        body, media_type = sheet_of(samples)
        return Response(body, media_type=media_type, headers=_FOREVER)

    def names(request: Request) -> Response:
        samples = _samples(request.path_params["samples"], pictures.size)
        if request.path_params["run"] != run:
            raise RefusedError(404, "there is no such sample")
        told = [pictures.describe(sample)["name"] for sample in samples]
        return JSONResponse(told, headers=_FOREVER)

    return [
        Route("/board", index),
        Route("/report", report),
        Route("/assignments.csv", table),
        Route("/api/board", overview),
        Route("/api/board/version", version),
        Route("/api/board/members", members),
        Route("/api/board/parts", parts),
        Route("/api/board/samples/{index:int}", sample),
        Route("/pictures/{run}/sheet/{samples}", sheet),
        Route("/names/{run}/{samples}", names),
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RefusedError(404, "it is not there yet: it is made at the end of the run") from error


def _script_of(page: bytes) -> str:
    """The report's own script, its last one, as a policy names it; no other may run."""
    start = page.rfind(_SCRIPT)
    if start < 0:
        return "'none'"
    script = page[start + len(_SCRIPT) : page.index(b"</script>", start)]
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"


def _samples(text: str, size: int) -> tuple[int, ...]:
    """Sample numbers, joined by "-"."""
    parts = text.split("-")
    if len(parts) > _MOST_IN_SHEET or not all(p.isascii() and p.isdigit() for p in parts):
        raise RefusedError(422, f"up to {_MOST_IN_SHEET} sample numbers are expected")
    samples = tuple(int(part[:9]) for part in parts)
    if max(samples) >= size:
        raise RefusedError(404, "there is no such sample")
    return samples
