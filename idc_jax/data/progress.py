"""Progress bars that only show for what takes a while."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

_Item = TypeVar("_Item")
SHOWN_AFTER_SECONDS = 2.0


def progress(items: Iterable[_Item], total: int, what: str) -> Iterator[_Item]:
    """Iterate over ``items`` with a bar on stderr, from the third second on."""
    return iter(tqdm(items, total=total, desc=what, delay=SHOWN_AFTER_SECONDS, leave=False))
