"""People at the page, in a real headless Chromium; what counts are the rows of the store."""

import subprocess
import time

import pytest
from browsing import FLAGS, Person, find_chromium, until

from idc_jax.annotate import DIFFERENT, NONE_OF_THESE, SAME, SKIP

pytestmark = pytest.mark.browser


def choices(rows):
    return {row.position: row.choice for row in rows}


def test_every_key(start_run, visit):
    run = start_run(count=40)
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
    assert ann.shown() == [asked.indices[11]]


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
    ann.see()
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


def test_thirty_keys_in_a_second(start_run, visit):
    run = start_run(count=60)
    ann = visit(run.url)
    ann.see()
    ann.page.wait_for_load_state("networkidle")  # all that is fetched ahead is there
    time.sleep(1)
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
    ann.see()
    ann.page.evaluate(
        """() => { for (let i = 0; i < 2; i++)
          document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "b", bubbles: true})) }"""
    )
    run.wait_for(1)
    ann.page.dblclick("[data-action=choose-2]", delay=1)
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
    for action in ("choose-4", "none", "skip", "undo", "choose-0"):
        ann.see()
        ann.page.click(f"main [data-action={action}]")
        time.sleep(0.2)
    run.wait_for(5)
    asked = run.questions()
    assert choices(run.live()) == {
        0: asked.candidates[0][4],
        1: NONE_OF_THESE,
        2: asked.candidates[2][0],
    }
    ann.page.click("#recent li:last-child button")  # the oldest: the first question again
    until(lambda: ann.shown() == [asked.indices[0]], "the first question")
    ann.page.click("[data-action=choose-1]")
    run.wait_for(7)
    assert choices(run.live())[0] == asked.candidates[0][1]


def test_space_presses_a_button_that_the_keyboard_went_to(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.see()
    ann.page.focus("[data-action=choose-3]")
    ann.page.keyboard.press("Space")
    time.sleep(0.2)
    ann.page.keyboard.press("Enter")  # the focus has stayed at the same place
    rows = run.wait_for(2)
    asked = run.questions()
    assert [row.choice for row in rows] == [asked.candidates[i][3] for i in range(2)]


def test_undo_across_a_reload(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.press("a", "b", "c")
    run.wait_for(3)
    ann.page.reload()
    ann.see()
    assert ann.page.locator("#recent li").count() == 3
    ann.press("u")
    until(lambda: ann.shown() == [run.questions().indices[2]], "the third question")
    ann.press("e")
    run.wait_for(5)
    assert choices(run.live())[2] == run.questions().candidates[2][4]
    assert len(run.live()) == 3


def test_keys_can_be_changed(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.press("?")
    ann.page.click("#keys [data-key=none]")
    ann.page.keyboard.press("x")
    ann.page.click("#help-dialog [data-action=close] >> nth=-1")
    assert ann.see("main [data-action=none] kbd").inner_text() == "X"
    ann.press("n", "x")
    (row,) = run.wait_for(1)
    assert row.choice == NONE_OF_THESE
    ann.page.reload()
    ann.press("x")
    assert [row.choice for row in run.wait_for(2)] == [NONE_OF_THESE] * 2


@pytest.mark.parametrize("kill", ["server", "network"])
def test_the_server_goes_away_in_mid_round(start_run, visit, kill):
    run = start_run(count=12)
    ann = visit(run.url)
    ann.press("a", "b", "c")
    run.wait_for(3)
    until(
        lambda: ann.page.evaluate("performance.getEntriesByType('resource').length") > 20, "images"
    )
    if kill == "server":
        run.kill()
    else:
        ann.context.set_offline(True)
    ann.press("d", "e", "n", "s")
    until(lambda: "4 kept here" in ann.page.inner_text("#saved"), "the notice of being offline")
    assert len(run.rows()) == 3
    if kill == "server":
        run.start()
    else:
        ann.context.set_offline(False)
    rows = run.wait_for(7)
    asked = run.questions()
    assert [row.position for row in rows] == list(range(7))
    assert [row.choice for row in rows[3:]] == [
        asked.candidates[3][3],
        asked.candidates[4][4],
        NONE_OF_THESE,
        SKIP,
    ]
    until(lambda: ann.page.inner_text("#saved") == "All saved", "all saved")
    ann.press(*"aaaaa")
    assert len(run.answers()) == 12
    assert len(run.rows()) == 12


def test_answers_that_wait_survive_a_reload(start_run, visit):
    run = start_run(count=12)
    ann = visit(run.url)
    ann.press("a")
    run.wait_for(1)
    ann.page.route("**/api/answer", lambda route: route.abort())
    ann.press("b", "c")
    ann.page.reload()
    time.sleep(0.5)
    assert len(run.rows()) == 1
    ann.page.unroute("**/api/answer")
    rows = run.wait_for(3)
    assert [row.position for row in rows] == [0, 1, 2]


def test_a_post_whose_reply_was_lost_counts_once(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.see()
    lost = []

    def lose(route):
        if len(lost) < 2:
            lost.append(route.fetch())  # the server has answered, but the page never hears it
            route.abort()
        else:
            route.continue_()

    ann.page.route("**/api/answer", lose)
    ann.press("a", "b")
    until(lambda: ann.page.inner_text("#saved") == "All saved", "all saved")
    assert len(lost) == 2
    assert [row.position for row in run.rows()] == [0, 1]


@pytest.fixture
def own_chromium(tmp_path):
    """Starts a Chromium of its own at an address, to be killed."""
    started = []

    def start(url):
        own = [f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"]
        command = [find_chromium(), *FLAGS, *own, url]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        lines = iter(started[-1].stderr.readline, "")
        address = next(line for line in lines if "DevTools listening" in line).split()[-1]
        return started[-1], address

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_browser_is_killed(start_run, visit, browser, own_chromium):
    run = start_run(count=12)
    process, address = own_chromium(run.url)
    other = browser.browser_type.connect_over_cdp(address)
    pages = until(lambda: [p for c in other.contexts for p in c.pages if run.url in p.url], "page")
    page = pages[0]
    page.wait_for_selector("#name-dialog[open]")
    page.fill("#name-input", "Ann")
    page.keyboard.press("Enter")
    page.wait_for_selector(".question")
    for key in "abc":
        page.keyboard.press(key)
    before = run.wait_for(3)
    process.kill()
    process.wait()
    assert run.rows()[:3] == before
    ann = visit(run.url)
    ann.press(*"aaaaaaaaa")
    assert len(run.answers()) == 12
    assert run.rows()[:3] == before


def test_two_people_share_the_questions(start_run, visit):
    run = start_run(count=20, grace_seconds=0.2)
    people = [visit(run.url, "Ann"), visit(run.url, "Bob")]
    for person in people:
        person.see()
    while run.process.poll() is None and len(run.rows()) < 20:
        for person in people:
            if person.page.query_selector(".question"):
                person.page.keyboard.press("a")
    rows = run.wait_for(20)
    assert len(rows) == 20
    assert {row.position for row in rows} == set(range(20))
    assert {row.annotator for row in rows} == {"Ann", "Bob"}


def test_two_votes_for_each_question_are_fused(start_run, visit):
    run = start_run(count=6, votes=2)
    ann, bob = visit(run.url, "Ann"), visit(run.url, "Bob")
    ann.press(*"aaaaaa")
    ann.page.wait_for_selector("text=Nothing left for you just now")
    bob.press(*"asaaab")
    fused = run.answers()
    asked = run.questions()
    assert len(run.rows()) == 12
    # A skip abstains; where the two disagree the later word counts.
    assert fused == [*asked.candidates[:5, 0], asked.candidates[5, 1]]


def test_pairs(start_run, visit):
    run = start_run(kind="pair", count=5)
    ann = visit(run.url)
    ann.press("a", "b", "1", "2", "s")
    assert run.answers() == [SAME, DIFFERENT, SAME, DIFFERENT, SKIP]


def test_labels_with_an_open_vocabulary(start_run, visit):
    run = start_run(kind="label", count=6)
    ann = visit(run.url)

    def name(text):
        ann.press("n")
        ann.page.keyboard.type(text)
        ann.page.keyboard.press("Enter")

    name("round ones")
    name("")
    name("Round Ones")  # there is one already
    ann.press("b", "1")
    run.wait_for(5)
    ann.page.click("[aria-label='Rename round ones']")
    ann.page.keyboard.type("zeros")
    ann.page.keyboard.press("Enter")
    ann.see("text=zeros")
    ann.press("s")
    assert run.answers() == [0, 1, 0, 1, 0, SKIP]
    with run.store() as store:
        groups = store.groups()
    asked = run.questions().indices
    assert [(group.name, group.exemplar) for group in groups] == [
        ("zeros", asked[0]),
        ("Group 2", asked[1]),
    ]


def test_two_rounds_with_what_was_learned_between(start_run, visit):
    run = start_run(count=4, rounds=2, learn_seconds=4, grace_seconds=60)
    ann = visit(run.url)
    ann.press(*"aaaa")
    ann.page.wait_for_selector("text=All 4 questions are answered")
    ann.page.keyboard.press("u")
    ann.press("b")
    ann.page.wait_for_selector("text=All 4 questions are answered")
    ann.page.keyboard.press("Enter")
    assert run.answers()[3] == run.questions().candidates[3][1]
    ann.page.wait_for_selector("text=The network now learns from 4 answers")
    ann.page.wait_for_selector(".curve polyline")
    ann.page.wait_for_selector(".metrics")
    ann.page.keyboard.press("a")  # a key that answers does nothing here
    assert ann.page.inner_text(".metrics tbody tr:first-child").split() == [
        "Accuracy",
        "0.500",
        "0.750",
        "▲",
        "+0.250",
    ]
    assert ann.page.locator(".galleries section").count() == 10
    ann.page.keyboard.press("Enter")
    ann.press(*"cccc")
    ann.page.wait_for_selector("text=All 4 questions are answered")
    ann.page.keyboard.press("Enter")
    assert run.answers() == run.questions(2).candidates[:, 2].tolist()
    ann.page.wait_for_selector("text=The run is over")


def test_on_a_telephone(start_run, browser):
    run = start_run(count=3)
    ann = Person(browser, run.url, has_touch=True)
    ann.page.set_viewport_size({"width": 390, "height": 780})
    ann.see()
    assert ann.page.evaluate("document.documentElement.scrollWidth") <= 390
    ann.page.tap("[data-action=choose-1]")
    (row,) = run.wait_for(1)
    assert row.choice == run.questions().candidates[0][1]
    ann.close()


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("cluster", "light"), ("cluster", "dark"), ("pair", "dark"), ("label", "light")],
)
def test_axe_finds_nothing(start_run, visit, kind, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    run = start_run(kind=kind, count=3, rounds=2, learn_seconds=4, grace_seconds=60)
    ann = visit(run.url, color_scheme=scheme)
    check = axe.Axe()

    def clean(what):
        found = check.run(ann.page).response["violations"]
        assert [(what, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []

    ann.see()
    if kind == "label":
        ann.press("n")
        clean("naming")
        ann.page.keyboard.press("Enter")
    else:
        ann.press("a")
    ann.see("#recent li")
    clean("question")
    ann.press("?")
    clean("help")
    ann.page.keyboard.press("?")
    ann.press("z")
    clean("zoom")
    ann.page.keyboard.press("z")
    ann.press("s", "s")
    ann.page.wait_for_selector("text=All 3 questions are answered")
    clean("complete")
    ann.page.keyboard.press("Enter")
    ann.page.wait_for_selector(".curve")
    clean("learning")
    ann.page.wait_for_selector(".metrics")
    clean("result")
