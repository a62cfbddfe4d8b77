"""Files of answers, damaged and odd in every way: taken for what they say, or refused in one line.

Never a traceback, a hang, or an answer that nobody gave. ``IDC_JAX_FUZZ=1000`` tries so many files
of each kind that a run, or ``--config.answers``, reads.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from limits import within

from idc_jax.annotate import SKIP, Questions, Row, Store, label_questions, pair_questions
from idc_jax.annotate.exchange import import_file
from idc_jax.annotate.label_studio import tasks_of
from idc_jax.annotate.naming import MAX_GROUP
from idc_jax.annotate.questions import DIFFERENT, NONE_OF_THESE, SAME, plain_roles
from idc_jax.annotate.records import answer_records, question_records
from idc_jax.annotate.samples import Samples
from idc_jax.data.base import Dataset
from idc_jax.data.identity import digests
from idc_jax.errors import UserError
from idc_jax.runs.bringing import bring
from idc_jax.runs.sources import write_samples

EXAMPLES = int(os.environ.get("IDC_JAX_FUZZ", "20"))
SECONDS = 20
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="IDC_JAX_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
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


def take(store: Store, path: Path, *, brought: bool) -> str | None:
    """Read ``path`` into ``store``; the line by which it was refused, or None."""
    try:
        with within(SECONDS):
            if brought:
                bring(store, DATA, digests(X), str(path), max_groups=9).told(str(path)).encode()
            else:
                import_file(store, path, max_groups=9)
    except UserError as error:
        return str(error)
    return None


def check(path: Path, *, brought: bool) -> None:
    with Store(path.parent / "answers.db") as store:
        for questions in () if brought else rounds():
            store.freeze(questions)
        refused = take(store, path, brought=brought)
        if refused is not None:
            assert refused.strip()
            assert len(refused.splitlines()) == 1, refused
            assert len(refused) < 700, refused
            refused.encode()
            assert store.rows() == ()
            assert store.groups() == ()
            return
        check_answers(store)
        rows = store.rows()
        # The same file again says nothing new.
        assert take(store, path, brought=brought) is None
        assert store.rows() == rows


def check_answers(store: Store) -> None:
    """Every answer is one to its question, by somebody with a name."""
    groups = {group.id: group.name for group in store.groups()}
    for name in groups.values():
        assert name == " ".join(name.split()) != ""
        assert name.isprintable()
        name.encode()
    for row in store.rows():
        questions = store.questions(row.round)
        assert questions is not None
        assert 0 <= row.position < questions.count
        assert row.annotator.strip()
        row.annotator.encode()
        assert np.isfinite([row.seconds, row.time]).all()
        allowed = {
            "pair": (SAME, DIFFERENT, SKIP),
            "cluster": (NONE_OF_THESE, SKIP, *questions.candidates[row.position].tolist()),
            "label": (SKIP, *range(10), *groups),
        }[questions.kind]
        numbered = questions.kind == "label" and 0 <= row.choice <= MAX_GROUP
        assert row.undoes is not None or numbered or row.choice in allowed


@pytest.mark.parametrize("kind", KINDS)
def test_valid_files_are_taken(kind: str, tmp_path: Path) -> None:
    ending, make, write, brought = KINDS[kind]
    path = tmp_path / f"answers{ending}"
    path.write_bytes(write(make()))
    check(path, brought=brought)
    with Store(tmp_path / "answers.db") as store:
        assert sum(len(store.live(number)) for number in store.rounds()) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_taken_or_refused_in_one_line(kind: str) -> None:
    ending, _, _, brought = KINDS[kind]

    @FUZZ
    @given(files(kind))
    def each(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"answers{ending}"
            path.write_bytes(content)
            check(path, brought=brought)

    each()


@FUZZ
@given(
    labels=st.one_of(
        st.lists(st.integers(-2, 4), min_size=12, max_size=12),
        st.lists(st.floats(width=32), max_size=12),
        st.lists(st.text(max_size=3), min_size=12, max_size=12),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=12, max_size=12),
    ),
    ids=st.one_of(st.none(), st.just(list(PATHS)), st.lists(st.integers(-2, 14), max_size=12)),
    at=st.integers(0, 700),
    flip=st.integers(0, 255),
    cut=st.booleans(),
)
@example(labels=[0.0, float("nan")] * 6, ids=None, at=0, flip=0, cut=False)
def test_arrays_are_taken_or_refused_in_one_line(
    labels: list, ids: list | None, at: int, flip: int, cut: bool
) -> None:
    arrays = {"labels": np.asarray(labels)} | ({} if ids is None else {"ids": np.asarray(ids)})
    content = io.BytesIO()
    np.savez(content, **arrays)
    written = bytearray(content.getvalue())
    if flip and at < len(written):
        written[at] ^= flip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npz"
        path.write_bytes(written[:at] if cut else written)
        check(path, brought=True)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_samples(folder, Samples(PATHS, digests(X)))
    with Store(folder / "answers.db") as store:
        for questions in rounds():
            store.freeze(questions)
        store.add(Row(f"a{n}", 1, n, "Ann", n % 2) for n in range(4))
        store.add([Row("u", 1, 0, "Ann", 0, undoes="a0"), Row("p", 2, 1, "Ann", SAME)])
        store.name_group("k", "cat", 0)
    # One file, without what SQLite keeps beside it.
    with Store(folder / "answers.db") as store:
        store._db.execute("PRAGMA journal_mode=DELETE")
    return folder


def test_a_damaged_run_is_taken_or_refused_in_one_line(run_folder: Path) -> None:
    @FUZZ
    @given(
        file=st.sampled_from(["answers.db", "samples.npz"]),
        at=st.floats(0, 1, exclude_max=True),
        noise=st.binary(max_size=40),
        cut=st.booleans(),
    )
    @example(file="samples.npz", at=0.0, noise=b"", cut=True)
    @example(file="samples.npz", at=0.705078125, noise=b"\x02", cut=False)
    @example(file="answers.db", at=0.078125, noise=b"\x80", cut=False)
    @example(file="answers.db", at=0.39513519409491266, noise=bytes(4), cut=False)
    def each(file: str, at: float, noise: bytes, cut: bool) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = shutil.copytree(run_folder, Path(place) / "run")
            content = (folder / file).read_bytes()
            start = int(at * len(content))
            rest = b"" if cut else content[start + len(noise) :]
            (folder / file).write_bytes(content[:start] + noise + rest)
            check(folder, brought=True)

    each()
