"""What goes wrong on the way from a key to the disk, in a real Chromium: nothing may be lost."""

import subprocess

import pytest
from browsing import FLAGS, Person, find_chromium, until

from idc_jax.annotate import NONE_OF_THESE, SKIP

pytestmark = pytest.mark.browser


def choices(rows):
    return {row.position: row.choice for row in rows}


def test_undo_across_a_reload(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.press("a", "b", "c")
    run.wait_for(3)
    ann.page.reload()
    ann.see()
    assert ann.page.locator("#recent li").count() == 3
    ann.press("u")
    ann.see(f".subject img[src$='/{run.questions().indices[2]}']")
    ann.press("e")
    run.wait_for(5)
    assert choices(run.live())[2] == run.questions().candidates[2][4]
    assert len(run.live()) == 3


@pytest.mark.parametrize("away", ["server", "network"])
def test_the_server_goes_away_in_mid_round(start_run, visit, away):
    run = start_run(process=away == "server", count=12)
    ann = visit(run.url)
    ann.press("a", "b", "c")
    run.wait_for(3)
    ann.has_ahead(8)
    if away == "server":
        run.kill()
    else:
        ann.go_offline(True)
    ann.press("d", "e", "n", "s")
    ann.reads("#saved", "No connection: 4 kept here")
    assert len(run.rows()) == 3
    if away == "server":
        # The page starts the round anew, which is a key press lost if it happens at one.
        with ann.page.expect_response(lambda reply: "/api/questions" in reply.url and reply.ok):
            run.start()
    else:
        ann.go_offline(False)
    rows = run.wait_for(7)
    asked = run.questions()
    assert [row.position for row in rows] == list(range(7))
    assert [row.choice for row in rows[3:]] == [
        asked.candidates[3][3],
        asked.candidates[4][4],
        NONE_OF_THESE,
        SKIP,
    ]
    ann.reads("#saved", "All saved")
    ann.press(*"aaaaa")
    assert len(run.answers()) == 12
    assert len(run.rows()) == 12


def test_answers_that_wait_survive_a_reload(start_run, visit):
    run = start_run(count=12)
    ann = visit(run.url)
    ann.press("a")
    run.wait_for(1)
    refused = []
    ann.page.route("**/api/answer", lambda route: (refused.append(1), route.abort()))
    ann.press("b", "c")
    ann.page.reload()
    before = len(refused)
    until(lambda: ann.page.title() and len(refused) > before, "the reloaded page trying again")
    assert len(run.rows()) == 1
    ann.page.unroute("**/api/answer")
    rows = run.wait_for(3)
    assert [row.position for row in rows] == [0, 1, 2]


def test_a_post_whose_reply_was_lost_counts_once(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.has_ahead(3)
    lost = []

    def lose(route):
        if len(lost) < 2:
            lost.append(route.fetch())  # the server has answered, but the page never hears it
            route.abort()
        else:
            route.continue_()

    ann.page.route("**/api/answer", lose)
    ann.press("a", "b")
    # What the page does is heard while it is asked.
    until(lambda: ann.page.inner_text("#saved") == "All saved" and len(lost) == 2, "all saved")
    assert [row.position for row in run.rows()] == [0, 1]


def test_an_undo_whose_reply_is_late_counts_once(start_run, visit):
    run = start_run()
    ann = visit(run.url)
    ann.press("a", "b")
    run.wait_for(2)
    late = []
    ann.page.route("**/api/undo", lambda route: late.append((route, route.fetch())))
    ann.press("u")
    until(lambda: ann.page.title() and late, "the undo on its way back")
    for _ in range(2):  # the first may have left before the undo came
        with ann.page.expect_response("**/api/state*"):
            pass
    assert ann.page.inner_text("#standing").startswith("1 of 40 ")
    ((route, reply),) = late
    route.fulfill(response=reply)
    ann.reads("#saved", "All saved")
    assert ann.page.inner_text("#standing").startswith("1 of 40 ")


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
        process.communicate()


def test_the_browser_is_killed(start_run, visit, browser, own_chromium):
    run = start_run(count=12)
    process, address = own_chromium(run.url)
    other = browser.browser_type.connect_over_cdp(address)
    pages = until(lambda: [p for c in other.contexts for p in c.pages if run.url in p.url], "page")
    Person(browser, run.url, page=pages[0]).press(*"abc")
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

    def all_answered():
        for person in people:
            if person.page.query_selector(".question"):
                person.page.keyboard.press("a")
        return len(run.rows()) >= 20

    until(all_answered, "twenty answers")
    assert len(run.answers()) == 20
    rows = run.rows()
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
