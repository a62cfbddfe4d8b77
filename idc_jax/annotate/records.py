"""Questions and answers as JSON records, one a line.

An answer is written as a word or a number: a cluster id or class id, ``"none"``, ``"skip"``,
``"same"`` or ``"different"``; a label question may also be answered by a group's name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from idc_jax.annotate.naming import MAX_GROUP, folded, tidy, whole
from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    QuestionKind,
    Questions,
)
from idc_jax.annotate.store import Row, Store
from idc_jax.annotate.textfile import parse_json, read_lines
from idc_jax.errors import UserError, representable

_WORDS: dict[QuestionKind, dict[str, int]] = {
    "cluster": {"none": NONE_OF_THESE, "skip": SKIP},
    "pair": {"same": SAME, "different": DIFFERENT, "skip": SKIP},
    "label": {"skip": SKIP},
    "grid": {"none": NONE_OF_THESE, "skip": SKIP},
}


def encode_choice(kind: QuestionKind, choice: int) -> int | str:
    """A choice as its word, or as the id that it is."""
    return next((word for word, value in _WORDS[kind].items() if value == choice), choice)


def decode_choice(
    questions: Questions, position: int, written: object, *, names: bool = False
) -> int | str:
    """Read what :func:`encode_choice` wrote as an answer to one question.

    Args:
      questions: those of its round.
      position: which of them.
      written: the word or number.
      names: take a group's name for an answer, too.

    Returns:
      The choice, or the name.

    Raises:
      UserError: no answer to a question of this kind, or a cluster that was not offered.
    """
    words = _WORDS[questions.kind]
    if isinstance(written, str) and folded(written) in words:
        return words[folded(written)]
    number = whole(written)
    if number is not None:
        if questions.kind in ("cluster", "grid") and number in _offered(questions, position):
            return number
        if questions.kind == "label" and 0 <= number <= MAX_GROUP:
            return number
    elif questions.kind == "label" and names and isinstance(written, str) and tidy(written):
        return tidy(written)
    options = [*words, *_offered(questions, position)]
    ids = f" or a class id up to {MAX_GROUP}" if questions.kind == "label" else ""
    raise UserError(
        f"round {questions.round}, question {position}: {written!r:.80} is not an answer; "
        f"choose one of {', '.join(map(str, options))}{ids}"
    )


def question_records(questions: Questions, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One dict a question: what it asks about and what may be answered.

    Args:
      questions: those of one round.
      names: what each sample of the data set is called, or empty.
    """
    for position in range(questions.count):
        samples = questions.indices[position].reshape(-1).tolist()
        candidates = _offered(questions, position)
        yield {
            "round": questions.round,
            "position": position,
            "kind": questions.kind,
            "samples": _named(samples, names),
            "candidates": [
                {
                    "cluster": cluster,
                    "exemplar": _named(questions.exemplars[cluster : cluster + 1].tolist(), names),
                    "members": _named(
                        questions.members[cluster : cluster + 1].reshape(-1).tolist(), names
                    ),
                }
                for cluster in candidates
            ],
            "answers": [*_WORDS[questions.kind], *candidates],
        }


def answer_records(store: Store) -> Iterator[dict[str, Any]]:
    """One dict a row of the store, in the order of writing: the export of everything."""
    rounds = {round_: store.questions(round_) for round_ in store.rounds()}
    names = {group.id: group.name for group in store.groups()}
    merged = store.merged()
    for row in store.rows():
        questions = rounds[row.round]
        assert questions is not None
        yield {
            "client_id": row.client_id,
            "round": row.round,
            "position": row.position,
            "kind": questions.kind,
            "samples": questions.indices[row.position].reshape(-1).tolist(),
            "candidates": _offered(questions, row.position),
            "annotator": row.annotator,
            "answer": None if row.undoes else encode_choice(questions.kind, row.choice),
            "name": _name_of(questions.kind, row, merged, names),
            "undoes": row.undoes,
            "seconds": row.seconds,
            "time": row.time,
        }


def _name_of(
    kind: QuestionKind, row: Row, merged: Mapping[int, int], names: Mapping[int, str]
) -> str | None:
    """What people call the group that an answer names, today."""
    if row.undoes or kind not in ("label", "grid"):
        return None
    return names.get(merged.get(row.choice, row.choice))


def export_answers(store: Store, path: Path) -> None:
    """Write :func:`answer_records`, unless ``path`` holds answers that the store did not write."""
    if not os.path.exists(path) or _is_export(store, path):
        write_jsonl(path, answer_records(store))


def _is_export(store: Store, path: Path) -> bool:
    try:
        records = [parse_json(line) for line in read_lines(path) if line.strip()]
    except UserError:
        return False
    known = {row.client_id for row in store.rows()}
    return all(isinstance(one, dict) and one.get("client_id") in known for one in records)


def write_jsonl(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line; the file appears whole or not at all."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(json.dumps(record) + "\n" for record in records))
    part.replace(path)


def _offered(questions: Questions, position: int) -> list[int]:
    return [cluster for cluster in questions.candidates[position].tolist() if cluster >= 0]


def _named(indices: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"index": int(index), "name": representable(names[index]) if names else str(int(index))}
        for index in indices
        if index >= 0
    ]
