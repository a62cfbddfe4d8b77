"""Serve the page from a thread beside the experiment."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import uvicorn

from idc_jax.annotate.annotator import Annotator, FusionName
from idc_jax.annotate.page.app import build_app
from idc_jax.annotate.page.guard import Guard
from idc_jax.annotate.page.lobby import Lobby
from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.page.session import Session
from idc_jax.annotate.store import Store
from idc_jax.errors import UserError, representable

if TYPE_CHECKING:
    from idc_jax.data.base import Dataset

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START_SECONDS = 15.0


class Page(NamedTuple):
    """A page that is being served.

    Attributes:
      url: where; with the token, if there is one.
      annotator: asks the people at the page.
      progress: ``(values)``: shows flat scalars of the training while a round is learned.
        ``step`` and ``steps``, or ``epoch`` and ``epochs``, make a progress bar, a ``loss`` makes
        a curve.
      show_result: ``(result)``: shows what a round has bought. All keys are optional: ``round``;
        ``before`` and ``after``, dicts of metrics; ``outlook``, what is expected (see
        `idc_jax.runs.outlook`); ``galleries_before`` and ``galleries_after``, for each
        cluster a list of sample indices.
      finish: says that the run is over.
      show_groups: ``(probabilities [n, c], slots [c], embeddings [n, d], heard)``: puts on the
        board what was learned from the store as it was at the version ``heard``. Slots are the
        class ids that outputs stand for, -1 for none; they and embeddings may be None.
      stay: says that all is asked, learned and reported, and waits for people: True when they said
        something on the board or want more questions, False when they have gone.
    """

    url: str
    annotator: Annotator
    progress: Callable[[Mapping[str, Any]], None]
    show_result: Callable[[Mapping[str, Any]], None]
    finish: Callable[[], None]
    show_groups: Callable[..., None]
    stay: Callable[[], bool]


class Lodging(NamedTuple):
    """An address at which a page is served, before there is anything to ask about.

    Attributes:
      url: where; with the token, if there is one.
      progress: ``(values)``: shows how far the preparations are, as :attr:`Page.progress`.
      open: ``(store, dataset, ...)``: asks there while the context is open;
        returns a :class:`Page`.
    """

    url: str
    progress: Callable[[Mapping[str, Any]], None]
    open: Callable[..., AbstractContextManager[Page]]


@contextmanager
def lodge(
    *,
    title: str,
    run: str,
    token: str,
    host: str = "127.0.0.1",
    port: int = 8765,
    allow_remote: bool = False,
) -> Iterator[Lodging]:
    """Serve a page that says how far the preparations are, until it can ask.

    Args:
      title: of the page until then.
      run: an id of the run, as :func:`identify` makes it.
      token: likewise; a part of the address where it is served to others than this machine.
      host: the address to listen on.
      port: 0 takes a free one.
      allow_remote: has to be set for any other host than this machine.

    Raises:
      UserError: another host without ``allow_remote``, or the port is taken.
    """
    if host not in _LOOPBACK and not allow_remote:
        raise UserError(
            f"host={host!r}: the page is served to this machine alone (127.0.0.1); "
            "allow_remote serves it to others, at an address with a random token"
        )
    own = host in _LOOPBACK
    lobby = Lobby(run=run, title=representable(title))
    guarded = Guard(lobby, hosts=_LOOPBACK if own else None, token=None if own else token)
    with _bound(host, port) as listener, _running(guarded, listener):
        url = _url(host, listener.getsockname()[1], None if own else token)
        yield Lodging(url, lobby.progress, partial(open_page, lobby, url, (run, token)))


def identify(store: Store | None = None) -> tuple[str, str]:
    """An id of a run and a token for its address; those that ``store`` has, or keeps from now on.

    Without a store they are new.
    """
    fresh = (secrets.token_hex(8), secrets.token_urlsafe(18))
    return fresh if store is None else keep_identity(store, *fresh)


def keep_identity(store: Store, run: str, token: str) -> tuple[str, str]:
    """Keep them in ``store``, unless it has others; returns those that it has."""
    return store.remember("run", run), store.remember("token", token)


@contextmanager
def open_page(
    lobby: Lobby,
    url: str,
    identity: tuple[str, str],
    store: Store,
    dataset: Dataset,
    *,
    num_clusters: int,
    title: str | None = None,
    votes: int = 1,
    fusion: FusionName = "majority",
    grace_seconds: float = 5.0,
    idle_seconds: float = 60.0,
    linger_seconds: float = 3.0,
) -> Iterator[Page]:
    """Ask where ``lobby`` is, as long as the context is open; see :func:`serve`."""
    if votes < 1:
        raise UserError(f"votes={votes}: at least one person has to answer each question")
    title, pictures = representable(title or dataset.name), Pictures(dataset)
    session = Session(
        store,
        pictures,
        title=title,
        max_groups=num_clusters,
        votes=votes,
        grace_seconds=grace_seconds,
        class_names=dataset.class_names,
        fusion=fusion,
    )
    asks = Annotator(
        "page", lambda _, asked: session.ask(asked), votes, fusion, meanwhile=session.meanwhile
    )
    run, _ = keep_identity(store, *identity)
    lobby.give_way(build_app(session, pictures, run=run, title=title))
    yield Page(
        url=url,
        annotator=asks,
        progress=session.progress,
        show_result=session.show_result,
        finish=session.finish,
        show_groups=session.show_groups,
        stay=lambda: session.stay(idle_seconds),
    )
    session.finish()
    time.sleep(linger_seconds)
    lobby.end()


@contextmanager
def serve(
    store: Store,
    dataset: Dataset,
    *,
    num_clusters: int,
    title: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    allow_remote: bool = False,
    **options: Any,
) -> Iterator[Page]:
    """Serve the questions of a run on a local web page while the context is open.

    Args:
      store: where every answer goes before it is acknowledged.
      dataset: what is shown, by index alone.
      num_clusters: the most groups that label questions may name.
      title: of the page; the data set's name by default.
      host: the address to listen on.
      port: 0 takes a free one.
      allow_remote: has to be set for any other host than this machine; then the address of the
        page has a random token in it, which stays the same for a store.
      **options: ``votes``, how many people answer each question; ``fusion``, how their answers
        become one; ``grace_seconds``, how long after the last answer one may still go back;
        ``idle_seconds``, somebody whose browser was not heard of for so long has gone;
        ``linger_seconds``, how long the page stays after the context is left, for its last message.

    Yields:
      The page.

    Raises:
      UserError: another host without ``allow_remote``, fewer than one vote, or the port is taken.
    """
    called = title or dataset.name
    run, token = identify(store)
    own = lodge(title=called, run=run, token=token, host=host, port=port, allow_remote=allow_remote)
    with (
        own as lodging,
        lodging.open(store, dataset, num_clusters=num_clusters, title=called, **options) as page,
    ):
        yield page


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(
                f"cannot serve the page at {host}:{port}: {reason}; port 0 takes a free one"
            ) from error
        yield listener


@contextmanager
def _running(app: Any, listener: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=500,
            timeout_graceful_shutdown=2,
        )
    )
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="page", daemon=True
    )
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    if not server.started:
        raise UserError("the page did not start")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=5)


def _url(host: str, port: int, token: str | None) -> str:
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}/" + (f"{token}/" if token else "")
