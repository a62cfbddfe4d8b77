"""What the tests in a real browser share: a Chromium, people at the page, runs that ask them."""

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from run_page import NUM_CLASSES, digits, play

from idc_jax.annotate import Store
from idc_jax.annotate.page import serve

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # a container's is often too small
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOW = "the page was not tried in a browser: install Chromium and `pip install playwright`"
# For one thing to happen on a machine that is busy with ten others.
WAIT_SECONDS = 120
TAKES_KEYS = "#screen:not([aria-busy]) .question"  # not one that has been answered
BOUNCE_SECONDS = 0.03  # what comes faster from one key is taken for a bounce


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
        launched = playwright.chromium.launch(
            executable_path=executable, args=FLAGS, timeout=1000 * WAIT_SECONDS
        )
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


class Asked:
    """What a run has asked, and what its store holds, read by a connection of its own."""

    def __init__(self, folder):
        self.path = folder / "answers.db"

    def read(self, what):
        with Store(self.path) as store:
            return what(store)

    def rows(self):
        return self.read(Store.rows)

    def live(self, round_=1):
        return self.read(lambda store: store.live(round_))

    def questions(self, round_=1):
        return self.read(lambda store: store.questions(round_))

    def wait_for(self, count):
        return until(lambda: len(rows := self.rows()) >= count and rows, f"{count} rows")


class Run(Asked):
    """A run in this process; a thread stands in for the experiment."""

    def __init__(
        self, folder, *, votes=1, grace_seconds=0.5, num_clusters=NUM_CLASSES, data=None, **asked
    ):
        super().__init__(folder)
        self._open = ExitStack()
        self._store = self._open.enter_context(Store(self.path))
        self._page = self._open.enter_context(ExitStack())
        options = {"num_clusters": num_clusters, "votes": votes, "grace_seconds": grace_seconds}
        page = self._page.enter_context(
            serve(self._store, data or digits(), port=0, linger_seconds=0, **options)
        )
        self.url, self.page = page.url, page
        self._answers, self._failed = queue.Queue(), []
        self._thread = threading.Thread(
            target=self._play, args=(page,), kwargs=asked | {"data": data}, daemon=True
        )
        self._thread.start()

    def _play(self, page, **asked):
        try:
            play(page, self._store, self._answers.put, **asked)
        except Exception as error:
            self._failed.append(str(error))

    def answers(self):
        """The answers of the next round, once it is complete."""
        return self._answers.get(timeout=WAIT_SECONDS)

    def close(self):
        """Stop asking, and the server."""
        self._page.close()
        self._thread.join(WAIT_SECONDS)
        self._open.close()
        assert self._failed in ([], ["the page was closed before all its questions were answered"])


class Process(Asked):
    """A run in a process of its own, which can be killed and started again on its store."""

    script = "run_page.py"

    def __init__(self, folder, **asked):
        super().__init__(folder)
        self._options = {"store": str(self.path), "port": free_port(), **asked}
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/annotate" / self.script), json.dumps(self._options)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http://"), "the run did not start"

    def kill(self):
        self._process.kill()
        self._process.communicate()

    close = kill

    def answers(self):
        """The answers of the next round, once it is complete."""
        return json.loads(self._process.stdout.readline())


class Person:
    """Somebody at the page, in a browser profile of their own or at a page that is open."""

    def __init__(self, browser, url, name="Ann", *, page=None, **options):
        self._context = None
        if page is None:
            size = {"width": 1280, "height": 800}
            self._context = browser.new_context(**{"viewport": size} | options)
            page = self._context.new_page()
        self.page = page
        page.set_default_timeout(1000 * WAIT_SECONDS)
        self.errors = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._note(message))
        if url:
            self.come(url if self._context else None, name)

    def come(self, url, name="Ann"):
        """Go to the page, unless it is open, and say who one is."""
        if url:
            self.page.goto(url)
        self.page.fill("#name-input", name)
        self.page.keyboard.press("Enter")

    def _note(self, message):
        # A server that is down is part of some tests; anything else on the console is not.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def go_offline(self, away):
        self._context.set_offline(away)

    def see(self, selector=TAKES_KEYS):
        return self.page.wait_for_selector(selector)

    def has_ahead(self, count):
        """Wait until one question takes keys and so many more could be painted at once."""
        # Those behind it may be here before the first one is.
        self.see()
        self.page.wait_for_function("count => document.body.dataset.ahead >= count", arg=count)

    def press(self, *keys):
        for key in keys:
            self.see()
            self.page.keyboard.press(key)
            time.sleep(BOUNCE_SECONDS)

    def reads(self, selector, text):
        """Wait until that is what stands there."""
        until(lambda: self.page.inner_text(selector) == text, f"{text!r} in {selector}")

    def shown(self):
        """The indices of the samples of the question on the screen, read from its pictures."""
        sources = self.page.eval_on_selector_all(
            ".question .subject img", "nodes => nodes.map(node => node.src)"
        )
        return [int(source.rsplit("/", 1)[1]) for source in sources]

    def close(self):
        if self._context:
            self._context.close()
        assert self.errors == []


@pytest.fixture
def start_run(tmp_path):
    """Starts a :class:`Run`, or a :class:`Process` with ``process=True``."""
    runs = []

    def start(*, process=False, **options):
        runs.append((Process if process else Run)(tmp_path, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


@pytest.fixture
def visit(browser):
    people = []

    def come(url, name="Ann", **options):
        people.append(Person(browser, url, name, **options))
        return people[-1]

    yield come
    for person in people:
        person.close()
