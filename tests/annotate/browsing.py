"""Fixtures for tests in a real browser: a Chromium, a person at the page, a run to be killed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from idc_jax.annotate import Store

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOW = "the page was not tried in a browser: install Chromium and `pip install playwright`"
WAIT_SECONDS = 60


def find_chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


# Not for the whole session: while it is open, no test can run an event loop of its own.
@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason=HOW)
    executable = find_chromium()
    if executable is None:
        pytest.skip(HOW)
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield launched
        launched.close()


def until(condition, what, seconds=WAIT_SECONDS):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.02)
    return value


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Run:
    """A run of ``run_page.py`` that can be killed and started again on its store."""

    def __init__(self, folder, **options):
        self.path = folder / "answers.db"
        self.options = {
            "store": str(self.path),
            "port": free_port(),
            "kind": "cluster",
            "count": 40,
            "rounds": 1,
            "votes": 1,
            "grace_seconds": 0.5,
            "learn_seconds": 0.5,
        } | options
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/annotate/run_page.py"), json.dumps(self.options)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), "the run did not start"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def answers(self):
        """The answers of the next round, once it is complete."""
        return json.loads(self.process.stdout.readline())

    def store(self):
        return Store(self.path)

    def rows(self):
        with self.store() as store:
            return store.rows()

    def live(self, round_=1):
        with self.store() as store:
            return store.live(round_)

    def questions(self, round_=1):
        with self.store() as store:
            return store.questions(round_)

    def wait_for(self, count):
        return until(lambda: len(rows := self.rows()) >= count and rows, f"{count} rows")


class Person:
    """Somebody at the page, in a browser profile of their own."""

    def __init__(self, browser, url, name="Ann", **options):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * WAIT_SECONDS)
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self._note(message))
        self.page.goto(url)
        self.page.fill("#name-input", name)
        self.page.keyboard.press("Enter")

    def _note(self, message):
        # A server that is down is part of some tests; anything else on the console is not.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def see(self, selector=".question"):
        return self.page.wait_for_selector(selector)

    def press(self, *keys):
        for key in keys:
            self.see()
            self.page.keyboard.press(key)
            time.sleep(0.03)  # what comes faster from one key is taken for a bounce

    def shown(self):
        """The indices of the samples of the question on the screen, read from its pictures."""
        sources = self.page.eval_on_selector_all(
            ".question .subject img", "nodes => nodes.map(node => node.src)"
        )
        return [int(source.rsplit("/", 1)[1]) for source in sources]

    def close(self):
        self.context.close()
        assert self.errors == []


@pytest.fixture
def start_run(tmp_path):
    runs = []

    def start(**options):
        runs.append(Run(tmp_path, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()


@pytest.fixture
def visit(browser):
    people = []

    def come(url, name="Ann", **options):
        people.append(Person(browser, url, name, **options))
        return people[-1]

    yield come
    for person in people:
        person.close()
