"""What the page says of how things stand: who is there, what is learned, what there was before."""

from types import SimpleNamespace

import numpy as np
import pytest
from browsing import until
from run_page import make_questions
from website import Site, answer

from idc_jax.runs.answering import _shown_on


def positions(site, name, count=12):
    found = site.client.get(f"/api/questions?annotator={name}&count={count}").json()
    return [question["position"] for question in found["questions"]]


def state(site, name):
    return site.client.get(f"/api/state?annotator={name}").json()


def ask(site, store, dataset, round_=1, count=6):
    site.ask(store.freeze(make_questions("cluster", round_, count, dataset)))
    site.post("leave", annotator="x")  # who has waited for it


def test_a_changed_name_leaves_nothing_behind(store, dataset):
    site = Site(store, dataset)
    with site.client:
        ask(site, store, dataset)
        assert positions(site, "Anm") == list(range(6))
        assert positions(site, "Ann") == []
        assert site.post("leave", annotator="Anm").status_code == 200
        assert positions(site, "Ann") == list(range(6))
        assert state(site, "Ann")["others"] == 0


def test_it_knows_who_else_is_there(store, dataset):
    now = [0.0]
    site = Site(store, dataset, clock=lambda: now[0])
    with site.client:
        ask(site, store, dataset)
        assert state(site, "Bob")["others"] == 0
        assert state(site, "Ann")["others"] == 1
        now[0] = 11.0
        assert state(site, "Ann")["others"] == 0


def test_it_counts_what_is_learned_from_all_rounds_and_no_skips(store, dataset):
    site = Site(store, dataset, grace_seconds=0.0)
    with site.client:
        for round_ in (1, 2):
            ask(site, store, dataset, round_, 4)
            for place in range(4):
                said = "skip" if place == 3 else "none"
                site.post(**answer(place, f"c{round_}{place}", round=round_, answer=said))
            site.thread.join(5)
            assert state(site, "Ann")["learns_from"] == 3 * round_


def test_a_run_that_goes_on_is_compared_with_what_was_before():
    shown = []
    page = SimpleNamespace(show_result=shown.append, progress=lambda values: None)
    notify = _shown_on(page)
    probabilities = np.eye(3)[[0, 1, 2, 0]]
    entry = {"outlook": None, "health": {"live_clusters": 3.0}, "questions": 5}
    scores = {"acc": 0.5}, {"acc": 0.75}
    notify("resumed", {**entry, "round": 1, "metrics": scores[0], "probabilities": probabilities})
    assert not shown
    notify("evaluated", {**entry, "round": 2, "metrics": scores[1], "probabilities": probabilities})
    (result,) = shown
    assert (result["before"], result["after"]) == scores
    assert len(result["galleries_before"]) == 3


@pytest.mark.browser
def test_pictures_that_were_lost_come_when_the_server_is_back(start_run, visit):
    run = start_run(count=12)
    ann = visit(run.url)
    ann.has_ahead(8)
    ann.page.route("**/pictures/**", lambda route: route.abort())
    ann.press("s", "s", "s")
    whole = "nodes => nodes.length === 3 && nodes.every(node => node.naturalWidth > 0)"
    pictures = "#recent img"
    ann.page.wait_for_function("document.querySelectorAll('#recent img').length === 3")
    ann.page.reload()  # its pictures are kept no more
    ann.see("#recent li")
    assert not ann.page.eval_on_selector_all(pictures, whole)
    ann.page.unroute("**/pictures/**")
    until(lambda: ann.page.eval_on_selector_all(pictures, whole), "the pictures")


@pytest.mark.browser
def test_nobody_else_is_told_of_where_nobody_is(start_run, visit):
    run = start_run(count=3)
    ann = visit(run.url, "Anm")
    ann.has_ahead(2)
    bob = visit(run.url, "Bob")
    bob.see("text=other people are giving them")
    # The name is put right, and what was kept for the other one is there at once.
    bob.close()
    ann.page.click("#who")
    ann.page.fill("#name-input", "Ann")
    ann.page.keyboard.press("Enter")
    ann.press("a", "b", "c")
    rows = run.wait_for(3)
    assert [row.annotator for row in rows] == ["Ann"] * 3
