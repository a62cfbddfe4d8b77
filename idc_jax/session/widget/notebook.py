"""A session's questions as a widget: what the kernel says, and what it hears."""

from __future__ import annotations

import base64
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import anywidget
import traitlets

from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.page.session import Session as Desk
from idc_jax.annotate.page.wire import RefusedError, check_annotator, read_post
from idc_jax.annotate.questions import Questions
from idc_jax.annotate.store import Store
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError
from idc_jax.session.widget.frontend import script, style
from idc_jax.train.log import Log

# After the last answer there is so long to go back.
_GRACE_SECONDS = 4.0
# A cell is narrower than a page, and Jupyter drops messages past a megabyte a second.
_LARGEST_PICTURE = 512
_MOST_PICTURES = 500
_POSTS, _LONGEST = ("answer", "undo", "rename"), 60
_PICTURE = re.compile(r"(large|tile|seen)/(\d{1,9})")
# Between two tellings of how far the learning is.
_PROGRESS_SECONDS = 0.3
# Messages of which the browser still has to learn that they were heard.
_REMEMBERED = 200


class Loop(NamedTuple):
    """What a widget drives: the session's own loop.

    Attributes:
      ask: learns what was said, telling its losses to what it is given, and returns the next round,
        frozen; None where nothing is left to ask.
      standing: ``groups``, each with ``name``, ``size`` and ``answered``, and ``outlook``.
    """

    ask: Callable[[Log], Questions | None]
    standing: Callable[[], Mapping[str, Any]]


class Widget(anywidget.AnyWidget):
    """Asks in a notebook; every answer is in the store before the browser hears of it.

    Attributes:
      standing: all but the questions, as :meth:`idc_jax.annotate.page.session.Session.state` tells
        it, and ``answered``: position and client id of each answer that counts; ``heard``: client
        ids of the latest messages; ``refused``: client id and reason of those not taken;
        ``failed``: why learning failed, or "".
      questions: of the round, as :meth:`idc_jax.annotate.page.session.Session.questions` has them.
    """

    _esm = script()
    _css = style()
    standing = traitlets.Dict().tag(sync=True)
    questions: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(
        self, loop: Loop, store: Store, dataset: Dataset, *, max_groups: int, annotator: str
    ) -> None:
        """Prepare; :meth:`resume` asks.

        Args:
          loop: what asks and learns.
          store: where every answer goes.
          dataset: what is shown.
          max_groups: the most groups that label questions may name.
          annotator: who answers.

        Raises:
          UserError: nobody is called so.
        """
        try:
            self._annotator = check_annotator(annotator)
        except RefusedError as refused:
            raise UserError(refused.reason) from refused
        super().__init__()
        self._loop, self._store = loop, store
        self._pictures = Pictures(dataset, largest=_LARGEST_PICTURE)
        self._desk = Desk(
            store,
            self._pictures,
            title=dataset.name,
            max_groups=max_groups,
            votes=1,
            grace_seconds=_GRACE_SECONDS,
        )
        self._asked: Questions | None = None
        self._heard: deque[str] = deque(maxlen=_REMEMBERED)
        self._refused: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)
        self._failed, self._told = "", 0.0
        self.on_msg(self._hear)

    def resume(self) -> None:
        """Go on with the round that is open, or else with the next one.

        Raises:
          UserError: what was said cannot be learned.
        """
        if self._asked is not None and not self._failed:
            # Answers may have been given elsewhere.
            self._desk.open(self._asked)
            self._publish()
        else:
            self._next_round()

    # -- what the browser says -----------------------------------------------------------------

    def _hear(self, _widget: Any, message: Any, _buffers: Any) -> None:
        kind = message.get("kind") if isinstance(message, Mapping) else None
        body = message.get("body") if isinstance(message, Mapping) else None
        client = body.get("client_id", "") if isinstance(body, Mapping) else ""
        client = client if isinstance(client, str) else ""
        try:
            self._take(kind, body)
        except RefusedError as refused:
            self._refused.append((client, refused.reason))
        except BaseException as error:
            # Otherwise only the kernel's log would tell.
            self._failed = _in_a_line(error)
            if not isinstance(error, UserError):
                raise
        finally:
            if client:
                self._heard.append(client)
            self._publish()

    def _take(self, kind: Any, body: Any) -> None:
        if not isinstance(kind, str) or not isinstance(body, Mapping):
            raise RefusedError(422, "a message has a 'kind', a word, and a 'body', an object")
        if kind == "pictures":
            self._send_pictures(body.get("wanted"))
        elif kind == "learn":
            self._learn(body.get("round"))
        elif kind == "resume":
            self.resume()
        elif kind not in _POSTS:
            raise RefusedError(404, f"{kind[:_LONGEST]!r} is not a kind of message")
        else:
            post = read_post(kind, {**body, "annotator": self._annotator})
            (reply,) = self._desk.write([post])
            if isinstance(reply, RefusedError):
                raise reply

    def _learn(self, round_: Any) -> None:
        if self._asked is None or round_ != self._asked.round:
            return  # another view of this widget was quicker
        if not self._answered():
            raise RefusedError(409, "nothing is answered yet")
        self._asked = None
        self._desk.close()
        self._publish()
        self._next_round()

    def _send_pictures(self, wanted: Any) -> None:
        if not isinstance(wanted, list) or len(wanted) > _MOST_PICTURES:
            raise RefusedError(422, f"'wanted' must be a list of at most {_MOST_PICTURES} pictures")
        self.send({"kind": "pictures", "pictures": {key: self._picture(key) for key in wanted}})

    def _picture(self, key: Any) -> str:
        found = _PICTURE.fullmatch(key) if isinstance(key, str) else None
        if found is None or int(found[2]) >= self._pictures.size:
            raise RefusedError(404, "there is no such picture")
        size, index, pictures = found[1], int(found[2]), self._pictures
        if size == "seen":
            body, media_type = pictures.render_seen(index)
        else:
            body, media_type = pictures.render(index, size == "large")
        # In words: not every notebook lets a picture come from elsewhere, itself included.
        return f"data:{media_type};base64,{base64.b64encode(body).decode()}"

    # -- what the browser is told --------------------------------------------------------------

    def _next_round(self) -> None:
        self._failed = ""
        asked, standing = self._loop.ask(self._progress), self._loop.standing()
        self._desk.show_result(standing)
        if asked is None:
            self._desk.finish()
        else:
            self._desk.open(asked)
        self._asked = asked
        # At once: a browser must not see the questions of one round with the answers of another.
        with self.hold_sync():
            self.questions = self._desk.questions()
            self._publish()

    def _progress(self, values: Mapping[str, Any]) -> None:
        self._desk.progress(values)
        if time.monotonic() - self._told > _PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._publish()

    def _publish(self) -> None:
        """Tell how things are; what is as it was is not sent."""
        self.standing = self._desk.state(self._annotator) | {
            "answered": self._answered(),
            "heard": list(self._heard),
            "refused": [list(one) for one in self._refused],
            "failed": self._failed,
        }

    def _answered(self) -> list[list[Any]]:
        if self._asked is None:
            return []
        live = self._store.live(self._asked.round)
        return [[row.position, row.client_id] for row in live if row.annotator == self._annotator]


def _in_a_line(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    return f"{type(error).__name__}: {error}".splitlines()[0]
