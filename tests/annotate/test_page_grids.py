"""Grids: the strangers are clicked, one key says that the others belong."""

import numpy as np
import pytest
from browsing import until
from run_page import digits

from idc_jax.annotate import NONE_OF_THESE, SKIP

pytestmark = pytest.mark.browser

COUNT, SHOWN = 36, 12


@pytest.fixture
def run(start_run):
    return start_run(kind="grid", count=COUNT)


def strangers(run, screen):
    """The places on a screen of those that are of another digit than it says."""
    asked = run.questions()
    rows = slice(screen * SHOWN, (screen + 1) * SHOWN)
    return np.flatnonzero(digits().labels[asked.indices[rows]] != asked.candidates[rows, 0])


def see_grid(ann, text):
    ann.see()
    until(lambda: ann.page.inner_text(".asked .prompt") == text, text)


def test_clicks_mark_strangers_and_enter_says_the_others_belong(run, visit):
    ann = visit(run.url)
    see_grid(ann, "Which are not “0”?")
    assert ann.page.locator(".one").count() == SHOWN
    assert ann.page.inner_text(".confirm").endswith("All 12 belong")
    found = strangers(run, 0)
    for place in found:
        ann.page.locator(".one").nth(int(place)).click()
    assert ann.page.inner_text(".confirm").endswith(f"The other {SHOWN - len(found)} belong")
    ann.press("Enter")
    rows = run.wait_for(SHOWN)
    said = {row.position: row.choice for row in rows}
    assert said == {at: NONE_OF_THESE if at in found else 0 for at in range(SHOWN)}
    # The time that all of it took, in even parts.
    assert len({row.seconds for row in rows}) == 1
    see_grid(ann, "Which are not “1”?")
    assert "12 of 36" in ann.page.inner_text("#standing")
    ann.reads("#recent .said", f"0, {len(found)} not")


def test_a_grid_by_the_keyboard_alone(run, visit):
    ann = visit(run.url)
    see_grid(ann, "Which are not “0”?")
    ann.press("a", "c", "a")  # a stranger, another, and the first not after all
    assert [place for place in range(SHOWN) if marked(ann, place)] == [2]
    ann.page.keyboard.press("Tab")
    ann.page.locator(".one").nth(5).focus()
    ann.page.keyboard.press("Space")
    assert marked(ann, 5)
    ann.page.locator(".confirm").focus()
    ann.page.keyboard.press("Enter")
    rows = run.wait_for(SHOWN)
    assert [row.position for row in rows if row.choice == NONE_OF_THESE] == [2, 5]
    see_grid(ann, "Which are not “1”?")
    ann.press("s")
    assert {row.choice for row in run.wait_for(2 * SHOWN)[SHOWN:]} == {SKIP}


def test_undo_brings_the_whole_grid_back(run, visit):
    ann = visit(run.url)
    see_grid(ann, "Which are not “0”?")
    ann.press("Enter", "u")
    rows = run.wait_for(2 * SHOWN)
    assert {row.undoes for row in rows[SHOWN:]} == {row.client_id for row in rows[:SHOWN]}
    assert run.live() == ()
    see_grid(ann, "Which are not “0”?")
    ann.press("b", "Enter")
    run.wait_for(3 * SHOWN)
    assert [row.position for row in run.live() if row.choice == NONE_OF_THESE] == [1]


def test_what_was_answered_of_a_grid_is_asked_no_more(run, visit):
    ann = visit(run.url)
    see_grid(ann, "Which are not “0”?")
    ann.press("Enter")
    run.wait_for(SHOWN)
    see_grid(ann, "Which are not “1”?")
    ann.page.reload()
    see_grid(ann, "Which are not “1”?")
    assert ann.page.locator("#recent li").count() == 1


def test_two_people_get_different_grids(run, visit):
    ann, bob = visit(run.url), visit(run.url, "Bob")
    see_grid(ann, "Which are not “0”?")
    # All three are kept for Ann.
    until(lambda: "Nothing left for you" in bob.page.inner_text("main"), "nothing for Bob")
    ann.press("Enter")
    run.wait_for(SHOWN)
    assert {row.annotator for row in run.rows()} == {"Ann"}


@pytest.mark.parametrize(
    ("size", "touch"), [((1280, 800), False), ((390, 844), True), ((844, 390), True)], ids=str
)
def test_all_of_a_grid_is_on_the_screen(run, visit, size, touch):
    width, height = size
    ann = visit(run.url, viewport={"width": width, "height": height}, has_touch=touch)
    see_grid(ann, "Which are not “0”?")
    for selector in (".one", ".confirm", ".actions button", ".asked .prompt"):
        for node in ann.page.locator(selector).all():
            box = node.bounding_box()
            assert 0 <= box["x"] <= width - box["width"], selector
            assert 0 <= box["y"] <= height - box["height"], selector
    least = min(node.bounding_box()["height"] for node in ann.page.locator(".one img").all())
    assert least >= 44
    if touch:
        ann.page.locator(".one").first.tap()
        assert marked(ann, 0)


def marked(ann, place):
    return ann.page.locator(".one").nth(place).get_attribute("aria-pressed") == "true"
