"""Answers taken from files: JSON Lines, tables, and Label Studio's exports.

A file says what is answered now. What it says anew is added, and what it says differently from
before replaces that; of a file with anything but answers nothing is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from idc_jax.annotate.database import StoreError
from idc_jax.annotate.label_studio import Task, read_tasks
from idc_jax.annotate.naming import folded, tidy, whole
from idc_jax.annotate.questions import UNASKED, Questions
from idc_jax.annotate.records import decode_choice
from idc_jax.annotate.store import Row, Store
from idc_jax.annotate.textfile import parse_json, read_lines, read_table
from idc_jax.errors import UserError

_STUDIO = "label-studio"
# Seconds that nobody means.
_FOREVER = 1e15


class _Said(NamedTuple):
    """A line as it was read.

    Attributes:
      where: which, for messages.
      row: without a choice where it is a group's name.
      sample: asked about.
      name: of the group.
      labels: whether it answers "what is this?".
      own_id: whether the line names itself.
    """

    where: str
    row: Row
    sample: int
    name: str | None
    labels: bool
    own_id: bool

    @property
    def question(self) -> tuple[str, int, int]:
        """Whose answer to which question."""
        return self.row.annotator, self.row.round, self.row.position

    def repeats(self, row: Row) -> bool:
        """Whether ``row`` says the same."""
        fields = ("annotator", "round", "position", "choice", "undoes")
        return all(getattr(self.row, name) == getattr(row, name) for name in fields)


def import_file(
    store: Store,
    path: str | Path,
    *,
    max_groups: int | None = None,
    class_names: Sequence[str] = (),
) -> int:
    """Add the answers of a file to the store, all of them or none.

    Args:
      store: holds the frozen questions of the rounds that are answered.
      path: a ``.json`` that Label Studio exports, a table ``.csv`` or ``.tsv``, or JSON Lines.
      max_groups: how many groups label answers may name; None allows class ids alone.
      class_names: what the first class ids are called.

    Returns:
      How many rows were new: answers, corrections, and answers that were taken back.

    Raises:
      UserError: naming the file and the line, for anything that is not an answer.
    """
    path = Path(path).expanduser()
    readers = {".json": import_label_studio, ".csv": _import_table, ".tsv": _import_table}
    read = readers.get(path.suffix.lower(), import_answers)
    return read(store, path, max_groups=max_groups, class_names=class_names)


def import_answers(
    store: Store,
    path: str | Path,
    *,
    max_groups: int | None = None,
    class_names: Sequence[str] = (),
) -> int:
    """:func:`import_file` of JSON Lines.

    A line needs ``round``, ``position`` and ``answer``; ``client_id``, ``annotator``,
    ``seconds``, ``undoes`` and ``time`` may be there, as
    :func:`~idc_jax.annotate.records.answer_records` writes them. A question as
    :func:`~idc_jax.annotate.records.question_records` writes it is open as long as it has no
    ``answer``.
    """
    path = Path(path)
    records = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            try:
                records.append((f"line {number}", _object(line)))
            except UserError as error:
                raise UserError(f"{path}, line {number}: {error}") from error
    return _add(store, path, records, max_groups, class_names)


def import_label_studio(
    store: Store,
    path: str | Path,
    *,
    max_groups: int | None = None,
    class_names: Sequence[str] = (),
) -> int:
    """:func:`import_file` of what Label Studio exports as JSON or JSON-MIN.

    A cancelled annotation is a skip, and the newest of a person's annotations of a task counts. Of
    the rounds that the export holds tasks of, what an earlier export of the same project said and
    this one does not is taken back.
    """
    path = Path(path)
    records, projects = [], {""}
    for task in read_tasks(path):
        if "round" not in task.data or "position" not in task.data:
            raise UserError(
                f"{path}, {task.where}: not as exported here; its data must have 'round' "
                "and 'position'"
            )
        projects.add(task.project)
        records += [(task.where, record) for record in _records(task)]
    with store.whole():
        new = _add(store, path, records, max_groups, class_names)
        return new + _take_back(store, records, projects)


def _records(task: Task) -> Iterator[dict[str, Any]]:
    """What a task says; without an answer where nobody has annotated it."""
    asked = {name: task.data[name] for name in ("round", "position")}
    if not task.annotations:
        yield asked | {"answers": ()}
    for one in task.annotations:
        place = f"{whole(asked['round'])}:{whole(asked['position'])}"
        project = f"@{task.project}" if task.project else ""
        yield asked | {
            "answer": "skip" if one.said is None else one.said,
            "annotator": one.annotator,
            "seconds": one.seconds,
            "id": f"{one.annotator}:{place}:{one.id}{project}",
        }


def _take_back(
    store: Store, records: Sequence[tuple[str, dict[str, Any]]], projects: set[str]
) -> int:
    """Reverse what earlier exports of the ``projects`` said of these rounds, and this does not."""
    stay = {
        (one.get("annotator"), whole(one["round"]), whole(one["position"])) for _, one in records
    }
    rows = []
    rounds = {whole(record["round"]) for _, record in records}
    for round_ in set(store.rounds()) & rounds:
        for row in store.live(round_):
            project = row.client_id.rpartition(":")[2].partition("#")[0].partition("@")[2]
            ours = row.annotator.startswith(_STUDIO) and project in projects
            if ours and (row.annotator, row.round, row.position) not in stay:
                id_ = store.unused_id(f"undo:{row.client_id}")
                rows.append(row._replace(client_id=id_, undoes=row.client_id, choice=0, time=0.0))
    return store.add(rows)


def _import_table(
    store: Store,
    path: str | Path,
    *,
    max_groups: int | None = None,
    class_names: Sequence[str] = (),
) -> int:
    """:func:`import_file` of a table with the columns ``round``, ``position`` and ``answer``."""
    path = Path(path)
    rows = [(f"row {number}", row) for number, row in enumerate(read_table(path), start=1)]
    records = [
        (where, {k: v for k, v in row.items() if v} | {"answers": ()}) for where, row in rows
    ]
    return _add(store, path, records, max_groups, class_names)


def _add(
    store: Store,
    path: Path,
    records: Sequence[tuple[str, dict[str, Any]]],
    max_groups: int | None,
    class_names: Sequence[str],
) -> int:
    frozen = {round_: store.questions(round_) for round_ in store.rounds()}
    said = []
    for where, record in records:
        if "answers" in record and record.get("answer") is None and not record.get("undoes"):
            continue  # a question that is still open
        try:
            said.append(_said(frozen, where, record, names=max_groups is not None))
        except UserError as error:
            raise UserError(f"{path}, {where}: {error}") from error
    try:
        with store.whole():
            before = {group.id for group in store.groups()}
            new = store.add(_news(store, _with_groups(store, said, class_names)))
            _check_groups(store, before, max_groups)
            return new
    except StoreError:
        raise
    except UserError as error:
        raise UserError(f"{path}, {error}") from error


def _with_groups(store: Store, said: Sequence[_Said], class_names: Sequence[str]) -> list[_Said]:
    """``said`` with the ids of the groups that it names, new ones among them."""
    numbered = {one.row.choice for one in said if one.labels and one.name is None}
    found, ids = [], {}
    for one in said:
        if one.name is not None and folded(one.name) not in ids:
            group = store.name_group(
                f"name:{folded(one.name)}",
                one.name,
                one.sample,
                class_names=class_names,
                taken=numbered,
                rename=False,
            )
            if group.id in numbered and group.id >= len(class_names):
                raise UserError(
                    f"{one.where}: {group.id} is the id of the group {group.name!r}, and both are "
                    "answers here; use one of them"
                )
            ids[folded(one.name)] = group.id
        if one.name is not None:
            one = one._replace(row=one.row._replace(choice=ids[folded(one.name)]))
        found.append(one)
    return found


def _check_groups(store: Store, before: set[int], limit: int | None) -> None:
    groups = {group.id: group.name for group in store.groups()}
    used = store.used_groups()
    if limit is not None and groups.keys() - before and len(used) > limit:
        names = ", ".join(sorted(groups.get(id_, str(id_)) for id_ in used))
        raise UserError(f"there would be {len(used)} groups ({names:.200}); the most is {limit}")


def _news(store: Store, said: Sequence[_Said]) -> Iterator[Row]:
    """What the store does not hold yet: the last thing that each person says of a question."""
    last = {one.question: number for number, one in enumerate(said) if one.row.undoes is None}
    rounds = {one.row.round for one in said}
    live = {(row.annotator, row.round, row.position): row for r in rounds for row in store.live(r)}
    for number, one in enumerate(said):
        known = store.find(one.row.client_id)
        if one.own_id and known is None:
            yield one.row
        elif one.own_id and known is not None and one.repeats(known):
            continue
        elif one.row.undoes is None and last[one.question] == number:
            now = live.get(one.question)
            if now is None or now.choice != one.row.choice:
                yield one.row._replace(client_id=store.unused_id(one.row.client_id))


def _said(
    frozen: Mapping[int, Questions | None], where: str, record: Mapping[str, Any], *, names: bool
) -> _Said:
    round_, position = _integer(record, "round"), _integer(record, "position")
    questions = frozen.get(round_)
    if questions is None or not 0 <= position < questions.count:
        raise UserError(f"round {round_} has no question {position}")
    annotator, undoes = _text(record, "annotator") or "file", _text(record, "undoes")
    choice: int | str = 0
    if undoes is None:
        choice = decode_choice(questions, position, record.get("answer"), names=names)
    own_id, id_ = _text(record, "client_id"), record.get("id")
    row = Row(
        client_id=own_id or id_ or f"{annotator}:{round_}:{position}:{choice}",
        round=round_,
        position=position,
        annotator=annotator,
        choice=choice if isinstance(choice, int) else UNASKED,
        seconds=_seconds(record, "seconds"),
        undoes=undoes,
        time=_seconds(record, "time"),
    )
    name = choice if isinstance(choice, str) else None
    sample = int(questions.indices[position].reshape(-1)[0])
    return _Said(where, row, sample, name, questions.kind == "label", own_id is not None)


def _integer(record: Mapping[str, Any], key: str) -> int:
    value = whole(record.get(key))
    if value is None:
        raise UserError(f"{key!r} must be a whole number, got {record.get(key)!r:.80}")
    return value


def _text(record: Mapping[str, Any], key: str) -> str | None:
    """A name or an id; None for none."""
    value = record.get(key)
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not tidy(text):
        raise UserError(f"{key!r} must be a text on one line, got {value!r:.80}")
    # An id is as it was made.
    return text if text.isprintable() else tidy(text)


def _seconds(record: Mapping[str, Any], key: str) -> float:
    value = record.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FOREVER:
        raise UserError(f"{key!r} must be a number, got {value!r:.80}")
    return float(value)


def _object(line: str) -> dict[str, Any]:
    record = parse_json(line)
    if not isinstance(record, dict):
        raise UserError(
            f"expected an object with 'round', 'position' and 'answer', got {record!r:.80}"
        )
    return record
