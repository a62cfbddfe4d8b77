"""The widget in a real JupyterLab: answered by keys, of which it takes none, and by clicks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import WAIT_SECONDS, until
from notebooks import SESSION, Lab, Notebook

from idc_jax.annotate.questions import DIFFERENT, NONE_OF_THESE, SAME, SKIP

HOW = "the widget was not tried in JupyterLab: `pip install anywidget jupyterlab`"
pytest.importorskip("anywidget", reason=HOW)
pytest.importorskip("jupyterlab", reason=HOW)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The other kinds without a method that asks them: what is tried is the browser.
KIND = """
from run_page import digits, make_questions
from idc_jax.annotate import Store
from idc_jax.session.widget.notebook import Loop, Widget
def widget_of(kind, store):
    ask = lambda hear: store.freeze(make_questions(kind, len(store.rounds()) + 1, 5, digits()))
    standing = lambda: {{"groups": [], "outlook": None}}
    widget = Widget(Loop(ask, standing), store, digits(), max_groups=10, annotator="Ann")
    widget.resume()
    return widget
widget_of("{kind}", Store("{kind}.db"))
"""
WHO = "import os; from pathlib import Path; Path('kernel').write_text(str(os.getpid()))"
CELLS = [SESSION, KIND.format(kind="cluster"), KIND.format(kind="pair"), WHO]


def cells(notebook: Notebook) -> list[str]:
    return notebook.page.locator(".jp-Cell").evaluate_all(
        "cells => cells.map(cell => cell.classList.contains('jp-CodeCell') ? 'code' : 'other')"
    )


def widget_of(notebook: Notebook, cell: int) -> Any:
    return notebook.page.locator(".jp-Cell").nth(cell).locator(".idc-jax")


@pytest.fixture(scope="module")
def notebook(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    lab = Lab(tmp_path_factory.mktemp("lab"), CELLS)
    try:
        found = Notebook(lab, browser, viewport={"width": 1200, "height": 2400})
        widget_of(found, 2).locator(".question").wait_for()
        yield found
        found.close()
    finally:
        lab.close()


def test_keys_answer_and_are_kept_from_the_notebook(notebook: Notebook) -> None:
    widget, asked, before = (
        widget_of(notebook, 0),
        notebook.asked("kept/answers.db"),
        cells(notebook),
    )
    widget.locator(".subject").click()
    notebook.name_a_group("daddy")
    asked.wait_for(1)
    # Here they are text; to a notebook D and X mean delete and cut.
    notebook.press("d", "d", "x", "Shift+M", "z", "Escape")
    notebook.name_a_group("b")
    notebook.press("1", "1", "Backspace", "2", "Backspace", "Space")
    rows = asked.wait_for(8)
    choices = [(row.position, row.choice) for row in rows if not row.undoes]
    assert choices == [(0, 0), (1, 1), (2, 0), (3, 0), (3, 1), (3, SKIP)]
    assert [row.undoes for row in rows if row.undoes] == [rows[3].client_id, rows[5].client_id]
    assert all(row.seconds > 0 and row.annotator == "me" for row in rows if not row.undoes)
    assert [group.name for group in asked.read(lambda store: store.groups())] == ["daddy", "b"]
    assert cells(notebook) == before
    # Answered, the round is learned automatically, and the next one is asked.
    assert widget.locator("h2").inner_text() == "All 4 questions are answered"
    widget.get_by_text("0 of 4 · round 2", exact=True).wait_for()
    told = widget.locator("summary").inner_text()
    assert told.startswith("10 groups · Expected: ")
    assert widget.locator(".sizes").get_by_text("daddy").count() == 1
    # The keyboard is still here: no click is needed to go on.
    notebook.press("2")
    assert asked.wait_for(9)[-1].choice == 1


def test_the_notebook_goes_on_where_the_page_is_loaded_again(notebook: Notebook) -> None:
    asked, page = notebook.asked("kept/answers.db"), notebook.page
    # Keys with a modifier are the notebook's as ever.
    notebook.press("Control+s")
    saved = notebook.work / "ask.ipynb"
    until(lambda: "application/vnd.jupyter.widget-view+json" in saved.read_text(), "saved")
    count = len(asked.rows())
    page.reload()
    widget = widget_of(notebook, 0)
    widget.get_by_text(f"{count - 8} of 4 · round 2", exact=True).wait_for()
    widget.get_by_role("button", name="daddy", exact=True).click()
    assert asked.wait_for(count + 1)[-1].choice == 0
    widget.get_by_role("button", name="Learn now").click()
    widget.get_by_text("0 of 4 · round 3", exact=True).wait_for()


def test_clusters_are_chosen_by_clicks(notebook: Notebook) -> None:
    widget, asked = widget_of(notebook, 1), notebook.asked("cluster.db")
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


def test_answers_wait_for_a_kernel_that_is_busy(notebook: Notebook) -> None:
    widget, asked = widget_of(notebook, 1), notebook.asked("cluster.db")
    kernel, before = int((notebook.work / "kernel").read_text()), len(asked.rows())
    os.kill(kernel, signal.SIGSTOP)
    try:
        notebook.press("a", "n", "b")
        widget.get_by_text("The kernel is busy, or gone. Answers not saved yet: 3").wait_for()
        # The next question is there all the same.
        assert widget.locator(".counted").inner_text() == "3 of 5 · round 2"
        assert len(asked.rows()) == before
    finally:
        os.kill(kernel, signal.SIGCONT)
    offered = asked.questions(2).candidates
    choices = [row.choice for row in asked.wait_for(before + 3)[before:]]
    assert choices == [offered[0][0], NONE_OF_THESE, offered[2][1]]
    widget.locator(".notice").wait_for(state="hidden")


def test_pairs_are_told_apart_by_the_keyboard_alone(notebook: Notebook) -> None:
    widget, asked = widget_of(notebook, 2), notebook.asked("pair.db")
    widget.get_by_role("button", name="A Same").focus()
    notebook.press("Enter")
    asked.wait_for(1)
    # The focus is at the same button of the next question.
    notebook.press("Tab", "Enter")
    asked.wait_for(2)
    notebook.press("1", "2", "b")
    choices = [row.choice for row in asked.wait_for(5)]
    assert choices == [SAME, DIFFERENT, SAME, DIFFERENT, DIFFERENT]


def test_it_is_accessible(notebook: Notebook) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="`pip install axe-playwright-python`"
    )
    found = axe.Axe().run(notebook.page, context=".idc-jax").response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    told = widget_of(notebook, 1).locator(".told")
    assert told.inner_text() == "Which of these belongs with it? 3 of 5 · round 2"


def test_elsewhere_the_notebook_takes_the_keys(notebook: Notebook) -> None:
    """What the tests above would see, were the keys not kept from it."""
    before = cells(notebook)
    notebook.page.locator(".jp-Cell").last.locator(".jp-InputPrompt").click()
    notebook.press("d", "d")
    until(lambda: len(cells(notebook)) == len(before) - 1, "a cell less", WAIT_SECONDS)
