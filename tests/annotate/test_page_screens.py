"""The screens between the questions, and what axe has to say of all of them."""

import threading
import time

import pytest
from browsing import WAIT_SECONDS
from run_page import EXPECTED

from idc_jax.annotate import SKIP

pytestmark = pytest.mark.browser

# What was learned faster gets no screen of its own.
SHORT_SECONDS = 3.2


class Lesson:
    """Training that waits where a test wants to look at it."""

    def __init__(self):
        self._turns = threading.Semaphore(0)

    def __call__(self, page):
        page.progress({"phase": "pretrain", "pretrain/epoch": 3, "pretrain/epochs": 12})
        self._wait()
        page.progress({"phase": "finetune", "step": 50, "steps": 200, "loss": 2.0})
        page.progress({"phase": "finetune", "step": 100, "steps": 200, "loss": 1.0})
        self._wait()

    def _wait(self):
        assert self._turns.acquire(timeout=WAIT_SECONDS)

    def go_on(self, turns=1):
        self._turns.release(turns)


def bar(ann, value):
    """The training's bar, once it stands at ``value``."""
    return ann.page.wait_for_selector(f".message .bar[aria-valuenow='{value}']")


def test_two_rounds_with_what_was_learned_between(start_run, visit):
    lesson = Lesson()
    run = start_run(count=4, rounds=2, learn=lesson, grace_seconds=600)
    ann = visit(run.url)
    ann.press(*"aaaa")
    ann.page.wait_for_selector("text=All 4 questions are answered")
    ann.page.keyboard.press("u")
    ann.press("b")
    ann.page.wait_for_selector("text=All 4 questions are answered")
    ann.page.keyboard.press("Enter")
    assert run.answers()[3] == run.questions().candidates[3][1]
    ann.page.wait_for_selector("text=The network now learns from all 4 answers")
    time.sleep(SHORT_SECONDS)
    assert bar(ann, 3).get_attribute("aria-valuemax") == "12"
    ann.see("text=epoch 3 of 12")
    lesson.go_on()
    done = bar(ann, 100)
    assert done.evaluate("node => node.firstElementChild.style.width") == "50%"
    ann.see("text=step 100 of 200")
    ann.see(".curve polyline")
    lesson.go_on()
    ann.see(".metrics")
    ann.page.keyboard.press("a")  # a key that answers does nothing here
    assert ann.page.inner_text(".metrics tbody tr:first-child").split() == [
        "Accuracy",
        "0.500",
        "0.750",
        "▲",
        "+0.250",
    ]
    assert ann.page.locator(".galleries section").count() == 10
    ann.see(f".message >> text={EXPECTED}")
    ann.page.keyboard.press("Enter")
    ann.reads("#outlook", EXPECTED)
    ann.press(*"cccc")
    ann.page.wait_for_selector("text=All 4 questions are answered")
    lesson.go_on(2)
    ann.page.keyboard.press("Enter")
    assert run.answers() == run.questions(2).candidates[:, 2].tolist()
    ann.page.wait_for_selector("text=The run is over")
    run.page.finish()
    run.close()
    time.sleep(1.5)  # the page has asked again by now, and nobody was there
    assert ann.page.inner_text("#saved") == "All saved"


def test_stopping_early(start_run, visit):
    run = start_run(count=6, grace_seconds=600)
    ann = visit(run.url)
    ann.press("a")
    ann.page.click("#stop")
    ann.page.keyboard.press("b")  # no answer: the dialog is in front
    ann.page.click("#stop-dialog >> text=Go on answering")
    ann.press("c")
    run.wait_for(2)
    ann.page.click("#stop")
    ann.page.click("#stop-dialog >> text=Stop and finish")
    first = run.questions().candidates
    assert run.answers() == [first[0][0], first[1][2], *([SKIP] * 4)]
    ann.page.wait_for_selector("text=The run is over")
    assert ann.page.is_hidden("#stop")


@pytest.fixture
def clean(visit):
    """Checks a page by axe, in light and in dark."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )

    def check(page, what):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = axe.Axe().run(page).response["violations"]
            shown = [(rule["id"], rule["nodes"][0]["html"]) for rule in found]
            assert (what, scheme, shown) == (what, scheme, [])

    return check


def test_axe_finds_nothing_in_a_round(start_run, visit, clean):
    lesson = Lesson()
    run = start_run(count=3, rounds=2, learn=lesson, grace_seconds=600)
    ann = visit(run.url)
    ann.press("a")
    ann.see("#recent li")
    clean(ann.page, "question")
    ann.press("?")
    clean(ann.page, "help")
    ann.page.keyboard.press("?")
    ann.press("z")
    clean(ann.page, "zoom")
    ann.page.keyboard.press("z")
    ann.press("s", "s")
    ann.page.wait_for_selector("text=All 3 questions are answered")
    clean(ann.page, "complete")
    ann.page.keyboard.press("Enter")
    bar(ann, 3)
    time.sleep(SHORT_SECONDS)
    lesson.go_on()
    ann.see(".curve")
    clean(ann.page, "learning")
    lesson.go_on()
    ann.see(".metrics")
    clean(ann.page, "result")


def test_axe_finds_nothing_in_a_pair(start_run, visit, clean):
    ann = visit(start_run(kind="pair", count=3).url)
    ann.press("a")
    ann.see("#recent li")
    clean(ann.page, "pair")


def test_axe_finds_nothing_among_labels(start_run, visit, clean):
    ann = visit(start_run(kind="label", count=3).url)
    ann.press("n")
    clean(ann.page, "naming")
    ann.page.keyboard.press("Enter")
    ann.see("#recent li")
    clean(ann.page, "label")
    ann.page.click("[aria-label='Rename n']")
    ann.page.wait_for_selector(".ask-name[open]")
    clean(ann.page, "rename")


def test_axe_finds_nothing_in_a_grid(start_run, visit, clean):
    ann = visit(start_run(kind="grid", count=36).url)
    ann.press("b")
    clean(ann.page, "grid")
    ann.press("Enter")
    ann.see("#recent li")
    clean(ann.page, "the next grid")
