"""The page's server without a browser: its application under Starlette's test client."""

import json
import threading
from contextlib import suppress

import pytest
from run_page import digits, make_questions
from starlette.testclient import TestClient

from idc_jax.annotate.page.app import build_app
from idc_jax.annotate.page.guard import Guard
from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.page.session import Session
from idc_jax.errors import UserError

HOST = "127.0.0.1:8765"
_asking = []


class Site:
    def __init__(self, store, dataset, *, token=None, votes=1, grace_seconds=30.0, **options):
        self.store = store
        pictures = Pictures(dataset)
        settings = {"title": "digits", "max_groups": 10} | options
        self.session = Session(
            store, pictures, votes=votes, grace_seconds=grace_seconds, **settings
        )
        app = build_app(self.session, pictures, run="r1", title="<digits>")
        hosts = ("127.0.0.1", "localhost") if token is None else None
        guarded = Guard(app, hosts=hosts, token=token)
        self.client = TestClient(guarded, base_url=f"http://{HOST}", raise_server_exceptions=False)
        self.thread = None

    def ask(self, questions):
        self.thread = threading.Thread(target=self._ask, args=(questions,), daemon=True)
        self.thread.start()
        _asking.append(self)
        while self.session.state("x")["phase"] != "asking":
            pass

    def _ask(self, questions):
        with suppress(UserError):  # the test is over
            self.session.ask(questions)

    def post(self, kind="answer", *, headers=None, **body):
        content = json.dumps(body)
        headers = {"Content-Type": "application/json"} | (headers or {})
        return self.client.post(f"/api/{kind}", content=content, headers=headers)


def answer(position=0, client_id=None, **fields):
    return {
        "client_id": client_id or f"c{position}",
        "annotator": "Ann",
        "round": 1,
        "position": position,
        "answer": "none",
        "seconds": 1.5,
    } | fields


def leave():
    """Have nobody ask any more, so that the store can be closed."""
    while _asking:
        site = _asking.pop()
        site.session.finish()
        site.thread.join(30)
        assert not site.thread.is_alive()


@pytest.fixture
def dataset():
    return digits()


@pytest.fixture
def site(store, dataset):
    found = Site(store, dataset)
    with found.client:
        found.ask(store.freeze(make_questions("cluster", 1, 6, dataset)))
        yield found
