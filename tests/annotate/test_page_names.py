"""Label questions in a real Chromium: names are typed, found and corrected, one for each group."""

import pytest
from browsing import until

from idc_jax.annotate import SKIP
from idc_jax.annotate.naming import folded

pytestmark = pytest.mark.browser

LONG = "a very long name of things that fly over the sea in winter"


def name(ann, text):
    """Type a name and say it."""
    ann.see()
    ann.page.keyboard.type(text)
    ann.page.keyboard.press("Enter")


def names(run):
    return [group.name for group in run.read(lambda store: store.groups())]


def with_groups(run, *called):
    """Groups that somebody has named before."""
    until(lambda: run.questions(), "questions")
    run.read(lambda store: [store.name_group(f"k{i}", one, i) for i, one in enumerate(called)])


def test_typing_finds_a_group_or_makes_one(start_run, visit):
    run = start_run(kind="label", count=9)
    ann = visit(run.url)
    name(ann, "snails")  # letters that skip, and undo, where nothing is typed
    name(ann, "Übung und Spaß")
    name(ann, "SNAILS")  # there is one already
    name(ann, "ubu")  # begins so
    ann.press("2", "1")
    name(ann, "ail")  # within a name, what is typed is taken for a new one
    name(ann, "ail")
    name(ann, "snai")
    assert run.answers() == [0, 1, 0, 1, 1, 0, 2, 2, 0]
    assert names(run) == ["snails", "Übung und Spaß", "ail"]


def test_a_new_group_whatever_is_found(start_run, visit):
    run = start_run(kind="label", count=5)
    ann = visit(run.url)
    name(ann, "carpet")
    ann.see()
    ann.page.keyboard.type("car")
    ann.see(".meant >> text=carpet")  # what Enter would take
    ann.page.keyboard.press("ArrowDown")
    ann.see(".meant >> text=New: car")
    ann.page.keyboard.press("Enter")
    ann.see()
    ann.page.keyboard.type("ca")
    ann.page.keyboard.press("Shift+Enter")
    ann.press("Enter", "Enter")  # without a name
    ann.see()
    ann.page.keyboard.press("Enter")
    ann.page.keyboard.type("1990s")  # begun, digits are text
    ann.page.keyboard.press("Enter")
    assert run.answers() == [0, 1, 2, 3, 4]
    assert names(run) == ["carpet", "car", "ca", "Group 4", "1990s"]


def test_keys_that_are_no_text_do_what_they_do_elsewhere(start_run, visit):
    run = start_run(kind="label", count=4)
    ann = visit(run.url)
    name(ann, "a")
    ann.press("Space", "Backspace", "1", "?")
    ann.page.wait_for_selector("#help-dialog[open]")
    ann.page.keyboard.type("xyz")
    ann.page.keyboard.press("?")
    ann.page.wait_for_selector("#help-dialog:not([open])", state="attached")
    ann.press("+")
    ann.page.wait_for_selector("#zoom-dialog[open] img")
    ann.page.keyboard.press("+")
    ann.page.wait_for_selector("#zoom-dialog:not([open])", state="attached")
    ann.page.keyboard.type("b c")
    # One too many takes no answer back.
    for _ in range(5):
        ann.page.keyboard.press("Backspace")
    ann.page.keyboard.type("b")
    ann.page.keyboard.press("Escape")
    ann.press("Space", "1")
    assert run.answers() == [0, 0, SKIP, 0]


def test_what_is_typed_stays_until_it_is_said(start_run, visit):
    run = start_run(kind="label", count=2)
    ann = visit(run.url)
    ann.see()
    ann.page.keyboard.type("ki")
    ann.page.click(".prompt")
    ann.page.click("header h1")
    ann.page.keyboard.type("te")
    assert ann.page.input_value(".search input") == "kite"
    # An input method's Enter ends its own composing.
    ann.page.eval_on_selector(
        ".search input",
        """field => field.dispatchEvent(new KeyboardEvent("keydown",
          {key: "Enter", isComposing: true, bubbles: true, composed: true}))""",
    )
    assert run.rows() == ()
    ann.page.click("text=OK")  # a telephone may have no Enter
    (row,) = run.wait_for(1)
    assert (row.choice, names(run)) == (0, ["kite"])


def test_a_group_is_renamed_and_no_name_means_two(start_run, visit):
    run = start_run(kind="label", count=4)
    ann = visit(run.url)
    name(ann, "Tisch")
    name(ann, "Stuhl")
    ann.page.click("[aria-label='Rename Stuhl']")
    ann.page.fill(".ask-name input", " tisch ")
    ann.page.click(".ask-name >> text=OK")
    ann.see(".ask-name >> text=Another group is called “Tisch” already.")
    ann.page.mouse.click(5, 5)  # beside it
    assert ann.page.input_value(".ask-name input") == " tisch "
    ann.page.keyboard.press("Escape")
    ann.page.click("[aria-label='Rename Tisch']")
    ann.page.keyboard.type("Tafel")
    ann.page.keyboard.press("Enter")
    ann.see("text=Tafel")
    name(ann, "tafel")
    until(lambda: names(run) == ["Tafel", "Stuhl"], "the new name")
    assert [row.choice for row in run.wait_for(3)] == [0, 1, 0]


def test_a_mistyped_group_is_gone_when_it_is_undone(start_run, visit):
    run = start_run(kind="label", count=12)
    ann = visit(run.url)
    for number in range(9):
        name(ann, f"group of {number}")
    name(ann, "ctas")
    ann.see("text=All 10 groups are named")
    ann.press("Backspace")
    ann.page.wait_for_selector("[aria-label=ctas]", state="detached")
    name(ann, "cats")
    run.wait_for(12)
    ann.see("[aria-label=cats]")
    # The page and the server agree on what one name is.
    for one in ("Straße", "  two  words", "ＦＵＬＬ", "é", "İ"):
        told = ann.page.evaluate("one => import('/static/naming.js').then(n => n.folded(one))", one)
        assert told == folded(one)


@pytest.mark.parametrize(
    ("width", "height", "touch"),
    [(1366, 650, False), (1280, 800, False), (640, 400, False), (390, 844, True), (844, 390, True)],
)
def test_thirty_groups_leave_the_image_in_sight(start_run, visit, width, height, touch):
    run = start_run(kind="label", count=3, num_clusters=32)
    with_groups(run, *(f"group {i}" for i in range(28)), LONG, "zebra")
    size = {"width": width, "height": height}
    ann = visit(run.url, viewport=size, has_touch=touch, is_mobile=touch)
    ann.see()
    image, tile = ann.page.locator(".subject img"), ann.page.locator("[aria-label=zebra]")
    tile.scroll_into_view_if_needed()
    box = image.bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= height
    assert min(box["width"], box["height"]) >= 100
    assert ann.page.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing of a name is cut.
    fits = "nodes => nodes.every(n => n.scrollWidth <= n.clientWidth + 1)"
    assert ann.page.eval_on_selector_all(".palette .name", fits)
    overflow = ann.page.locator(f"[aria-label='{LONG}']").evaluate(
        "n => n.scrollHeight - n.clientHeight"
    )
    assert overflow <= 1
    (ann.page.tap if touch else ann.page.click)("[aria-label=zebra]")
    run.wait_for(1)
    name(ann, "zeb")  # no key of its own, and found all the same
    assert [row.choice for row in run.wait_for(2)] == [29, 29]
