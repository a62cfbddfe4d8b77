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
    asked = _Asked(session, pictures, run, page.render(run=run, title=title))
    return [
        Route("/board", asked.index),
        Route("/report", asked.report),
        Route("/assignments.csv", asked.table),
        Route("/api/board", asked.overview),
        Route("/api/board/version", asked.version),
        Route("/api/board/members", asked.members),
        Route("/api/board/parts", asked.parts),
        Route("/api/board/samples/{index:int}", asked.sample),
        Route("/pictures/{run}/sheet/{samples}", asked.sheet),
        Route("/names/{run}/{samples}", asked.names),
    ]


class _Asked:
    """What the board asks for, and the answers."""

    def __init__(self, session: Session, pictures: Pictures, run: str, document: str) -> None:
        self._session, self._board, self._pictures = session, session.board, pictures
        self._run, self._document = run, document
        self._sheet_of = lru_cache(_CACHED_SHEETS)(pictures.sheet)

    async def index(self, _: Request) -> Response:
        return HTMLResponse(self._document)

    def report(self, _: Request) -> Response:
        # It is one file, with its styles, its script and its pictures in it.
        page = _read(self._session.folder / "report.html").replace(b"<header>", _LINKED, 1)
        policy = _ONE_FILE.format(script=_script_of(page))
        return Response(page, media_type="text/html", headers={_POLICY: policy})

    def table(self, _: Request) -> Response:
        saved = {"Content-Disposition": 'attachment; filename="assignments.csv"'}
        body = _read(self._session.folder / "assignments.csv")
        return Response(body, media_type="text/csv", headers=saved)

    def overview(self, _: Request) -> Response:
        return JSONResponse(self._board.overview())

    def version(self, _: Request) -> Response:
        return JSONResponse(self._session.board_state())

    def members(self, request: Request) -> Response:
        query = request.query_params
        wanted = (query.get("group", ""), query.get("sort", "doubt"), query.get("filter", "all"))
        body = self._board.members(*wanted)
        return Response(body, media_type="application/octet-stream")

    def parts(self, request: Request) -> Response:
        return JSONResponse(self._board.parts(request.query_params.get("group", "")))

    def sample(self, request: Request) -> Response:
        return JSONResponse(self._board.sample(request.path_params["index"]))

    def sheet(self, request: Request) -> Response:
        body, media_type = self._sheet_of(self._wanted(request))
        return Response(body, media_type=media_type, headers=_FOREVER)

    def names(self, request: Request) -> Response:
        samples = self._wanted(request)
        told = [self._pictures.describe(sample)["name"] for sample in samples]
        return JSONResponse(told, headers=_FOREVER)

    def _wanted(self, request: Request) -> tuple[int, ...]:
        samples = _samples(request.path_params["samples"], self._pictures.size)
        if request.path_params["run"] != self._run:
            raise RefusedError(404, "there is no such sample")
        return samples


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
