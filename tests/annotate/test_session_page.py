"""A session's questions on the page, and the command that asks them, in a real Chromium."""

from __future__ import annotations

import contextlib
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import WAIT_SECONDS, free_port, until

from idc_jax import Session, data
from idc_jax.annotate.questions import NONE_OF_THESE
from idc_jax.annotate.store import Store
from idc_jax.command import main

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return data.load("digits", limit=120).inputs


def beside(work: Callable[[], Any]) -> Callable[[], Any]:
    """Do ``work`` beside the browser, whose event loop has the thread of the test."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def end() -> Any:
        thread.join(3 * WAIT_SECONDS)
        return found[0]

    return end


def served(port: int) -> str:
    """The address of the page, once it is there."""
    url = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status == 200
        return False

    until(answers, "the page")
    return url


def name_digits(person: Any, count: int, names: str, rows: Callable[[], int]) -> None:
    """Answer label questions with new names and then with those on the palette."""
    before = rows()
    for number in range(count):
        person.see()
        if number < len(names):
            person.page.keyboard.type(names[number] * 3)
            person.page.keyboard.press("Enter")
        else:
            person.page.keyboard.press("1")
        until(lambda told=before + number + 1: rows() >= told, "an answer in the store")


def test_people_answer_a_session(digits: np.ndarray, visit: Any) -> None:
    session, port = Session(digits, 10), free_port()
    end = beside(lambda: session.serve(per_round=4, rounds=2, port=port))
    ann = visit(served(port))
    name_digits(ann, 8, "xyz", lambda: len(session._book.store.rows()))
    # As at the end of a run: what was reached, and whether to go on.
    ann.page.wait_for_selector("text=All questions are answered and learned")
    assert "Expected: " in ann.page.inner_text("main")
    assert ann.page.locator("main .galleries section").count() >= 3
    ann.page.click("text=50 more questions")
    name_digits(ann, 4, "", lambda: len(session._book.store.rows()))
    ann.see()
    ann.page.click("#stop")
    ann.page.click("text=Stop and finish")
    ann.page.wait_for_selector("text=All questions are answered and learned")
    ann.page.click("text=Close for everyone")
    ann.page.wait_for_selector("text=The run is over")
    end()
    assert {"xxx", "yyy", "zzz"} <= {group.name for group in session.groups_}
    assert sum(group.answered for group in session.groups_) == 12


def test_a_session_of_several_kinds_is_answered_on_the_page(visit: Any) -> None:
    digits = data.load("digits", limit=500)
    session, port = Session(digits.inputs, 10, questions="grid"), free_port()
    named = session.ask(30)
    assert named.kind == "label"
    assert digits.labels is not None
    session.answer({row: f"digit {digits.labels[row]}" for row in named.indices.tolist()})
    end = beside(lambda: session.serve(per_round=16, rounds=1, port=port))
    ann = visit(served(port))
    ann.see(".question.grid")
    assert ann.page.inner_text(".prompt").startswith("Which are not “digit ")
    shown = ann.page.locator(".one").count()
    assert shown >= 12
    ann.press("a", "Enter")
    ann.page.click("text=Close for everyone")
    end()
    questions, answers = session._book.rounds()[-1]
    assert (questions.kind, questions.count) == ("grid", shown)
    assert answers.choice[0] == NONE_OF_THESE
    assert (answers.choice[1:] == questions.candidates[1:, 0]).all()


def test_the_command_asks_and_goes_on(
    digits: np.ndarray,
    visit: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "digits.npy", digits.reshape(len(digits), -1).astype(np.float32))
    port = free_port()
    command = ["ask", str(tmp_path / "digits.npy"), "--clusters=10", f"--port={port}"]
    command += ["--questions=3", "--rounds=1", f"--save={tmp_path / 'kept'}"]

    def rows() -> int:
        with Store(tmp_path / "kept" / "answers.db") as store:
            return len(store.rows())

    for number, names in enumerate(("xyz", "")):
        end = beside(lambda: main(command))
        person = visit(served(port), f"Ann {number}")
        name_digits(person, 3, names, rows)
        person.page.click("text=Close for everyone")
        # Left open, it would take the next questions to itself.
        person.page.close()
        assert end() == 0
    assert f"going on in {tmp_path / 'kept'}" in capsys.readouterr().out
    kept = Session.load(tmp_path / "kept")
    assert sum(group.answered for group in kept.groups_) == 6
