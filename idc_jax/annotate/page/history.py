"""What was done and said, to be looked up and taken back."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

from idc_jax.annotate.groups import GroupRow
from idc_jax.annotate.page.wire import RefusedError
from idc_jax.annotate.questions import NONE_OF_THESE, SKIP, Questions
from idc_jax.annotate.records import encode_choice
from idc_jax.annotate.store import Row, Store
from idc_jax.annotate.volunteered import Gesture, Hand, gestures, written_by
from idc_jax.errors import UserError

_MOST = 100
# Under this key and a gesture's id a store keeps what it wrote of groups.
_DID = "did:"
# In place of a gesture's id: a line that was written of a group elsewhere.
_NAMES = "names:"


def note(store: Store, gesture: str, annotator: str, since: int, undoes: str | None) -> None:
    """Keep what a gesture did beside its answers.

    Args:
      store: holds them.
      gesture: its id.
      annotator: who did it.
      since: what was written of groups after this line is the gesture's.
      undoes: the gesture that it undid.
    """
    lines = [row.sequence for row in store.group_rows() if row.sequence > since]
    if lines or undoes:
        did = {"who": annotator, "time": time.time(), "lines": lines, "undoes": undoes}
        store.remember(f"{_DID}{gesture}", json.dumps(did))


def done_by(store: Store, gesture: str) -> str | None:
    """Who did ``gesture``; None where it was not written."""
    told = store.recall(f"{_DID}{gesture}")
    return json.loads(told)["who"] if told else written_by(store, gesture)


def history(store: Store, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """What was done last, the latest first.

    Args:
      store: holds it.
      names: of groups, by class id.

    Returns:
      Of each the ``id``, by which it is undone; ``who``, None where nobody noted it; ``time``;
      ``what``, in words; ``undone``; ``undoes``, whether it undid something.
    """
    rows = store.group_rows()
    names = {row.id: row.name for row in rows} | dict(names)
    notes = {id_: json.loads(text) for id_, text in store.recall_all(_DID).items()}
    found = {one.id: _told(one, names) for one in gestures(store)}
    for id_, did in notes.items():
        found.setdefault(id_, {"id": id_, "who": did["who"], "time": did["time"], "what": ""})
    owner = {line: id_ for id_, did in notes.items() for line in did["lines"]}
    for at, row in enumerate(rows):
        id_ = owner.get(row.sequence, f"{_NAMES}{row.sequence}")
        one = found.setdefault(id_, {"id": id_, "who": None, "time": row.time, "what": ""})
        one["what"] = ", ".join(filter(None, (one["what"], _told_of_names(rows, at))))
    undone = _undone(notes)
    for id_, one in found.items():
        one |= {"undone": id_ in undone, "undoes": bool(notes.get(id_, {}).get("undoes"))}
    return sorted(found.values(), key=lambda one: -one["time"])[:_MOST]


def _undone(notes: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """What was undone by something that was not undone itself."""
    found: set[str] = set()
    for id_ in sorted(notes, key=lambda id_: -notes[id_]["time"]):
        if notes[id_]["undoes"] and id_ not in found:
            found.add(notes[id_]["undoes"])
    return found


def undo(store: Store, hand: Hand, what: str) -> None:
    """Take back a gesture, or what was done to a group's name.

    Raises:
      RefusedError: there is no such thing.
      UserError: a group would be gone while answers name it.
    """
    rows = store.group_rows()
    if what.startswith(_NAMES):
        lines = [row.sequence for row in rows if f"{_NAMES}{row.sequence}" == what]
    else:
        lines = json.loads(store.recall(f"{_DID}{what}") or '{"lines": []}')["lines"]
    if not lines and done_by(store, what) is None:
        raise RefusedError(422, "there is no such thing to undo")
    hand.undo(what)
    hand.end()
    for at in reversed(range(len(rows))):
        if rows[at].sequence not in lines:
            continue
        before = _before(rows, at)
        # A group that was made, and that others have used since, stays.
        with contextlib.nullcontext() if before.id >= 0 else contextlib.suppress(UserError):
            store.enter_group(before.key, before.id, before.name)


def say_of(store: Store, sample: int, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Every answer about a sample that counts, the latest first, to be changed or withdrawn."""
    found = []
    for number in store.rounds():
        questions = store.questions(number)
        assert questions is not None
        rows = questions.indices.reshape(questions.count, -1)
        places = {n for n, row in enumerate(rows.tolist()) if sample in row}
        for row in store.live(number) if places else ():
            if row.position in places:
                found.append(
                    {
                        "client_id": row.client_id,
                        "round": number,
                        "asked": not questions.volunteered,
                        "who": row.annotator,
                        "time": row.time,
                        "what": in_words(questions, row, names),
                    }
                )
    return sorted(found, key=lambda one: -one["time"])


def in_words(questions: Questions, row: Row, names: Mapping[int, str]) -> str:
    """An answer as a person reads it."""
    if row.choice == SKIP:
        return "skipped"
    if questions.kind == "pair":
        first, second = questions.indices[row.position].tolist()
        said = encode_choice("pair", row.choice)
        return f"samples {first} and {second}: {said}"
    if questions.kind == "cluster":
        if row.choice == NONE_OF_THESE:
            offered = [str(c) for c in questions.candidates[row.position].tolist() if c >= 0]
            return f"none of the clusters {', '.join(offered)}"
        return f"belongs with cluster {row.choice}"
    if row.choice == NONE_OF_THESE:
        group = int(questions.candidates[row.position, 0])
        return f"not {names.get(group, f'class {group}')}"
    return names.get(row.choice, f"class {row.choice}")


def _told(gesture: Gesture, names: Mapping[int, str]) -> dict[str, Any]:
    parts = [
        f"{count} not of their group" if id_ < 0 else f"{count} × {names.get(id_, f'class {id_}')}"
        for id_, count in gesture.choices.items()
    ]
    if gesture.withdrawn:
        parts.append(f"{gesture.withdrawn} taken back")
    return {
        "id": gesture.id,
        "who": gesture.annotator,
        "time": gesture.time,
        "what": ", ".join(parts),
    }


def _before(rows: tuple[GroupRow, ...], at: int) -> GroupRow:
    """What stood of the group before a line; for its first line, that it was not there."""
    earlier = [row for row in rows[:at] if row.key == rows[at].key]
    return earlier[-1] if earlier else rows[at]._replace(id=-1)


def _told_of_names(rows: tuple[GroupRow, ...], at: int) -> str:
    """What a line says in words."""
    row, before = rows[at], _before(rows, at)
    first = next(one for one in rows if one.key == row.key)
    if row.id == -1:
        return f"deleted: {before.name}"
    if before.id == -1:
        return f"new group: {row.name}"
    if row.id == before.id:
        return f"{before.name} renamed {row.name}"
    again = f"{row.name}: a group again"
    return again if row.id == first.id else f"{before.name} merged into {row.name}"
