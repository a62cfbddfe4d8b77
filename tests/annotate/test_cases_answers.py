"""Files of answers as people and their tools write them: corrected, renamed, in any encoding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from idc_jax.annotate import (
    DIFFERENT,
    NONE_OF_THESE,
    SAME,
    SKIP,
    Row,
    Store,
    collect,
    label_questions,
    pair_questions,
)
from idc_jax.annotate.exchange import import_file
from idc_jax.annotate.file import AnswersPendingError, from_file
from idc_jax.annotate.label_studio import tasks_of
from idc_jax.annotate.questions import Questions
from idc_jax.annotate.records import answer_records, export_answers, write_jsonl
from idc_jax.errors import UserError


def labels(count: int, round_: int = 1) -> Questions:
    return label_questions(round_, np.arange(count) + 10 * round_, np.zeros(count))


def pairs(count: int) -> Questions:
    return pair_questions(1, np.arange(2 * count).reshape(count, 2), np.zeros(count))


def put(path: Path, answers: dict[int, object] | list, *, encoding: str = "utf-8") -> Path:
    """Write answers by position, or whole records, as JSON Lines."""
    if isinstance(answers, dict):
        answers = [{"round": 1, "position": p, "answer": a} for p, a in answers.items()]
    path.write_bytes("".join(json.dumps(one) + "\n" for one in answers).encode(encoding))
    return path


def said(store: Store, round_: int = 1) -> dict[int, object]:
    """What counts, by position; groups by their names."""
    names = {group.id: group.name for group in store.groups()}
    return {row.position: names.get(row.choice, row.choice) for row in store.live(round_)}


# -- groups ------------------------------------------------------------------------------------


def test_a_mended_typing_error_is_mended(tmp_path: Path, store: Store) -> None:
    store.freeze(labels(4))
    answers: dict[int, object] = {0: "cat", 1: "dog", 2: "brid", 3: "bird"}
    path = put(tmp_path / "answers.jsonl", answers)
    with pytest.raises(UserError, match=r"4 groups \(bird, brid, cat, dog\); the most is 3"):
        import_file(store, path, max_groups=3)
    assert store.groups() == ()
    assert store.rows() == ()
    put(path, answers | {2: "bird"})
    import_file(store, path, max_groups=3)
    assert said(store) == answers | {2: "bird"}


def test_a_typing_error_that_was_taken_gives_its_place_back(tmp_path: Path, store: Store) -> None:
    store.freeze(labels(4))
    path = put(tmp_path / "answers.jsonl", {0: "cat", 1: "dog", 2: "brid"})
    import_file(store, path, max_groups=3)
    put(path, {0: "cat", 1: "dog", 2: "bird"})
    import_file(store, path, max_groups=3)
    assert said(store) == {0: "cat", 1: "dog", 2: "bird"}
    # And on the page: what nobody means any more takes nobody's place.
    with pytest.raises(UserError, match="3 groups already; the most is 3"):
        store.name_group("k", "lion", 0, limit=3)
    assert store.name_group("k", "lion", 0, limit=4).name == "lion"


@pytest.mark.parametrize("written", ["Cat", " cat", "CAT\n", "cat", "\u2002cat\u2028", "ｃａｔ"])
def test_case_and_space_make_no_group(tmp_path: Path, store: Store, written: str) -> None:
    store.freeze(labels(3))
    import_file(store, put(tmp_path / "a.jsonl", {0: "cat", 1: written, 2: "dog"}), max_groups=2)
    assert said(store) == {0: "cat", 1: "cat", 2: "dog"}
    assert store.name_group("page", written, 0, limit=2).id == 0


def test_accents_are_the_same_however_they_are_encoded(tmp_path: Path, store: Store) -> None:
    store.freeze(labels(2))
    import_file(store, put(tmp_path / "a.jsonl", {0: "café", 1: "cafe\u0301"}), max_groups=1)
    assert len(store.groups()) == 1


@pytest.mark.parametrize("answers", [{0: 0, 1: "cat"}, {0: "cat", 1: 0}, {0: "cat", 1: "0"}])
def test_a_number_and_a_name_are_two_groups(
    tmp_path: Path, store: Store, answers: dict[int, object]
) -> None:
    store.freeze(labels(2))
    path = put(tmp_path / "answers.jsonl", answers)
    import_file(store, path, max_groups=4)
    first, second = (row.choice for row in store.live(1))
    assert first != second
    assert import_file(store, path, max_groups=4) == 0


def test_a_number_that_is_a_groups_is_told(tmp_path: Path, store: Store) -> None:
    store.freeze(labels(2))
    path = put(tmp_path / "answers.jsonl", {0: "cat"})
    import_file(store, path, max_groups=4)
    put(path, {0: "cat", 1: 0})
    with pytest.raises(UserError, match="0 is the id of the group 'cat', and both are answers"):
        import_file(store, path, max_groups=4)
    assert said(store) == {0: "cat"}


def test_a_class_is_called_by_its_name_or_its_number(tmp_path: Path, store: Store) -> None:
    store.freeze(labels(4))
    path = put(tmp_path / "a.jsonl", {0: "Dog", 1: 1, 2: "lion", 3: "cat"})
    import_file(store, path, max_groups=4, class_names=("cat", "dog"))
    assert [row.choice for row in store.live(1)] == [1, 1, 2, 0]


@pytest.mark.parametrize("id_", [2_000_000_000, 1 << 20, -1, 10**30, "2000000000"])
def test_an_id_beyond_all_groups_is_told(tmp_path: Path, store: Store, id_: object) -> None:
    store.freeze(labels(1))
    with pytest.raises(UserError, match=r"is not an answer; .* a class id up to 1048575"):
        import_file(store, put(tmp_path / "a.jsonl", {0: id_}), max_groups=4)


# -- corrections -------------------------------------------------------------------------------


def test_answers_of_a_file_may_change_and_change_back(tmp_path: Path, store: Store) -> None:
    store.freeze(labels(2))
    path = tmp_path / "answers.jsonl"
    for first in ("cat", "dog", "cat", "skip", "cat"):
        import_file(store, put(path, {0: first, 1: "dog"}), max_groups=2)
        assert said(store) == {0: SKIP if first == "skip" else first, 1: "dog"}
        assert import_file(store, path, max_groups=2) == 0


def test_the_last_line_about_a_question_counts(tmp_path: Path, store: Store) -> None:
    store.freeze(pairs(1))
    lines = [{"round": 1, "position": 0, "answer": a} for a in ("same", "different", "same")]
    path = put(tmp_path / "answers.jsonl", [*lines, lines[1]])
    import_file(store, path)
    assert said(store) == {0: DIFFERENT}
    assert import_file(store, path) == 0


def test_an_export_that_was_edited_counts(tmp_path: Path, store: Store) -> None:
    store.freeze(pairs(2))
    store.add([Row("a", 1, 0, "Ann", SAME), Row("b", 1, 1, "Ann", SAME)])
    path = tmp_path / "answers.jsonl"
    write_jsonl(path, answer_records(store))
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    put(path, [first | {"answer": "different"}, second])
    assert import_file(store, path) == 1
    assert said(store) == {0: DIFFERENT, 1: SAME}
    assert import_file(store, path) == 0


def test_one_client_id_for_all_lines_loses_none(tmp_path: Path, store: Store) -> None:
    store.freeze(pairs(3))
    lines = [{"client_id": "me", "round": 1, "position": p, "answer": "same"} for p in range(3)]
    path = put(tmp_path / "answers.jsonl", lines)
    import_file(store, path)
    assert said(store) == {0: SAME, 1: SAME, 2: SAME}
    assert import_file(store, path) == 0


# -- Label Studio ------------------------------------------------------------------------------


def studio(path: Path, tasks: list, *said: object, **fields: object) -> Path:
    """An export in which ``said`` was chosen for the tasks, None for no annotation."""
    done = []
    for number, (task, choice) in enumerate(zip(tasks, said, strict=True), start=10):
        value = choice if isinstance(choice, dict) else {"choices": [choice]}
        result = [] if choice == "" else [{"from_name": "answer", "value": value}]
        annotation = {"id": number, "result": result, "completed_by": 1, **fields}
        done.append(task | {"annotations": [] if choice is None else [annotation]})
    path.write_text(json.dumps(done))
    return path


def test_a_later_export_corrects_and_takes_back(tmp_path: Path, store: Store) -> None:
    questions = store.freeze(pairs(3))
    tasks, path = tasks_of(questions, ()), tmp_path / "export.json"
    import_file(store, studio(path, tasks, "same", "same", "different"))
    assert said(store) == {0: SAME, 1: SAME, 2: DIFFERENT}
    assert import_file(store, studio(path, tasks, "different", None, "different")) == 2
    assert said(store) == {0: DIFFERENT, 2: DIFFERENT}
    # A task without annotations may not be exported at all; and it may be annotated again.
    import_file(store, studio(path, tasks[:2], "same", "same"))
    assert said(store) == {0: SAME, 1: SAME}
    assert import_file(store, path) == 0


def test_another_projects_export_takes_nothing_back(tmp_path: Path, store: Store) -> None:
    tasks = tasks_of(store.freeze(pairs(2)), ())
    import_file(store, studio(tmp_path / "a.json", tasks[:1], "same", project=1))
    import_file(store, studio(tmp_path / "b.json", tasks[1:], "different", project=2))
    assert said(store) == {0: SAME, 1: DIFFERENT}
    import_file(store, studio(tmp_path / "b.json", tasks[1:], None, project=2))
    assert said(store) == {0: SAME, 1: DIFFERENT}  # which project is not said any more
    import_file(store, studio(tmp_path / "b.json", [tasks[1] | {"project": 2}], None))
    assert said(store) == {0: SAME}


def test_the_newest_annotation_of_a_person_counts(tmp_path: Path, store: Store) -> None:
    (task,) = tasks_of(store.freeze(pairs(1)), ())

    def annotation(id_: int, choice: str, day: int) -> dict:
        result = [{"value": {"choices": [choice]}}]
        return {"id": id_, "result": result, "updated_at": f"2025-01-{day:02}T10:00:00Z"}

    both = [annotation(2, "same", 9), annotation(1, "different", 3)]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task | {"annotations": both}]))
    import_file(store, path)
    assert said(store) == {0: SAME}


@pytest.mark.parametrize(
    ("choice", "fields", "meant"),
    [
        ("same", {"was_cancelled": True}, SKIP),
        ("", {"was_cancelled": True}, SKIP),
        ("", {}, SKIP),
        ({"text": "same"}, {}, SAME),
        ({"text": [" Same "]}, {}, SAME),
        ({"choices": "different"}, {}, DIFFERENT),
    ],
)
def test_what_an_annotation_may_look_like(
    tmp_path: Path, store: Store, choice: object, fields: dict, meant: int
) -> None:
    tasks = tasks_of(store.freeze(pairs(1)), ())
    import_file(store, studio(tmp_path / "export.json", tasks, choice, **fields))
    assert said(store) == {0: meant}


def test_a_cancelled_round_is_over(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "export.json"
    annotator = from_file(path, directory=tmp_path)
    with pytest.raises(AnswersPendingError):
        collect(store, pairs(2), annotator)
    studio(path, tasks_of(pairs(2), ()), "same", "", was_cancelled=True)
    assert collect(store, pairs(2), annotator).choice.tolist() == [SKIP, SKIP]


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"choices": ["same", "different"]}, "2 answers"),
        ({"rectanglelabels": ["same"]}, "neither choices nor text"),
        ({"choices": [{"a": 1}]}, "is not an answer"),
        ({"text": 7}, "7 is not an answer"),
    ],
)
def test_an_annotation_that_says_nothing_is_told(
    tmp_path: Path, store: Store, choice: object, reason: str
) -> None:
    tasks = tasks_of(store.freeze(pairs(1)), ())
    with pytest.raises(UserError, match=reason) as told:
        import_file(store, studio(tmp_path / "export.json", tasks, choice))
    assert "task 0" in str(told.value)


def test_json_min(tmp_path: Path, store: Store) -> None:
    tasks = tasks_of(store.freeze(pairs(3)), ())
    flat = [
        task["data"] | {"id": n, "annotation_id": n + 7, "annotator": 4}
        for n, task in enumerate(tasks)
    ]
    path = tmp_path / "min.JSON"
    path.write_text(
        json.dumps([flat[0] | {"answer": "same"}, flat[1] | {"answer": ["skip"]}, flat[2]])
    )
    import_file(store, path)
    assert said(store) == {0: SAME, 1: SKIP}
    path.write_text(json.dumps([flat[0] | {"answer": "different"}, flat[1], flat[2]]))
    import_file(store, path)
    assert said(store) == {0: DIFFERENT}


# -- how files are written ---------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv"])
def test_encodings(tmp_path: Path, store: Store, encoding: str, ending: str) -> None:
    questions = store.freeze(labels(2))
    path = tmp_path / f"answers{ending}"
    if ending == ".jsonl":
        put(path, {0: "käse", 1: "brot"}, encoding=encoding)
    elif ending == ".json":
        studio(path, tasks_of(questions, ()), {"text": "käse"}, {"text": "brot"})
        path.write_bytes(path.read_text().encode(encoding))
    else:
        text = "round;position;answer\r\n1;0;käse\r\n1;1;brot\r\n"
        path.write_bytes(text.encode(encoding))
    import_file(store, path, max_groups=2)
    assert said(store) == {0: "käse", 1: "brot"}


@pytest.mark.parametrize("field", ["answer", "annotator", "client_id"])
def test_half_a_character_is_told_and_nothing_is_taken(
    tmp_path: Path, store: Store, field: str
) -> None:
    store.freeze(labels(2))
    whole = {"round": 1, "position": 0, "answer": "cat \U0001f408", "annotator": "ann"}
    half = {"round": 1, "position": 1, "answer": "dog", field: "x\ud800"}
    with pytest.raises(UserError, match=r"line 2: holds \\ud800, half of a character"):
        import_file(store, put(tmp_path / "answers.jsonl", [whole, half]), max_groups=5)
    assert said(store) == {}
    import_file(store, put(tmp_path / "answers.jsonl", [whole]), max_groups=5)
    assert said(store) == {0: "cat \U0001f408"}


@pytest.mark.parametrize("written", [2, 2.0, "2", " 2", "2.0"])
def test_numbers_however_they_are_written(
    tmp_path: Path, store: Store, cluster_questions, written: object
) -> None:
    store.freeze(cluster_questions([7]))
    record = {"round": "1", "position": 0.0, "answer": written}
    import_file(store, put(tmp_path / "answers.jsonl", [record]))
    assert said(store) == {0: 2}


@pytest.mark.parametrize("written", ["None", " NONE ", "none"])
def test_words_however_they_are_written(
    tmp_path: Path, store: Store, cluster_questions, written: str
) -> None:
    store.freeze(cluster_questions([7]))
    import_file(store, put(tmp_path / "answers.jsonl", {0: written}))
    assert said(store) == {0: NONE_OF_THESE}


def test_a_name_with_a_separator_of_lines(tmp_path: Path, store: Store) -> None:
    store.freeze(labels(1))
    path = tmp_path / "answers.jsonl"
    record = {"round": 1, "position": 0, "answer": "a\u2028b", "annotator": "Ann\u2029B"}
    path.write_text(json.dumps(record, ensure_ascii=False) + "\r\n")
    import_file(store, path, max_groups=1)
    assert said(store) == {0: "a b"}
    assert store.rows()[0].annotator == "Ann B"


def test_the_home_folder(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "answers.jsonl", {0: "same"})
    annotator = from_file("~/answers.jsonl", directory=tmp_path)
    assert collect(store, pairs(1), annotator).choice.tolist() == [SAME]


# -- nothing is written over -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["questions_round_1.jsonl", "label_studio_round_1.json"])
def test_a_file_that_holds_answers_is_never_written_over(
    tmp_path: Path, store: Store, name: str
) -> None:
    path = tmp_path / name
    annotator = from_file(path, directory=tmp_path)
    with pytest.raises(AnswersPendingError, match="2 of 2"):
        collect(store, pairs(2), annotator)
    if path.suffix == ".json":
        studio(path, json.loads(path.read_text()), "same", None)
    else:
        first, second = (json.loads(line) for line in path.read_text().splitlines())
        put(path, [first | {"answer": "same"}, second])
    before = path.read_bytes()
    with pytest.raises(AnswersPendingError, match="1 of 2"):
        collect(store, pairs(2), annotator)
    assert path.read_bytes() == before
    assert said(store) == {0: SAME}
    # Nor by a run whose answers come from elsewhere.
    with pytest.raises(AnswersPendingError, match="1 of 2"):
        collect(store, pairs(2), from_file(tmp_path / "none.jsonl", directory=tmp_path))
    assert path.read_bytes() == before


def test_an_export_goes_over_an_export_alone(tmp_path: Path, store: Store) -> None:
    store.freeze(pairs(2))
    store.add([Row("a", 1, 0, "Ann", SAME)])
    path = tmp_path / "answers.jsonl"
    export_answers(store, path)
    store.add([Row("b", 1, 1, "Ann", SAME)])
    export_answers(store, path)
    assert len(path.read_text().splitlines()) == 2
    put(path, {0: "different"})
    before = path.read_bytes()
    export_answers(store, path)
    assert path.read_bytes() == before
