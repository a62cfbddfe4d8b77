"""Label Studio's tasks, its labelling interface, and its exports (JSON and JSON-MIN)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from idc_jax.annotate.naming import whole
from idc_jax.annotate.questions import QuestionKind, Questions
from idc_jax.annotate.records import question_records
from idc_jax.annotate.textfile import read_json
from idc_jax.errors import UserError

# The control of the labelling interface, and other names that people give to theirs; in JSON-MIN
# they stand beside the data.
CONTROL = "answer"
_CONTROLS = (CONTROL, "group", "choice", "choices", "label", "class")


class Annotation(NamedTuple):
    """One person's annotation of one task.

    Attributes:
      said: the choice or the text; None where the person skipped the task.
      annotator: who, ``"label-studio-3"``; ``"label-studio"`` where it is not said.
      id: its number, or "".
      seconds: it took.
    """

    said: str | int | float | None
    annotator: str
    id: str
    seconds: float


class Task(NamedTuple):
    """A task as it was exported.

    Attributes:
      where: which, for messages.
      data: what was imported.
      project: the number of its project, or "".
      annotations: the newest last.
    """

    where: str
    data: Mapping[str, Any]
    project: str
    annotations: tuple[Annotation, ...]


def tasks_of(questions: Questions, names: Sequence[str]) -> list[dict[str, Any]]:
    """The questions as tasks, shown by :func:`labelling_config`."""
    tasks = []
    for record in question_records(questions, names):
        samples = record["samples"]
        offered = "; ".join(
            f"{candidate['cluster']} = {candidate['exemplar'][0]['name']}"
            for candidate in record["candidates"]
            if candidate["exemplar"]
        )
        if questions.kind == "grid":
            offered = f"Is it of group {record['candidates'][0]['cluster']}, or none?"
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


def labelling_config(kind: QuestionKind) -> str:
    """The labelling interface for the tasks of :func:`tasks_of`."""
    second = '  <Image name="other_image" value="$other_image"/>\n' if kind == "pair" else ""
    answer = (
        f'<TextArea name="{CONTROL}" toName="image" maxSubmissions="1" required="true"/>'
        if kind == "label"
        else f'<Choices name="{CONTROL}" toName="image" value="$options" required="true"/>'
    )
    return (
        '<View>\n  <Header value="$candidates"/>\n  <Image name="image" value="$image"/>\n'
        f"{second}  {answer}\n</View>\n"
    )


def holds_annotations(path: Path) -> bool:
    """Whether somebody has put annotations into ``path``; also where it cannot be read."""
    try:
        return any(task.get("annotations") or CONTROL in task for task in _objects(path))
    except UserError:
        return True


def read_tasks(path: Path) -> list[Task]:
    """The tasks of an export as JSON or JSON-MIN.

    Raises:
      UserError: naming the file and the task, for anything else.
    """
    found = []
    for number, task in enumerate(_objects(path)):
        where = f"task {number}"
        try:
            found.append(_task(task, where) if "data" in task else _flat_task(task, where))
        except UserError as error:
            raise UserError(f"{path}, {where}: {error}") from error
    return found


def _objects(path: Path) -> list[Mapping[str, Any]]:
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise UserError(f"{path}: expected a list of tasks, got {type(tasks).__name__}")
    for number, task in enumerate(tasks):
        if not isinstance(task, Mapping):
            raise UserError(f"{path}, task {number}: not as exported; a task must be an object")
    return tasks


def _task(task: Mapping[str, Any], where: str) -> Task:
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list):
        raise UserError("not as exported; annotations must be a list")
    ordered = sorted(map(_mapping, annotations), key=_time)
    first = ordered[0] if ordered else task
    return Task(
        where,
        _mapping(task["data"]),
        str(task.get("project", first.get("project", ""))),
        tuple(map(_annotation, ordered)),
    )


def _annotation(annotation: Mapping[str, Any]) -> Annotation:
    who = annotation.get("completed_by", "")
    if isinstance(who, Mapping):
        who = who.get("email", who.get("id", ""))
    return Annotation(
        said=None if annotation.get("was_cancelled") else _of_regions(annotation),
        annotator=_called(who),
        id=str(annotation.get("id", "")),
        seconds=_number(annotation.get("lead_time")),
    )


def _flat_task(task: Mapping[str, Any], where: str) -> Task:
    """A task of JSON-MIN, where data and answer stand side by side."""
    control = next((name for name in _CONTROLS if name in task), None)
    if control is None:
        return Task(where, task, "", ())
    annotation = Annotation(
        said=_one(task[control]),
        annotator=_called(task.get("annotator", "")),
        id=str(task.get("annotation_id", task.get("id", ""))),
        seconds=_number(task.get("lead_time")),
    )
    return Task(where, task, "", (annotation,))


def _of_regions(annotation: Mapping[str, Any]) -> str | int | float | None:
    result = annotation.get("result")
    if not isinstance(result, list):
        raise UserError("not as exported; results must be a list")
    regions = [_mapping(region) for region in result]
    own = [region for region in regions if region.get("from_name") == CONTROL]
    said = []
    for region in own or regions:
        value = _mapping(region.get("value"))
        said += [value[name] for name in ("choices", "text") if name in value]
    if not said and regions:
        raise UserError("neither choices nor text; an answer is one of them")
    return _one(said[0]) if len(said) == 1 else _one(said)


def _one(said: Any) -> str | int | float | None:
    """The one answer that ``said`` holds, None for none."""
    if isinstance(said, Mapping):
        said = said.get("choices", said.get("text"))
    if isinstance(said, list):
        if len(said) > 1:
            raise UserError(f"{len(said)} answers {said!r:.80}; keep one of them")
        said = said[0] if said else None
    if isinstance(said, str):
        return said.strip() or None
    if said is None or (isinstance(said, int | float) and not isinstance(said, bool)):
        return said
    raise UserError(f"{said!r:.80} is not an answer; use a choice or a text")


def _called(who: Any) -> str:
    number = whole(who)
    name = str(number) if number is not None else who
    return f"label-studio-{name}" if isinstance(name, str) and name else "label-studio"


def _time(annotation: Mapping[str, Any]) -> str:
    """When it was made; ISO dates are ordered as they are written."""
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if known else 0.0


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"not as exported; {json.dumps(value)[:80]} must be an object")
    return value
