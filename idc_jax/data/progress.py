"""Progress bars that only show for what takes a while, and whoever else hears of it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm.auto import tqdm

_Item = TypeVar("_Item")
SHOWN_AFTER_SECONDS = 2.0
# (what is done, how many are done, of how many)
Listener = Callable[[str, int, int], None]
# Whoever reads data need not pass on who wants to know how far it is.
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def told(listener: Listener) -> Iterator[None]:
    """Have ``listener`` called with all progress while the context is open."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def tell(what: str, done: int, total: int) -> None:
    """Say that so many of ``total`` are done."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)


def progress(items: Iterable[_Item], total: int, what: str) -> Iterator[_Item]:
    """Iterate over ``items`` with a bar on stderr, from the third second on."""
    bar = tqdm(items, total=total, desc=what, delay=SHOWN_AFTER_SECONDS, leave=False)
    for done, item in enumerate(bar, start=1):
        yield item
        tell(what, done, total)
