"""The widget in marimo, run as an app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from notebooks import SESSION, Marimo, Notebook

from idc_jax.annotate.questions import SKIP

HOW = "the widget was not tried in marimo: `pip install anywidget marimo`"
pytest.importorskip("anywidget", reason=HOW)
pytest.importorskip("marimo", reason=HOW)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_round_is_answered_and_learned(browser: Any, tmp_path: Path) -> None:
    served = Marimo(tmp_path, SESSION)
    try:
        notebook = Notebook(served, browser)
        page, asked = notebook.page, notebook.asked("kept/answers.db")
        page.locator(".idc-jax .subject img[src]").click()
        notebook.name_a_group("daddy")
        notebook.press("1", "Space")
        asked.wait_for(3)
        page.locator(".idc-jax").get_by_role("button", name="daddy", exact=True).click()
        assert [row.choice for row in asked.wait_for(4)] == [0, 0, SKIP, 0]
        notebook.press("Enter")
        page.get_by_text("0 of 4 · round 2", exact=True).wait_for()
        notebook.close()
    finally:
        served.close()
