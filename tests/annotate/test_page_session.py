"""What the page tells of a run: who answers what, the training as it goes, the results."""

import json
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from run_page import make_questions
from website import Site, answer

from idc_jax.annotate import collect
from idc_jax.annotate.page import serve
from idc_jax.errors import UserError


def test_questions_are_leased_and_given_to_others_later(store, dataset):
    now = [0.0]
    site = Site(store, dataset, clock=lambda: now[0])
    with site.client:
        site.ask(store.freeze(make_questions("cluster", 1, 20, dataset)))

        def get(name, count, held="", spare=""):
            query = f"annotator={name}&count={count}&held={held}&spare={spare}"
            found = site.client.get(f"/api/questions?{query}").json()
            return [question["position"] for question in found["questions"]], found["taken"]

        # Eight are kept for Ann, the other four are hers until somebody else wants them.
        assert get("Ann", 12) == (list(range(12)), [])
        assert get("Bob", 8) == (list(range(8, 16)), [])
        assert get("Ann", 0, "0,1,2", "8,9") == ([], [8, 9])
        now[0] = 50.0
        get("Ann", 0, "0,1")  # still at these two
        now[0] = 70.0
        assert get("Bob", 3, "8,9") == ([2, 3, 4], [])
        # An undone answer is nobody else's, even before the undo arrives.
        site.post(**answer(0, annotator="Ann"))
        assert get("Ann", 0, "0,1") == ([], [])


def test_results_and_progress_survive_json(site):
    site.session.progress({"loss": float("nan"), "step": np.int64(3), "share": np.float32(0.5)})
    site.session.show_result({"after": {"acc": np.float64(1)}, "galleries_after": [np.arange(3)]})
    state = site.client.get("/api/state?annotator=Ann").json()
    assert state["progress"] == {"loss": None, "step": 3, "share": 0.5}
    assert state["results"] == 1
    assert state["result"] == {"after": {"acc": 1.0}, "galleries_after": [[0, 1, 2]]}


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        (
            {"phase": "pretrain", "pretrain/epoch": 3, "pretrain/epochs": 150},
            {"phase": "pretrain", "epoch": 3, "epochs": 150},
        ),
        ({"phase": "finetune", "step": 50, "steps": 500}, None),
        ({"phase": "train", "epoch": 1, "epochs": 4}, None),
    ],
    ids=str,
)
def test_the_page_hears_how_far_the_training_is(site, logged, shown):
    site.session.progress(logged)
    assert site.client.get("/api/state?annotator=Ann").json()["progress"] == (shown or logged)


def test_a_page_that_is_closed_lets_the_experiment_go(store, dataset):
    questions = store.freeze(make_questions("pair", 1, 3, dataset))
    ended = []

    def experiment(page):
        try:
            collect(store, questions, page.annotator)
        except UserError as error:
            ended.append(str(error))

    with serve(store, dataset, num_clusters=10, port=0, linger_seconds=0) as page:
        thread = threading.Thread(target=experiment, args=(page,))
        thread.start()
    thread.join(30)
    assert ended == ["the page was closed before all its questions were answered"]


def test_another_phase_of_training_has_a_curve_of_its_own(site):
    site.session.progress({"phase": "pretrain", "pretrain/loss": 5.0})
    site.session.progress({"phase": "finetune", "loss": 2.0})
    site.session.progress({"phase": "finetune", "loss": 1.0})
    assert site.client.get("/api/state?annotator=Ann").json()["losses"] == [2.0, 1.0]


def posted(request):
    """The status, once the questions are open: until then the page asks for patience."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 503:
                raise
            time.sleep(0.1)
    raise AssertionError("the questions never opened")


def test_the_served_page_collects(store, dataset, tmp_path):
    """Over a real socket: what the thread of the experiment gets is what was posted."""
    questions = store.freeze(make_questions("pair", 1, 3, dataset))
    with serve(
        store, dataset, num_clusters=10, port=0, grace_seconds=0.0, linger_seconds=0
    ) as page:
        got = []
        thread = threading.Thread(
            target=lambda: got.append(collect(store, questions, page.annotator))
        )
        thread.start()
        for position, said in enumerate(("same", "different", "skip")):
            body = json.dumps(answer(position, answer=said)).encode()
            request = urllib.request.Request(
                f"{page.url}api/answer", body, {"Content-Type": "application/json"}
            )
            assert posted(request) == 200
        thread.join(10)
    assert got[0].choice.tolist() == [1, 0, -2]
