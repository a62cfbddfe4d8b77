"""The widget of a session, as the kernel drives it: what is heard, kept, learned and told."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idc_jax import Session
from idc_jax.annotate.questions import NONE_OF_THESE, SAME, SKIP
from idc_jax.errors import UserError

pytest.importorskip("anywidget", reason="the widget was not tried: `pip install anywidget`")

N, C = 60, 3
LABELS = np.repeat(np.arange(C), N // C)
NAMES = ("cat", "dog", "ship")
QUICK = {
    "graph_committee": {"graph_committee.steps": 30},
    "idc": {"idc.head_steps": 10, "finetune.min_steps": 10, "finetune.epochs": 2},
    "pcl": {"pcl_training.block_size": 30, "pcl_training.epochs": 1},
}


def make_blobs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (3 * np.eye(C, 6)[LABELS] + rng.normal(size=(N, 6))).astype(np.float32)


def begin(method: str = "graph_committee", data: Any = None, **given: Any) -> Session:
    data = make_blobs() if data is None else data
    return Session(data, C, method=method, options=QUICK[method], **given)


class Browser:
    """The other end of a widget: says what a person does, and hears what it is sent."""

    def __init__(self, widget: Any) -> None:
        self.widget, self.sent = widget, 0
        self.state = {name: widget.get_state()[name] for name in ("standing", "questions")}
        self.phases: list[str] = []
        self.losses: list[float] = []
        self.pictures: dict[str, str] = {}
        widget.comm.publish_msg = self._hear

    def _hear(self, kind: str, data: Any, **_: Any) -> None:
        if kind == "comm_close":
            return
        if data["method"] == "update":
            self.state.update(data["state"])
            self.phases.append(self.standing["phase"])
            self.losses += self.standing["losses"][-1:]
        else:
            self.pictures.update(data["content"]["pictures"])

    @property
    def standing(self) -> dict[str, Any]:
        return self.state["standing"]

    def message(self, content: Any) -> None:
        data = {"method": "custom", "content": content}
        self.widget._handle_msg({"content": {"data": data}, "buffers": []})

    def say(self, kind: str, **body: Any) -> str:
        self.sent += 1
        client = f"c{self.sent}"
        self.message({"kind": kind, "body": {"client_id": client, **body}})
        return client

    def answer(self, position: int, answer: Any = None, group: str = "") -> str:
        said: dict[str, Any] = {"answer": answer}
        if group:
            said = {"group": {"key": f"key of {group}", "name": group}}
        return self.say(
            "answer", round=self.standing["round"], position=position, seconds=1.5, **said
        )

    def answer_all(self, choose: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        for question in self.state["questions"]:
            self.answer(question["position"], **choose(question))

    def learn(self) -> None:
        self.say("learn", round=self.standing["round"])

    def refusals(self) -> list[str]:
        return [reason for _, reason in self.standing["refused"]]


def name_of(question: dict[str, Any]) -> dict[str, Any]:
    return {"group": NAMES[LABELS[question["samples"][0]["index"]]]}


def raising(error: BaseException) -> Callable[[Any], None]:
    def fail(_: Any) -> None:
        raise error

    return fail


@pytest.fixture
def session() -> Session:
    return begin()


@pytest.fixture
def browser(session: Session) -> Browser:
    return Browser(session.widget(per_round=4))


def rows(session: Session) -> list[tuple[int, int, int]]:
    return [(row.round, row.position, row.choice) for row in session._book.store.rows()]


def test_named_groups_are_learned_round_by_round(session: Session, browser: Browser) -> None:
    assert browser.standing["phase"] == "asking"
    assert [question["kind"] for question in browser.state["questions"]] == ["label"] * 4
    for round_ in (1, 2, 3):
        assert (browser.standing["round"], browser.standing["given"]) == (round_, 0)
        browser.answer_all(name_of)
        assert (browser.standing["given"], browser.standing["complete"]) == (4, True)
        # One may still go back: nothing is learned before the browser says so.
        assert 0 < browser.standing["closes_in"] <= 4
        assert browser.standing["phase"] == "asking"
        browser.learn()
    assert (browser.standing["round"], len(rows(session))) == (4, 12)
    assert {row.annotator for row in session._book.store.rows()} == {"me"}
    assert {group["name"] for group in browser.standing["groups"]} == set(NAMES)
    told = browser.standing["result"]
    assert told["groups"] == [group._asdict() for group in session.groups_]
    assert sum(group["answered"] for group in told["groups"]) == 12
    assert told["outlook"]["accuracy"] == pytest.approx(session.expected_accuracy_)
    names = np.array([group.name for group in session.groups_])[session.labels_]
    assert (names == np.array(NAMES)[LABELS]).mean() > 0.9


def test_clusters_are_chosen() -> None:
    session = begin("idc")
    browser, before = Browser(session.widget(per_round=3)), session.probabilities_
    offered = [[c["cluster"] for c in one["candidates"]] for one in browser.state["questions"]]
    candidate = browser.state["questions"][0]["candidates"][0]
    assert candidate["exemplar"]["name"]
    assert candidate["members"]
    browser.answer(0, offered[0][1])
    browser.answer(1, "none")
    browser.answer(2, "skip")
    assert rows(session) == [(1, 0, offered[0][1]), (1, 1, NONE_OF_THESE), (1, 2, SKIP)]
    browser.answer(2, 99)
    assert browser.refusals()[-1].startswith("round 1, question 2: 99 is not an answer; choose one")
    browser.learn()
    assert browser.standing["round"] == 2
    assert not np.array_equal(session.probabilities_, before)
    # How far the learning was could be seen all the while.
    assert browser.losses
    assert np.isfinite(browser.losses).all()


def test_pairs_are_told_apart() -> None:
    session = begin("pcl")
    browser, before = Browser(session.widget(per_round=4)), session.probabilities_

    def verdict(question: dict[str, Any]) -> dict[str, Any]:
        one, other = (LABELS[sample["index"]] for sample in question["samples"])
        return {"answer": "same" if one == other else "different"}

    asked = session._book.store.questions(1)
    assert asked is not None
    browser.answer_all(verdict)
    same = LABELS[asked.indices[:, 0]] == LABELS[asked.indices[:, 1]]
    assert [choice == SAME for _, _, choice in rows(session)] == same.tolist()
    browser.learn()
    assert (browser.standing["round"], browser.standing["kind"]) == (2, "pair")
    assert not np.array_equal(session.probabilities_, before)


def test_the_last_answer_is_undone(session: Session, browser: Browser) -> None:
    browser.answer(0, group="cat")
    second = browser.answer(1, group="dog")
    undo = browser.say("undo", undoes=second)
    assert browser.standing["heard"] == ["c1", "c2", undo]
    assert browser.standing["answered"] == [[0, "c1"]]
    assert [row.undoes for row in session._book.store.rows()] == [None, None, second]
    browser.say("undo", undoes=second)
    assert len(rows(session)) == 3
    browser.answer(1, "skip")
    assert browser.standing["answered"] == [[0, "c1"], [1, "c5"]]


def test_the_same_message_again_is_one_answer(session: Session, browser: Browser) -> None:
    body = {"client_id": "x", "round": 1, "position": 0, "seconds": 0, "answer": "skip"}
    browser.message({"kind": "answer", "body": body})
    browser.message({"kind": "answer", "body": body})
    assert rows(session) == [(1, 0, SKIP)]


def test_a_group_is_renamed(session: Session, browser: Browser) -> None:
    browser.answer(0, group="cat")
    browser.message({"kind": "rename", "body": {"key": "key of cat", "name": "tiger"}})
    assert [group["name"] for group in browser.standing["groups"]] == ["tiger"]
    assert [group.name for group in session.groups_ if group.answered] == ["tiger"]


def test_a_round_may_be_learned_before_its_end(session: Session, browser: Browser) -> None:
    browser.learn()
    assert browser.refusals() == ["nothing is answered yet"]
    browser.answer(0, group="cat")
    left = {question["samples"][0]["index"] for question in browser.state["questions"][1:]}
    browser.phases.clear()
    browser.learn()
    # The browser sees that learning has begun before it ends.
    assert browser.phases == ["learning", "asking", "asking"]
    assert browser.standing["round"] == 2
    assert sum(group.answered for group in session.groups_) == 1
    # What nobody has answered may come again.
    again = Browser(session.widget(per_round=N))
    assert left <= {question["samples"][0]["index"] for question in again.state["questions"]}


def test_another_view_that_learns_late_learns_nothing(browser: Browser) -> None:
    browser.answer(0, group="cat")
    browser.say("learn", round=1)
    browser.answer(0, group="cat")
    browser.say("learn", round=1)
    assert (browser.standing["round"], browser.standing["given"]) == (2, 1)
    assert browser.refusals() == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("answer", "a message has a 'kind', a word, and a 'body', an object"),
        ({"kind": "answer"}, "a message has a 'kind', a word, and a 'body', an object"),
        ({"kind": ["answer"], "body": {}}, "a message has a 'kind', a word, and a 'body'"),
        ({"kind": "stop", "body": {}}, "'stop' is not a kind of message"),
        ({"kind": "answer", "body": {}}, "'client_id' is missing"),
        ({"kind": "answer", "body": {"client_id": 3}}, "'client_id' must be 1 to 80 printable"),
        ({"kind": "undo", "body": {"client_id": "u", "undoes": "x"}}, "no such answer to undo"),
        ({"kind": "rename", "body": {"key": "x", "name": "y"}}, "there is no such group"),
        ({"kind": "pictures", "body": {"wanted": "tile/3"}}, "'wanted' must be a list of at most"),
        ({"kind": "pictures", "body": {"wanted": ["../3"]}}, "there is no such picture"),
        ({"kind": "pictures", "body": {"wanted": [f"tile/{N}"]}}, "there is no such picture"),
    ],
    ids=str,
)
def test_bad_messages_are_refused_in_a_line(
    session: Session, browser: Browser, message: Any, reason: str
) -> None:
    browser.answer(0, group="cat")
    before = session._book.store.rows()
    browser.message(message)
    assert reason in browser.refusals()[-1]
    assert "\n" not in browser.refusals()[-1]
    assert session._book.store.rows() == before
    browser.answer(1, group="cat")
    assert browser.standing["given"] == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"position": 4}, "round 1 has no question 4"),
        ({"round": 7}, "the questions of this round are not open yet"),
        ({"answer": "cat"}, "'cat' is not an answer"),
        ({"annotator": "Bob", "extra": 1}, "unknown field 'extra'"),
        ({"seconds": float("nan")}, "'seconds' must be a number"),
    ],
    ids=str,
)
def test_bad_answers_are_refused_in_a_line(
    session: Session, browser: Browser, fields: dict[str, Any], reason: str
) -> None:
    browser.say(
        "answer", **({"round": 1, "position": 0, "answer": "skip", "seconds": 1.0} | fields)
    )
    assert reason in browser.refusals()[0]
    assert rows(session) == []


def test_nothing_is_lost_with_the_kernel(
    session: Session, browser: Browser, tmp_path: Path
) -> None:
    browser.answer(0, group="cat")
    session.save(tmp_path / "kept")
    browser.answer(1, group="dog")
    # Nothing more is called: the kernel is gone.
    kept = Session.load(tmp_path / "kept")
    assert [group.name for group in kept.groups_ if group.answered] == ["cat", "dog"]
    again = Browser(kept.widget(per_round=4))
    assert (again.standing["phase"], again.standing["round"]) == ("asking", 2)


def test_a_cell_that_runs_again_shows_the_same_widget(session: Session, browser: Browser) -> None:
    browser.answer(0, group="cat")
    # What is said in another cell counts as well.
    session.answer({browser.state["questions"][1]["samples"][0]["index"]: "dog"})
    assert session.widget(per_round=4) is browser.widget
    assert (browser.standing["round"], browser.standing["given"]) == (1, 2)
    assert session.widget(per_round=5) is not browser.widget
    browser.widget.close()
    assert session.widget(per_round=4) is not browser.widget
    with pytest.raises(UserError, match="per_round is 0"):
        session.widget(per_round=0)
    with pytest.raises(UserError, match="'annotator' must be 1 to 60 printable characters"):
        session.widget(annotator="")


def test_learning_that_fails_is_told_and_loses_nothing(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.answer_all(name_of)
    with monkeypatch.context() as broken:
        broken.setattr(session._interaction, "learn", raising(UserError("try other options")))
        browser.learn()
    assert browser.standing["failed"] == "try other options"
    browser.say("resume")
    assert (browser.standing["failed"], browser.standing["phase"]) == ("", "asking")
    assert (browser.standing["round"], len(rows(session))) == (2, 4)


def test_learning_that_was_interrupted_is_made_up_for(
    session: Session, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.answer_all(name_of)
    with monkeypatch.context() as broken:
        broken.setattr(session._interaction, "learn", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            browser.learn()
    assert browser.standing["failed"] == "it was interrupted"
    browser.say("resume")
    assert {group["name"] for group in browser.standing["result"]["groups"]} >= {
        group["name"] for group in browser.standing["groups"]
    }


def test_where_nothing_is_left_to_ask(session: Session) -> None:
    session.answer({n: NAMES[LABELS[n]] for n in range(N)})
    browser = Browser(session.widget())
    assert (browser.standing["phase"], browser.state["questions"]) == ("done", [])
    session.withdraw([3])
    session.widget()
    assert browser.standing["phase"] == "asking"
    assert [question["samples"][0]["index"] for question in browser.state["questions"]] == [3]


def test_images_are_shown_and_other_samples_named(tmp_path: Path) -> None:
    from PIL import Image

    images = np.zeros((N, 4, 4), np.uint8)
    images[LABELS == 1, :2] = 200
    images[LABELS == 2, :, :2] = 120
    browser = Browser(begin(data=images).widget())
    (sample,) = browser.state["questions"][0]["samples"]
    assert (sample["picture"], sample["side"]) == (True, 4)
    key = f"large/{sample['index']}"
    browser.message({"kind": "pictures", "body": {"wanted": [key]}})
    head, data = browser.pictures[key].split(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(shown, images[sample["index"]])
    ids = [f"sentence {n}" for n in range(N)]
    named = Browser(begin(ids=ids).widget()).state["questions"][0]["samples"][0]
    assert (named["name"], named["picture"]) == (ids[named["index"]], False)
    assert len(named["near"]) == 3
    # Embeddings of images are asked about by the images.
    files = [str(tmp_path / f"{n}.png") for n in range(N)]
    for file, pixels in zip(files, images, strict=True):
        Image.fromarray(pixels).save(file)
    photographed = Browser(begin(ids=files).widget()).state["questions"][0]["samples"][0]
    assert (photographed["picture"], photographed["side"]) == (True, None)


def test_no_web_server_is_needed() -> None:
    script = (
        "import sys; sys.modules |= dict.fromkeys(['uvicorn', 'starlette', 'crowdkit'])\n"
        "import idc_jax.session.widget.notebook"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_what_is_missing_is_named(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "idc_jax.session.widget.notebook", raising=False)
    with pytest.raises(UserError, match=r"needs anywidget: pip install 'idc_jax\[widget\]'"):
        session.widget()
