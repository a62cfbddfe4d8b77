"""What the page may send, checked field by field, and the reasons for refusing it."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_MAX_ID, _MAX_NAME = 80, 60
_MAX_SECONDS = 86_400.0
_MOST_FURTHER = 1000


class RefusedError(Exception):
    """A request that changes nothing: an HTTP status and one line of why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class AnswerPost(NamedTuple):
    """An answer: ``answer`` is a word or an id, or None where ``group`` says (key, name)."""

    client_id: str
    annotator: str
    round: int
    position: int
    answer: int | str | None
    group: tuple[str, str] | None
    seconds: float


class UndoPost(NamedTuple):
    """The reversal of the answer with client id ``undoes``."""

    client_id: str
    annotator: str
    undoes: str


class RenamePost(NamedTuple):
    """A new name for the group that ``key`` named first."""

    annotator: str
    key: str
    name: str


class FinishPost(NamedTuple):
    """Somebody has seen that all of a round is answered, and wants no more waiting."""

    annotator: str
    round: int


class StopPost(NamedTuple):
    """Somebody wants the run to end with the answers given so far."""

    annotator: str
    round: int


class GesturePost(NamedTuple):
    """Something done on the board; see :class:`~idc_jax.annotate.page.board.Board`.

    A group is told by ``"id:7"`` where it has a name, by ``"cluster:3"`` where it has none.
    ``new`` is the (key, name) of a group that is made, ``kept`` of a group that is split the
    samples that stay, ``undoes`` a gesture, and ``answers`` are client ids of answers.
    """

    client_id: str
    annotator: str
    kind: str
    seconds: float
    samples: tuple[int, ...]
    kept: tuple[int, ...]
    group: str | None
    to: str | None
    new: tuple[str, str] | None
    name: str | None
    undoes: str | None
    answers: tuple[str, ...]


class MorePost(NamedTuple):
    """Somebody wants ``count`` more questions after ``round``, the last; 0: to close the page."""

    annotator: str
    round: int
    count: int  # type: ignore[assignment]  # tuple.count is of no use here


Post = AnswerPost | UndoPost | RenamePost | FinishPost | StopPost | GesturePost | MorePost


def parse(kind: str, body: bytes) -> Post:
    """Read the body of a post to ``api/<kind>``.

    Raises:
      RefusedError: status 404 for another kind, 400 for what is not JSON, 422 for a field that is
        missing, unknown or wrong.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "the body is not JSON") from error
    return read_post(kind, fields)


def read_post(kind: str, fields: Any) -> Post:
    """Read the ``fields`` of a post of a ``kind``.

    Raises:
      RefusedError: status 404 for another kind, 422 for what is no object, or for a field that is
        missing, unknown or wrong.
    """
    if kind not in _PARSERS:
        raise RefusedError(404, "there is nothing to post here")
    if not isinstance(fields, Mapping):
        raise RefusedError(422, "the body must be an object")
    reader = _Reader(dict(fields))
    post = _PARSERS[kind](reader)
    reader.end()
    return post


def check_annotator(name: str) -> str:
    """A person's name: 1 to 60 printable characters, not starting or ending with a space.

    Raises:
      RefusedError: status 422.
    """
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable() or name != name.strip():
        raise RefusedError(422, f"'annotator' must be 1 to {_MAX_NAME} printable characters")
    return name


class _Reader:
    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def has(self, name: str) -> bool:
        return name in self._fields

    def take(self, name: str) -> Any:
        if name not in self._fields:
            raise RefusedError(422, f"{name!r} is missing")
        return self._fields.pop(name)

    def end(self) -> None:
        if self._fields:
            raise RefusedError(422, f"unknown field {min(self._fields)[:_MAX_NAME]!r}")

    def text(self, name: str, longest: int) -> str:
        value = self.take(name)
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise RefusedError(422, f"{name!r} must be 1 to {longest} printable characters")
        return value

    def integer(self, name: str) -> int:
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise RefusedError(422, f"{name!r} must be a whole number of at least 0")
        return value

    def annotator(self) -> str:
        return check_annotator(self.text("annotator", _MAX_NAME))

    def seconds(self) -> float:
        value = self.take("seconds")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 <= value <= _MAX_SECONDS:
            raise RefusedError(422, f"'seconds' must be a number from 0 to {_MAX_SECONDS:.0f}")
        return float(value)

    def optional(self, name: str, longest: int) -> str | None:
        return self.text(name, longest) if self.has(name) else None

    def samples(self, name: str) -> tuple[int, ...]:
        values = self.take(name) if self.has(name) else []
        whole = isinstance(values, list) and all(type(value) is int for value in values)
        if not whole or len(set(values)) < len(values):
            raise RefusedError(422, f"{name!r} must be a list of samples, each once")
        return tuple(values)

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.take(name) if self.has(name) else []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise RefusedError(422, f"{name!r} must be a list of client ids")
        return tuple(values)

    def answer(self) -> int | str | None:
        if not self.has("answer"):
            return None
        value = self.take("answer")
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise RefusedError(422, "'answer' must be a word or a whole number")
        return value[:_MAX_NAME] if isinstance(value, str) else value

    def group(self, field: str = "group") -> tuple[str, str] | None:
        if not self.has(field):
            return None
        value = self.take(field)
        if not isinstance(value, dict):
            raise RefusedError(422, f"{field!r} must be an object")
        inner = _Reader(value)
        found = (inner.text("key", _MAX_ID), inner.text("name", _MAX_NAME).strip() or "group")
        inner.end()
        return found


def _answer(reader: _Reader) -> AnswerPost:
    post = AnswerPost(
        client_id=reader.text("client_id", _MAX_ID),
        annotator=reader.annotator(),
        round=reader.integer("round"),
        position=reader.integer("position"),
        answer=reader.answer(),
        group=reader.group(),
        seconds=reader.seconds(),
    )
    if (post.answer is None) == (post.group is None):
        raise RefusedError(422, "exactly one of 'answer' and 'group' is needed")
    return post


def _undo(reader: _Reader) -> UndoPost:
    return UndoPost(
        client_id=reader.text("client_id", _MAX_ID),
        annotator=reader.annotator(),
        undoes=reader.text("undoes", _MAX_ID),
    )


def _rename(reader: _Reader) -> RenamePost:
    return RenamePost(
        annotator=reader.annotator(),
        key=reader.text("key", _MAX_ID),
        name=reader.text("name", _MAX_NAME).strip() or "group",
    )


def _finish(reader: _Reader) -> FinishPost:
    return FinishPost(annotator=reader.annotator(), round=reader.integer("round"))


def _stop(reader: _Reader) -> StopPost:
    return StopPost(annotator=reader.annotator(), round=reader.integer("round"))


def _more(reader: _Reader) -> MorePost:
    post = MorePost(reader.annotator(), reader.integer("round"), reader.integer("count"))
    if post.count > _MOST_FURTHER:
        raise RefusedError(422, f"'count' must be at most {_MOST_FURTHER}")
    return post


def _gesture(reader: _Reader) -> GesturePost:
    post = GesturePost(
        client_id=reader.text("client_id", _MAX_ID),
        annotator=reader.annotator(),
        kind=reader.text("kind", _MAX_NAME),
        seconds=reader.seconds(),
        samples=reader.samples("samples"),
        kept=reader.samples("kept"),
        group=reader.optional("group", _MAX_ID),
        to=reader.optional("to", _MAX_ID),
        new=reader.group("new"),
        name=reader.optional("name", _MAX_NAME),
        undoes=reader.optional("undoes", _MAX_ID),
        answers=reader.texts("answers"),
    )
    if not post.client_id.isalnum():
        raise RefusedError(422, "'client_id' of a gesture must be letters and digits")
    return post


_PARSERS: dict[str, Callable[[_Reader], Post]] = {
    "answer": _answer,
    "undo": _undo,
    "rename": _rename,
    "finish": _finish,
    "stop": _stop,
    "gesture": _gesture,
    "more": _more,
}
