"""Answering by key, mouse and touch in a real Chromium; what counts are the rows of the store."""

import re
import time

import pytest
from browsing import until

from idc_jax.annotate import DIFFERENT, NONE_OF_THESE, SAME, SKIP

pytestmark = pytest.mark.browser


def choices(rows):
    return {row.position: row.choice for row in rows}


def test_every_key(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.press(*"abcde12345ns ")
    rows = run.wait_for(13)
    asked = run.questions()
    wanted = [*range(5), *range(5), None, None, None]
    for row, place in zip(rows[:10], wanted, strict=False):
        assert row.choice == asked.candidates[row.position][place]
    assert [row.choice for row in rows[10:]] == [NONE_OF_THESE, SKIP, SKIP]
    assert [row.position for row in rows] == list(range(13))
    assert all(row.seconds >= 0 and row.annotator == "Ann" for row in rows)
    ann.press("u", "Backspace")
    rows = run.wait_for(15)
    assert [row.undoes for row in rows[13:]] == [rows[12].client_id, rows[11].client_id]
    assert [row.position for row in run.live()] == list(range(11))
    ann.see()
    assert ann.shown() == [asked.indices[11]]
    told = r"11 of 40 · 29 left · \d+ a minute · about \d+ (s|min)"
    assert re.fullmatch(told, ann.page.inner_text("#standing"))
    scaled = "img => getComputedStyle(img).imageRendering"
    assert ann.page.eval_on_selector(".subject img", scaled) == "pixelated"


def test_help_and_zoom_keep_keys_to_themselves(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.press("?")
    ann.page.wait_for_selector("#help-dialog[open]")
    ann.page.keyboard.press("a")
    ann.page.keyboard.press("?")
    ann.page.wait_for_selector("#help-dialog:not([open])", state="attached")
    ann.press("z")
    ann.page.wait_for_selector("#zoom-dialog[open] img")
    ann.page.keyboard.press("z")
    ann.page.wait_for_selector("#zoom-dialog:not([open])", state="attached")
    assert run.rows() == ()
    ann.press("b")
    (row,) = run.wait_for(1)
    assert (row.position, row.choice) == (0, run.questions().candidates[0][1])


def test_modifiers_and_held_keys_are_no_answers(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.has_ahead(3)
    for modifier in ("Control", "Alt", "Meta"):
        ann.page.keyboard.press(f"{modifier}+b")
    for _ in range(5):  # from the second on, the browser marks it as a repeat
        ann.page.keyboard.down("a")
        time.sleep(0.05)
    ann.page.keyboard.up("a")
    ann.press("c")
    rows = run.wait_for(2)
    assert [row.position for row in rows] == [0, 1]
    assert rows[1].choice == run.questions().candidates[1][2]


def test_no_key_is_taken_for_a_question_that_is_not_there_yet(start_run, visit):
    run = start_run()
    slow = run.read(lambda store: until(lambda: store.questions(1), "questions")).indices[1]
    ann, held = visit(None), []
    ann.page.route(f"**/pictures/*/large/{slow}", lambda route: held.append(route))
    ann.come(run.url)
    ann.press("a")
    ann.page.wait_for_selector("#screen[aria-busy=true]")
    ann.page.keyboard.press("b")
    run.wait_for(1)
    for route in held:
        route.continue_()
    ann.press("c")
    rows = run.wait_for(2)
    asked = run.questions()
    assert [row.choice for row in rows] == [asked.candidates[0][0], asked.candidates[1][2]]


def test_thirty_keys_in_a_second(start_run, visit):
    run = start_run(count=60)
    ann = visit(run.url)
    ann.has_ahead(30)
    keys = ("abcde" * 6)[:30]
    begun = time.monotonic()
    for number, key in enumerate(keys):
        time.sleep(max(0.0, begun + number / 30 - time.monotonic()))
        ann.page.keyboard.press(key)
    rows = run.wait_for(30)
    asked = run.questions()
    assert [row.position for row in rows] == list(range(30))
    for row, key in zip(rows, keys, strict=True):
        assert row.choice == asked.candidates[row.position]["abcde".index(key)]


def test_a_double_press_and_a_double_click_are_one_answer(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.has_ahead(5)
    # Both made before the first is heard: their times, which tell, are those of their making.
    ann.page.evaluate(
        """() => [1, 2].map(() => new KeyboardEvent("keydown", {key: "b", bubbles: true}))
          .forEach((press) => document.body.dispatchEvent(press))"""
    )
    run.wait_for(1)
    ann.has_ahead(1)
    ann.page.evaluate(
        """() => [1, 2].map((detail) => new MouseEvent("click", {detail, bubbles: true}))
          .forEach((click) =>
            document.querySelector("[data-action=choose-2]").dispatchEvent(click))"""
    )
    run.wait_for(2)
    ann.press("d")
    rows = run.wait_for(3)
    asked = run.questions()
    assert [(row.position, row.choice) for row in rows] == [
        (position, asked.candidates[position][place]) for position, place in enumerate((1, 2, 3))
    ]


def test_mouse_alone(start_run, visit):
    run = start_run(count=5)
    ann = visit(run.url)
    for number, action in enumerate(("choose-4", "none", "skip", "undo", "choose-0"), start=1):
        ann.see()
        ann.page.click(f"main [data-action={action}]")
        run.wait_for(number)
    asked = run.questions()
    assert choices(run.live()) == {
        0: asked.candidates[0][4],
        1: NONE_OF_THESE,
        2: asked.candidates[2][0],
    }
    ann.page.click("#recent li:last-child button")  # the oldest: the first question again
    run.wait_for(6)
    ann.see(f".subject img[src$='/{asked.indices[0]}']")
    ann.page.click("[data-action=choose-1]")
    run.wait_for(7)
    assert choices(run.live())[0] == asked.candidates[0][1]


def test_space_presses_a_button_that_the_keyboard_went_to(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.see()
    ann.page.focus("[data-action=choose-3]")
    ann.page.keyboard.press("Space")
    run.wait_for(1)
    ann.see("[data-action=choose-3]:focus")  # the keyboard has stayed at the same place
    ann.page.keyboard.press("Enter")
    rows = run.wait_for(2)
    asked = run.questions()
    assert [row.choice for row in rows] == [asked.candidates[i][3] for i in range(2)]


def test_keys_can_be_changed(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.press("?")
    ann.page.click("#keys [data-key=none]")
    ann.page.keyboard.press("x")
    ann.page.click("#help-dialog [data-action=close] >> nth=-1")
    ann.see("main [data-action=none] kbd:text-is('X')")
    ann.press("n", "x")
    (row,) = run.wait_for(1)
    assert row.choice == NONE_OF_THESE
    ann.page.reload()
    ann.press("x")
    assert [row.choice for row in run.wait_for(2)] == [NONE_OF_THESE] * 2
    ann.press("?")
    ann.page.click("[data-action=reset-keys]")
    ann.page.keyboard.press("?")
    ann.press("x", "n")
    assert [row.choice for row in run.wait_for(3)] == [NONE_OF_THESE] * 3


def test_pairs(start_run, visit):
    run = start_run(kind="pair", count=5)
    ann = visit(run.url)
    ann.press("a", "b", "1", "2", "s")
    assert run.answers() == [SAME, DIFFERENT, SAME, DIFFERENT, SKIP]


@pytest.mark.parametrize("kind", ["cluster", "pair", "label"])
def test_on_a_telephone(start_run, visit, kind):
    run = start_run(kind=kind, count=3)
    ann = visit(run.url, has_touch=True, viewport={"width": 390, "height": 780})
    ann.see()
    assert ann.page.evaluate("document.documentElement.scrollWidth") <= 390
    # All that can be chosen is there without scrolling.
    tiles = ann.page.locator("main .tile, main .verdict button, main .actions button").all()
    assert all(tile.bounding_box()["y"] + tile.bounding_box()["height"] <= 780 for tile in tiles)
    if kind == "label":
        ann.page.fill(".search input", "boats")
    ann.page.tap("[data-action=typed]" if kind == "label" else "[data-action=choose-1]")
    (row,) = run.wait_for(1)
    wanted = {"cluster": run.questions().candidates[0][1:2].tolist(), "pair": [0], "label": [0]}
    assert [row.choice] == wanted[kind]
