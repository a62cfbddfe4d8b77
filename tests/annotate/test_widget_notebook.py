"""The widget in a real JupyterLab: answered by keys and clicks, with nothing taken by the notebook."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browsing import BOUNCE_SECONDS, WAIT_SECONDS, Asked, until

from idc_jax.annotate.questions import DIFFERENT, NONE_OF_THESE, SAME, SKIP

HOW = "the widget was not tried in JupyterLab: `pip install anywidget jupyterlab`"
pytest.importorskip("anywidget", reason=HOW)
pytest.importorskip("jupyterlab", reason=HOW)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SESSION = """
from idc_jax import Session, data
session = Session(data.load("digits", limit=120).inputs, 10)
session.save("kept")
session.widget(per_round=4)
"""
# The other kinds without a method that asks them: what is tried is the browser.
KIND = """
from run_page import digits, make_questions
from idc_jax.annotate import Store
from idc_jax.session.widget.notebook import Loop, Widget
store = Store("{kind}.db")
ask = lambda: store.freeze(make_questions("{kind}", len(store.rounds()) + 1, 5, digits()))
standing = lambda: {{"groups": [], "outlook": None}}
widget = Widget(Loop(ask, standing), store, digits(), max_groups=10, annotator="Ann")
widget.resume()
widget
"""
CELLS = [SESSION, KIND.format(kind="cluster"), KIND.format(kind="pair"), "'last'"]


class Notebook:
    """The notebook in a browser, its cells run."""

    def __init__(self, page: Any, work: Path) -> None:
        self.page, self.work = page, work
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def widget(self, number: int) -> Any:
        return self.page.locator(".jp-Cell").nth(number).locator(".idc-jax")

    def asked(self, name: str) -> Asked:
        asked = Asked(self.work)
        asked.path = self.work / name
        return asked

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            time.sleep(BOUNCE_SECONDS)

    def name_a_group(self, name: str) -> None:
        self.press("n")
        self.page.wait_for_selector(".palette input:focus")
        self.page.keyboard.type(name)
        self.press("Enter")

    def cells(self) -> list[str]:
        return self.page.locator(".jp-Cell").evaluate_all(
            "cells => cells.map(cell => cell.classList.contains('jp-CodeCell') ? 'code' : 'other')"
        )


@pytest.fixture(scope="module")
def notebook(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    from notebooks import Lab

    lab = Lab(tmp_path_factory.mktemp("lab"), CELLS)
    try:
        lab.wait()
        page = browser.new_context(viewport={"width": 1200, "height": 2400}).new_page()
        found = Notebook(page, lab.work)
        lab.open(page)
        found.widget(2).locator(".question").wait_for()
        yield found
        page.context.close()
        # What JupyterLab itself logs is not ours.
        assert found.errors == []
    finally:
        lab.close()


def test_keys_answer_and_are_kept_from_the_notebook(notebook: Notebook) -> None:
    widget, asked, before = notebook.widget(0), notebook.asked("kept/answers.db"), notebook.cells()
    widget.locator(".subject").click()
    notebook.name_a_group("daddy")
    asked.wait_for(1)
    # D and X mean nothing here; to a notebook they mean cut and delete.
    notebook.press("d", "d", "x", "Shift+M", "z")
    notebook.name_a_group("b")
    notebook.press("1", "a", "u", "b", "u", "s")
    rows = asked.wait_for(8)
    choices = [(row.position, row.choice) for row in rows if not row.undoes]
    assert choices == [(0, 0), (1, 1), (2, 0), (3, 0), (3, 1), (3, SKIP)]
    assert [row.undoes for row in rows if row.undoes] == [rows[3].client_id, rows[5].client_id]
    assert all(row.seconds > 0 and row.annotator == "me" for row in rows if not row.undoes)
    assert [group.name for group in asked.read(lambda store: store.groups())] == ["daddy", "b"]
    assert notebook.cells() == before
    # Answered, the round is learned by itself, and the next one is asked.
    assert widget.locator("h2").inner_text() == "All 4 questions are answered"
    widget.get_by_text("0 of 4 · round 2", exact=True).wait_for()
    told = widget.locator("summary").inner_text()
    assert told.startswith("10 groups · Expected: ")
    assert widget.locator(".sizes").get_by_text("daddy").count() == 1
    # The keyboard is still here: no click is needed to go on.
    notebook.press("b")
    assert asked.wait_for(9)[-1].choice == 1


def test_the_notebook_goes_on_where_the_page_is_loaded_again(notebook: Notebook) -> None:
    asked, page = notebook.asked("kept/answers.db"), notebook.page
    # Keys with a modifier are the notebook's as ever.
    notebook.press("Control+s")
    saved = notebook.work / "ask.ipynb"
    until(lambda: "application/vnd.jupyter.widget-view+json" in saved.read_text(), "saved")
    count = len(asked.rows())
    page.reload()
    widget = notebook.widget(0)
    widget.get_by_text(f"{count - 8} of 4 · round 2", exact=True).wait_for()
    widget.get_by_role("button", name="daddy", exact=True).click()
    assert asked.wait_for(count + 1)[-1].choice == 0
    widget.get_by_role("button", name="Learn now").click()
    widget.get_by_text("0 of 4 · round 3", exact=True).wait_for()


def test_clusters_are_chosen_by_clicks(notebook: Notebook) -> None:
    widget, asked = notebook.widget(1), notebook.asked("cluster.db")
    pictures = widget.locator("img")
    until(lambda: pictures.evaluate_all("all => all.every(one => one.naturalWidth)"), "pictures")
    assert pictures.count() == 1 + 5 * 5
    for number, name in enumerate(("Group B", "N None of these", "S Skip", "Group E", "Group A")):
        widget.get_by_role("button", name=name, exact=True).click()
        asked.wait_for(number + 1)
    offered = asked.questions().candidates
    wanted = [offered[0][1], NONE_OF_THESE, SKIP, offered[3][4], offered[4][0]]
    assert [row.choice for row in asked.rows()] == wanted
    widget.get_by_role("button", name="U Go back").click()
    assert asked.wait_for(6)[-1].undoes == asked.rows()[4].client_id
    notebook.press("c")
    assert asked.wait_for(7)[-1].choice == offered[4][2]
    notebook.press("Enter")
    widget.get_by_text("0 of 5 · round 2", exact=True).wait_for()


def test_pairs_are_told_apart_by_the_keyboard_alone(notebook: Notebook) -> None:
    widget, asked = notebook.widget(2), notebook.asked("pair.db")
    widget.get_by_role("button", name="A Same").focus()
    notebook.press("Enter")
    asked.wait_for(1)
    # The focus is at the same button of the next question.
    notebook.press("Tab", "Enter")
    asked.wait_for(2)
    notebook.press("1", "2", "b")
    choices = [row.choice for row in asked.wait_for(5)]
    assert choices == [SAME, DIFFERENT, SAME, DIFFERENT, DIFFERENT]


def test_it_is_accessible_and_needs_no_network(notebook: Notebook) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="`pip install axe-playwright-python`"
    )
    found = axe.Axe().run(notebook.page, context=".idc-jax").response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    told = notebook.widget(1).locator("[aria-live]")
    assert told.inner_text() == "Which of these belongs with it? 0 of 5 · round 2"
    assert notebook.hosts <= {"127.0.0.1", ""}


def test_elsewhere_the_notebook_takes_the_keys(notebook: Notebook) -> None:
    """What the tests above would see, were the keys not kept from it."""
    before = notebook.cells()
    notebook.page.locator(".jp-Cell").last.locator(".jp-InputPrompt").click()
    notebook.press("d", "d")
    until(lambda: len(notebook.cells()) == len(before) - 1, "a cell less", WAIT_SECONDS)
