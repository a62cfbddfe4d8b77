"""Questions and answers as files: JSON Lines, and Label Studio's JSON.

An answer is written as a word or a number: a cluster id or class id, ``"none"``, ``"skip"``,
``"same"`` or ``"different"``; a label question may also be answered by a group's name.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from idc_jax.annotate.questions import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    QuestionKind,
    Questions,
)
from idc_jax.annotate.store import Row, Store
from idc_jax.errors import UserError

_WORDS: dict[QuestionKind, dict[str, int]] = {
    "cluster": {"none": NONE_OF_THESE, "skip": SKIP},
    "pair": {"same": SAME, "different": DIFFERENT, "skip": SKIP},
    "label": {"skip": SKIP},
}
_MAX_CLASS = 2**31 - 1

# (name, sample it is first used for) -> class id.
NameToId = Callable[[str, int], int]


def encode_choice(kind: QuestionKind, choice: int) -> int | str:
    """A choice as its word, or as the id that it is."""
    return next((word for word, value in _WORDS[kind].items() if value == choice), choice)


def decode_choice(
    questions: Questions, position: int, written: object, name_to_id: NameToId | None = None
) -> int:
    """Read what :func:`encode_choice` wrote as an answer to one question.

    Args:
      questions: those of its round.
      position: which of them.
      written: the word or number.
      name_to_id: gives the class id of a group's name; without it names are refused.

    Raises:
      UserError: no answer to a question of this kind, or a cluster that was not offered.
    """
    words = _WORDS[questions.kind]
    if isinstance(written, str) and written in words:
        return words[written]
    if isinstance(written, int) and not isinstance(written, bool):
        if questions.kind == "cluster" and written in _offered(questions, position):
            return written
        if questions.kind == "label" and 0 <= written <= _MAX_CLASS:
            return written
    if questions.kind == "label" and name_to_id and isinstance(written, str) and written.strip():
        return name_to_id(written.strip(), int(questions.indices[position]))
    options = [*words, *_offered(questions, position)]
    ids = " or a class id" if questions.kind == "label" else ""
    raise UserError(
        f"round {questions.round}, question {position}: {written!r} is no answer; "
        f"expected one of {', '.join(map(str, options))}{ids}"
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
                    "exemplar": _named([questions.exemplars[cluster]], names),
                    "members": _named(questions.members[cluster], names),
                }
                for cluster in candidates
            ],
            "answers": [*_WORDS[questions.kind], *candidates],
        }


def answer_records(store: Store) -> Iterator[dict[str, Any]]:
    """One dict a row of the store, in the order of writing: the export of everything."""
    rounds = {round_: store.questions(round_) for round_ in store.rounds()}
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
            "undoes": row.undoes,
            "seconds": row.seconds,
            "time": row.time,
        }


def write_jsonl(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line; the file appears whole or not at all."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(json.dumps(record) + "\n" for record in records))
    part.replace(path)


def import_answers(
    store: Store, path: str | Path, *, annotator: str = "file", max_groups: int | None = None
) -> int:
    """Add the answers of a JSON Lines file to the store, all of them or none.

    A line needs ``round``, ``position`` and ``answer``; ``client_id``, ``annotator``,
    ``seconds``, ``undoes`` and ``time`` may be there, as :func:`answer_records` writes them.

    Args:
      store: holds the frozen questions of the rounds that are answered.
      path: the file.
      annotator: who answered, where a line does not say it.
      max_groups: how many groups label answers may name; None allows class ids alone.

    Returns:
      How many answers were new.

    Raises:
      UserError: naming the file and the line, for anything that is not an answer.
    """
    records = []
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            try:
                records.append((f"line {number}", _object(line)))
            except UserError as error:
                raise UserError(f"{path}, line {number}: {error}") from error
    return _add(store, path, records, annotator, max_groups)


def label_studio_tasks(questions: Questions, names: Sequence[str]) -> list[dict[str, Any]]:
    """The questions as Label Studio's tasks, shown by :func:`label_studio_config`."""
    tasks = []
    for record in question_records(questions, names):
        samples = record["samples"]
        offered = "; ".join(
            f"{candidate['cluster']} = {candidate['exemplar'][0]['name']}"
            for candidate in record["candidates"]
        )
        tasks.append(
            {
                "data": {
                    "round": record["round"],
                    "position": record["position"],
                    "image": samples[0]["name"],
                    "other_image": samples[-1]["name"],
                    "candidates": offered,
                    "options": [{"value": str(option)} for option in record["answers"]],
                }
            }
        )
    return tasks


def label_studio_config(kind: QuestionKind) -> str:
    """Label Studio's labelling interface for the tasks of :func:`label_studio_tasks`."""
    second = '  <Image name="other_image" value="$other_image"/>\n' if kind == "pair" else ""
    answer = (
        '<TextArea name="answer" toName="image" maxSubmissions="1" required="true"/>'
        if kind == "label"
        else '<Choices name="answer" toName="image" value="$options" required="true"/>'
    )
    return (
        '<View>\n  <Header value="$candidates"/>\n  <Image name="image" value="$image"/>\n'
        f"{second}  {answer}\n</View>\n"
    )


def import_label_studio(store: Store, path: str | Path, *, max_groups: int | None = None) -> int:
    """Add the annotations of a Label Studio JSON export to the store, all of them or none.

    Cancelled annotations are left out.

    Returns:
      How many answers were new.

    Raises:
      UserError: naming the file and the task, for anything that is not an answer.
    """
    try:
        tasks = json.loads("".join(_lines(path)))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    if not isinstance(tasks, list):
        raise UserError(f"{path}: expected a list of tasks, got {type(tasks).__name__}")
    records = []
    for number, task in enumerate(tasks):
        try:
            records += [(f"task {number}", record) for record in _annotations(task)]
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"{path}, task {number}: not as exported ({error!r})") from error
    return _add(store, path, records, "label-studio", max_groups)


def _add(
    store: Store,
    path: str | Path,
    records: Sequence[tuple[str, dict[str, Any]]],
    annotator: str,
    max_groups: int | None,
) -> int:
    frozen = {round_: store.questions(round_) for round_ in store.rounds()}

    def name_to_id(name: str, sample: int) -> int:
        assert max_groups is not None
        return store.name_group(f"name:{name}", name, sample, limit=max_groups).id

    def rows(namer: NameToId | None) -> Iterator[Row]:
        for where, record in records:
            try:
                yield _row(frozen, record, annotator, namer)
            except UserError as error:
                raise UserError(f"{path}, {where}: {error}") from error

    names = max_groups is not None
    # Once without naming anything, so that a wrong answer leaves no group behind.
    checked = list(rows((lambda _name, _sample: 0) if names else None))
    return store.add(list(rows(name_to_id)) if names else checked)


def _annotations(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    data = task["data"]
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        value = annotation["result"][0]["value"]
        written = (value.get("choices") or value["text"])[0]
        who = annotation.get("completed_by", "")
        who = who.get("email", who.get("id", "")) if isinstance(who, dict) else who
        annotator = f"label-studio-{who}" if who != "" else "label-studio"
        yield {
            "client_id": f"{annotator}:{data['round']}:{data['position']}:{annotation['id']}",
            "round": data["round"],
            "position": data["position"],
            "answer": int(written) if written.lstrip("-").isdigit() else written,
            "annotator": annotator,
            "seconds": annotation.get("lead_time") or 0.0,
        }


def _row(
    frozen: dict[int, Questions | None],
    record: dict[str, Any],
    annotator: str,
    name_to_id: NameToId | None,
) -> Row:
    round_, position = _integer(record, "round"), _integer(record, "position")
    questions = frozen.get(round_)
    if questions is None or not 0 <= position < questions.count:
        raise UserError(f"round {round_} has no question {position}")
    annotator = str(record.get("annotator") or annotator)
    undoes = record.get("undoes")
    written = record.get("answer")
    choice = 0 if undoes else decode_choice(questions, position, written, name_to_id)
    return Row(
        client_id=str(record.get("client_id") or f"{annotator}:{round_}:{position}:{written}"),
        round=round_,
        position=position,
        annotator=annotator,
        choice=choice,
        seconds=_seconds(record, "seconds"),
        undoes=str(undoes) if undoes else None,
        time=_seconds(record, "time"),
    )


def _integer(record: dict[str, Any], key: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{key!r} must be a whole number, got {value!r}")
    return value


def _seconds(record: dict[str, Any], key: str) -> float:
    value = record.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{key!r} must be a number, got {value!r}")
    return float(value)


def _object(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise UserError(f"expected an object with 'round', 'position' and 'answer', got {record!r}")
    return record


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise UserError(f"cannot read the answers {path}: {reason}") from error


def _offered(questions: Questions, position: int) -> list[int]:
    return [cluster for cluster in questions.candidates[position].tolist() if cluster >= 0]


def _named(indices: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"index": int(index), "name": names[index] if names else str(int(index))}
        for index in indices
        if index >= 0
    ]
