"""Files of answers of every kind that is read, and what chance makes of them."""

from __future__ import annotations

import copy
import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from idc_jax.annotate import SKIP, Questions, Row, Store, label_questions, pair_questions
from idc_jax.annotate.label_studio import tasks_of
from idc_jax.annotate.questions import NONE_OF_THESE, SAME, plain_roles
from idc_jax.annotate.records import answer_records, question_records
from idc_jax.data.base import Dataset

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
PATHS = tuple(f"photos/{'ab'[n % 2]}/{n}.png" for n in range(12))
DATA = Dataset("x", "features", X, None, (), PATHS, np.ones(12, bool), ())


def rounds() -> tuple[Questions, Questions, Questions]:
    """A round of each kind of question."""
    cluster = label_questions(3, np.arange(3), np.zeros(3))._replace(
        kind="cluster",
        candidates=np.asarray([[0, 1, 2], [2, 1, -1], [0, 3, 1]], np.int32),
        exemplars=np.arange(4, dtype=np.int32),
        members=np.full((4, 2), -1, np.int32),
        roles=plain_roles(3),
    )
    return (
        label_questions(1, np.arange(4), np.zeros(4)),
        pair_questions(2, np.arange(6).reshape(3, 2), np.zeros(3)),
        cluster,
    )


ANSWERS: dict[int, list[Any]] = {
    1: ["cat", "Dog", 2, "skip"],
    2: ["same", "different", "skip"],
    3: [2, "none", 0],
}


def asked() -> list[dict[str, Any]]:
    return [dict(one) for questions in rounds() for one in question_records(questions, PATHS)]


def filled(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"answer": ANSWERS[record["round"]][record["position"]], "annotator": "Ann"}


# -- valid files, by kind ----------------------------------------------------------------------


def lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode()


def whole(records: list[Any]) -> bytes:
    return json.dumps(records, ensure_ascii=False).encode()


def table(records: list[Any]) -> bytes:
    names = [*dict.fromkeys(name for one in records for name in one)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode("utf-8", "surrogatepass")


def questions_filled() -> list[Any]:
    return [filled(record) for record in asked()]


def short_lines() -> list[Any]:
    kept = ("round", "position", "answer")
    return [{name: filled(record)[name] for name in kept} for record in asked()]


def exported() -> list[Any]:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "a.db") as store:
        for questions in rounds():
            store.freeze(questions)
        rows = [
            Row("a", 1, 0, "Ann", 1, 2.5),
            Row("b", 1, 1, "Bob", 0),
            Row("c", 1, 1, "Bob", 0, undoes="b"),
            Row("d", 2, 0, "Ann", SAME),
            Row("e", 3, 0, "Ann", NONE_OF_THESE),
            Row("f", 3, 1, "Ann", SKIP),
        ]
        # At a time that is the same whenever it is asked for.
        store.add(row._replace(time=1.75e9 + second) for second, row in enumerate(rows))
        return list(answer_records(store))


def studio() -> list[Any]:
    tasks = [task for questions in rounds() for task in tasks_of(questions, PATHS)]
    done = []
    for number, (task, record) in enumerate(zip(tasks, asked(), strict=True)):
        said = str(filled(record)["answer"])
        value = {"text": [said]} if record["kind"] == "label" else {"choices": [said]}
        result = [{"from_name": "answer", "to_name": "image", "type": "choices", "value": value}]
        annotation = {
            "id": 40 + number,
            "completed_by": {"id": 2, "email": "a@b.c"} if number % 2 else 2,
            "result": result,
            "was_cancelled": number % 5 == 4,
            "created_at": "2025-05-01T10:00:00.000000Z",
            "updated_at": "2025-05-01T10:00:01.000000Z",
            "lead_time": 3.5,
            "project": 1,
        }
        done.append({"id": number, **task, "annotations": [annotation], "project": 1})
    return done


def studio_min() -> list[Any]:
    extra = {"annotator": 2, "lead_time": 1.5, "updated_at": "2025-05-01T10:00:01Z"}
    return [
        task["data"] | {"id": n, "annotation_id": n, "answer": str(filled(one)["answer"]), **extra}
        for n, (task, one) in enumerate(zip(studio(), asked(), strict=True))
    ]


def labels_table() -> list[Any]:
    groups = ["cat", "dog", "", "cat", "3", "bird"]
    return [{"path": PATHS[n], "group": group} for n, group in enumerate(groups)]


def labels_studio() -> list[Any]:
    return [
        {
            "data": {"image": f"/data/local-files/?d={PATHS[n]}"},
            "annotations": [{"id": n, "result": [{"value": {"choices": [group]}}]}],
        }
        for n, group in enumerate(["cat", "dog", "cat"])
    ]


def labels_min() -> list[Any]:
    return [{"image": PATHS[n], "choice": "cat", "id": n, "annotator": 1} for n in range(4)]


# (ending, records, how they are written, whether a run brings it)
KINDS: dict[str, tuple[str, Callable[[], list[Any]], Callable[[list[Any]], bytes], bool]] = {
    "questions filled in": (".jsonl", questions_filled, lines, False),
    "lines": (".jsonl", short_lines, lines, False),
    "an export": (".jsonl", exported, lines, False),
    "a table of answers": (".csv", short_lines, table, False),
    "Label Studio": (".json", studio, whole, False),
    "JSON-MIN": (".json", studio_min, whole, False),
    "labels": (".csv", labels_table, table, True),
    "labels by Label Studio": (".json", labels_studio, whole, True),
    "labels by JSON-MIN": (".json", labels_min, whole, True),
}

# -- what becomes of them ------------------------------------------------------------------------

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from(
        [2**31, 2**53, 2**63, -(2**70), 10**400, 1e308, float("nan"), float("inf"), -0.0, 0.5, 2.0]
    ),
    st.sampled_from(
        ["", " ", "2", "2.0", "-1", "٢", "²", "--2", "+1", "1e3", "0x1", "None", "SAME", "nan"]
    ),
    st.sampled_from(["\ud800", "a\x00b", "a\u2028b", "\u202e", "x" * 5000, "\n", "e\u0301", "ﬁ"]),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([[["a"]]]),
    st.just({"choices": ["same", "cat"]}),
    st.just({"id": None, "email": ["a"]}),
    st.lists(st.integers(-1, 3), max_size=3),
)
ENCODINGS = (
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "latin-1",
    "cp1252",
    "cp037",
)


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """Where the values of ``tree`` are."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


def change(draw: st.DrawFn, records: list[Any]) -> list[Any]:
    """Swap, drop or double a value somewhere."""
    where = draw(st.sampled_from(places(records) or [()]))
    if not where:
        return records
    holder: Any = records
    for key in where[:-1]:
        holder = holder[key]
    deed = draw(st.sampled_from(["swap", "swap", "swap", "drop", "double", "rename"]))
    if deed == "drop":
        del holder[where[-1]]
    elif deed == "double" and isinstance(holder, list):
        holder.insert(0, copy.deepcopy(holder[where[-1]]))
    elif deed == "rename" and isinstance(holder, dict):
        name = draw(st.sampled_from(["answer", "data", "round", "group", "choice", "path", "x"]))
        holder[name] = holder.pop(where[-1])
    else:
        # A copy: what was put there may be changed next.
        holder[where[-1]] = copy.deepcopy(draw(ODD))
    return records


def damage(draw: st.DrawFn, content: bytes) -> bytes:
    """Flip, cut, put in or write otherwise."""
    at = draw(st.integers(0, max(0, len(content) - 1)))
    deed = draw(st.sampled_from(["flip", "cut", "insert", "repeat", "encode", "ends", "none"]))
    if deed == "flip" and content:
        return content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
    if deed == "cut":
        return content[:at]
    if deed == "insert":
        return content[:at] + draw(st.binary(max_size=6)) + content[at:]
    if deed == "repeat":
        return content[:at] + content
    if deed == "encode":
        text = content.decode("utf-8", "replace")
        return text.encode(draw(st.sampled_from(ENCODINGS)), "replace")
    if deed == "ends":
        ends = draw(st.sampled_from([b"\r\n", b"\r", b"\n\n", b";\n", b",\n"]))
        return content.replace(b"\n", ends)
    return content


@st.composite
def files(draw: st.DrawFn, kind: str) -> bytes:
    """A file of ``kind`` to which something happened, once or a few times."""
    _, make, write, _ = KINDS[kind]
    records = make()
    for _ in range(draw(st.integers(0, 3))):
        records = change(draw, records)
    try:
        content = write(records)
    except (UnicodeEncodeError, ValueError, TypeError, AttributeError):
        # Nobody can write that as it is: as other programs escape it.
        content = json.dumps(records).encode()
    for _ in range(draw(st.integers(0, 2))):
        content = damage(draw, content)
    return content


# -- what must not come of it --------------------------------------------------------------------
