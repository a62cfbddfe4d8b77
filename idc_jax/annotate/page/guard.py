"""Who may talk to the page, how much they may say, and what the browser may do with it."""

import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 16 * 1024
# What is done on the board may be about every sample.
MAX_GESTURE_BYTES = 1024 * 1024
GESTURE = "/api/gesture"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware: host names, the token in the path, same-origin posts, bounded bodies."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] | None, token: str | None) -> None:
        """Wrap ``app``.

        Args:
          app: what answers the requests that are let through.
          hosts: the host names that the page is reached by, or None for any: a name that somebody
            else pointed at this machine is refused (DNS rebinding).
          token: the first part of every path, or None for no token.
        """
        self._app = app
        self._hosts = None if hosts is None else frozenset(hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with the reason why not."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(self._without_token(scope), receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = urlsplit(f"//{headers.get('host', '')}").hostname
        if self._hosts is not None and host not in self._hosts:
            return _refuse(403, "this page is not served under that host name")
        if self._token is not None:
            given = scope["path"].split("/", 2)[1:2]
            if not given or not secrets.compare_digest(given[0].encode(), self._token.encode()):
                return _refuse(404, "not found")
        if scope["method"] == "POST":
            return _refuse_post(headers, max_body_bytes(scope["path"]))
        return None

    def _without_token(self, scope: Scope) -> Scope:
        if self._token is None:
            return scope
        path = scope["path"][len(self._token) + 1 :]
        return {**scope, "path": path or "/", "raw_path": (path or "/").encode()}


def max_body_bytes(path: str) -> int:
    """How long the body of a post to ``path`` may be."""
    return MAX_GESTURE_BYTES if path.endswith(GESTURE) else MAX_BODY_BYTES


def _refuse_post(headers: Headers, most: int) -> Response | None:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return _refuse(403, "posts are taken from this page alone")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return _refuse(403, "posts are taken from this page alone")
    if headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return _refuse(415, "the body must be application/json")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > most:
        return _refuse(413, f"the body must have at most {most} bytes")
    return None


def _refuse(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return wrapped
