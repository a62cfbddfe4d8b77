import json

import numpy as np
import pytest

from idc_jax.annotate import (
    DIFFERENT,
    NONE_OF_THESE,
    SKIP,
    Row,
    Store,
    collect,
    label_questions,
    pair_questions,
)
from idc_jax.annotate.exchange import import_answers, import_label_studio
from idc_jax.annotate.file import AnswersPendingError, from_file
from idc_jax.annotate.label_studio import tasks_of
from idc_jax.annotate.records import answer_records, write_jsonl
from idc_jax.errors import UserError

NAMES = tuple(f"images/{i}.png" for i in range(10))


def write(path, *records):
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    return path


def test_export_and_import_keep_everything(tmp_path, store, cluster_questions):
    questions = cluster_questions([7, 8])
    store.freeze(questions)
    store.add(
        [
            Row("a", 1, 0, "ann", 2, 1.5, time=5.0),
            Row("b", 1, 1, "ann", NONE_OF_THESE, time=6.0),
            Row("c", 1, 1, "ann", 0, undoes="b", time=7.0),
            Row("d", 1, 1, "bob", SKIP, time=8.0),
        ]
    )
    write_jsonl(tmp_path / "answers.jsonl", answer_records(store))
    with Store(tmp_path / "other.db") as other:
        other.freeze(questions)
        assert import_answers(other, tmp_path / "answers.jsonl") == 4
        assert other.rows() == store.rows()
        assert import_answers(other, tmp_path / "answers.jsonl") == 0


def test_a_file_round_trip(tmp_path, store, cluster_questions):
    questions = cluster_questions([7, 8, 9])
    path = tmp_path / "given.jsonl"
    annotator = from_file(path, directory=tmp_path / "out", names=NAMES)
    with pytest.raises(AnswersPendingError, match="3 of 3 answers are missing"):
        collect(store, questions, annotator)
    asked = [
        json.loads(line)
        for line in (tmp_path / "out" / "questions_round_1.jsonl").read_text().splitlines()
    ]
    assert [record["samples"] for record in asked] == [
        [{"index": i, "name": f"images/{i}.png"}] for i in (7, 8, 9)
    ]
    assert asked[0]["answers"] == ["none", "skip", 0, 1, 2]
    write(path, {"round": 1, "position": 1, "answer": "none"})
    with pytest.raises(AnswersPendingError, match="2 of 3"):
        collect(store, questions, annotator)
    write(
        path,
        {"round": 1, "position": 1, "answer": "none"},
        {"round": 1, "position": 0, "answer": 2},
        {"round": 1, "position": 2, "answer": "skip"},
    )
    assert collect(store, questions, annotator).choice.tolist() == [2, NONE_OF_THESE, SKIP]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: expected an object"),
        ('{"round": 1, "position": 0}', "None is not an answer"),
        (
            '{"round": 1, "position": 0, "answer": 3}',
            "3 is not an answer; choose one of none, skip",
        ),
        ('{"round": 1, "position": 0, "answer": true}', "True is not an answer"),
        ('{"round": 1, "position": 0, "answer": "cat"}', "'cat' is not an answer"),
        ('{"round": 1, "position": 7, "answer": 1}', "round 1 has no question 7"),
        ('{"round": 2, "position": 0, "answer": 1}', "round 2 has no question 0"),
        ('{"round": "one", "position": 0, "answer": 1}', "'round' must be a whole number"),
        ('{"round": 1, "position": 0, "answer": 1, "seconds": "x"}', "'seconds' must be a number"),
        ('{"round": 1, "position": 0, "answer": 1, "seconds": NaN}', "'seconds' must be a number"),
    ],
)
def test_wrong_lines_name_themselves_and_change_nothing(
    tmp_path, store, cluster_questions, line, reason
):
    store.freeze(cluster_questions([7, 8]))
    path = tmp_path / "answers.jsonl"
    path.write_text(line + '\n{"round": 1, "position": 1, "answer": 1}\n')
    with pytest.raises(UserError) as raised:
        import_answers(store, path)
    assert reason in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.rows() == ()


def test_a_missing_or_binary_file(tmp_path, store):
    with pytest.raises(UserError, match="No such file"):
        import_answers(store, tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(UserError, match="not a text file"):
        import_answers(store, tmp_path / "binary")


def test_labels_by_name_get_ids_on_first_sight(tmp_path, store):
    questions = label_questions(1, np.asarray([5, 6, 7]), np.zeros(3))
    path = tmp_path / "answers.jsonl"
    records = [
        {"round": 1, "position": i, "answer": name} for i, name in enumerate(("cat", "dog", "cat"))
    ]
    write(path, *records)
    annotator = from_file(path, directory=tmp_path, max_groups=2)
    assert collect(store, questions, annotator).choice.tolist() == [0, 1, 0]
    assert [(group.name, group.exemplar) for group in store.groups()] == [("cat", 5), ("dog", 6)]


def test_too_many_names(tmp_path, store):
    store.freeze(label_questions(1, np.asarray([5, 6]), np.zeros(2)))
    path = write(
        tmp_path / "answers.jsonl",
        {"round": 1, "position": 0, "answer": "cat"},
        {"round": 1, "position": 1, "answer": "dog"},
    )
    with pytest.raises(UserError, match="the most is 1"):
        import_answers(store, path, max_groups=1)
    assert store.rows() == ()


def annotated(task, choice, **fields):
    result = [{"from_name": "answer", "type": "choices", "value": {"choices": [choice]}}]
    return task | {"annotations": [{"id": 1, "result": result, **fields}]}


def test_label_studio_there_and_back(tmp_path, store):
    questions = pair_questions(1, np.asarray([[1, 2], [3, 4]]), np.zeros(2))
    store.freeze(questions)
    tasks = tasks_of(questions, NAMES)
    assert tasks[0]["data"]["image"] == "images/1.png"
    assert tasks[0]["data"]["other_image"] == "images/2.png"
    assert [option["value"] for option in tasks[0]["data"]["options"]] == [
        "same",
        "different",
        "skip",
    ]
    path = tmp_path / "export.json"
    done = [
        annotated(tasks[0], "different", completed_by=3, lead_time=2.5),
        annotated(tasks[1], "same", was_cancelled=True),
    ]
    path.write_text(json.dumps(done))
    assert import_label_studio(store, path) == 2
    assert import_label_studio(store, path) == 0
    row, skipped = store.live(1)
    assert (row.position, row.choice, row.annotator) == (0, DIFFERENT, "label-studio-3")
    assert row.seconds == 2.5
    assert (skipped.position, skipped.choice) == (1, SKIP)


def test_label_studio_answers_cluster_questions(tmp_path, store, cluster_questions):
    questions = cluster_questions([7, 8])
    tasks = tasks_of(questions, NAMES)
    assert tasks[0]["data"]["candidates"] == "0 = images/0.png; 1 = images/1.png; 2 = images/2.png"
    path = tmp_path / "export.json"
    path.write_text(json.dumps([annotated(tasks[0], "2"), annotated(tasks[1], "none")]))
    annotator = from_file(path, directory=tmp_path, names=NAMES)
    assert collect(store, questions, annotator).choice.tolist() == [2, NONE_OF_THESE]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("{}", "expected a list of tasks"),
        ('[{"data": {}}]', "task 0: not as exported"),
        ("[1]", "task 0: not as exported"),
    ],
)
def test_a_wrong_label_studio_file(tmp_path, store, content, reason):
    path = tmp_path / "export.json"
    path.write_text(content)
    with pytest.raises(UserError, match=reason):
        import_label_studio(store, path)


@pytest.mark.parametrize(("classes", "wanted"), [((), 0), (("plane", "ship"), 1)], ids=str)
def test_a_name_is_one_group_whatever_the_case(tmp_path, store, classes, wanted):
    store.freeze(label_questions(1, np.arange(4), np.zeros(4)))
    said = ("ship", "SHIP", " Ship ", "ｓｈｉｐ")
    lines = [{"round": 1, "position": i, "answer": name} for i, name in enumerate(said)]
    import_answers(store, write(tmp_path / "a.jsonl", *lines), max_groups=2, class_names=classes)
    assert [row.choice for row in store.live(1)] == [wanted] * 4
    assert len(store.groups()) == 1


def test_a_file_that_is_read_again_renames_nothing(tmp_path, store):
    store.freeze(label_questions(1, np.arange(3), np.zeros(3)))
    lines = [{"round": 1, "position": i, "answer": name} for i, name in enumerate(("cat", "dog"))]
    path = write(tmp_path / "a.jsonl", *lines)
    import_answers(store, path, max_groups=4)
    store.name_group("name:cat", "tiger", -1)  # by a person
    assert import_answers(store, path, max_groups=4) == 0
    assert [group.name for group in store.groups()] == ["tiger", "dog"]
    # Another group is called so by now: then that one is meant.
    store.name_group("name:dog", "cat", -1)
    assert import_answers(store, path, max_groups=4) == 1
    assert [row.choice for row in store.live(1)] == [1, 1]
