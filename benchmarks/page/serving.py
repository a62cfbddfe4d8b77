"""A page with 70,000 small images (Fashion-MNIST, or noise), and a browser that sees it."""

import contextlib
import gzip
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks.answers.tasks import FASHION
from idc_jax.annotate import Questions, Store, collect
from idc_jax.annotate.page import serve
from idc_jax.annotate.questions import plain_roles
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError

VIEWPORT = {"width": 1280, "height": 800}
COUNT, SIDE, NUM_CLASSES = 70_000, 28, 10


def _read(name, offset):
    with gzip.open(FASHION / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=offset)


def load():
    """The images and classes, train then test."""
    if FASHION.is_dir():
        parts = ("train", "t10k")
        pixels = [_read(f"{part}-images-idx3-ubyte.gz", 16) for part in parts]
        labels = [_read(f"{part}-labels-idx1-ubyte.gz", 8) for part in parts]
        images, classes = np.concatenate(pixels), np.concatenate(labels)
    else:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, COUNT * SIDE**2, dtype=np.uint8)
        classes = rng.integers(0, NUM_CLASSES, COUNT)
    images = images.reshape(-1, SIDE, SIDE, 1)
    train = np.arange(len(images)) < 60_000
    name = "Fashion-MNIST" if FASHION.is_dir() else "noise"
    return Dataset(name, "images", images, classes.astype(np.int32), (), (), train, ())


def cluster_questions(dataset, count, seed=0):
    """``count`` cluster questions about random images, five random candidates each."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(dataset.labels == label)[:7] for label in range(NUM_CLASSES)]
    return Questions(
        kind="cluster",
        round=1,
        indices=rng.choice(dataset.size, count, replace=False).astype(np.int32),
        candidates=np.stack([rng.permutation(NUM_CLASSES)[:5] for _ in range(count)]).astype(
            np.int32
        ),
        exemplars=np.asarray([found[0] for found in members], np.int32),
        members=np.asarray([found[1:] for found in members], np.int32),
        values=np.zeros(count, np.float32),
        roles=plain_roles(count),
    )


def ask_beside(store, asked, annotator):
    """Ask in a thread, as an experiment would, until all is answered or the page is closed."""

    def ask():
        with contextlib.suppress(UserError):
            collect(store, asked, annotator)

    threading.Thread(target=ask, daemon=True).start()


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


@contextlib.contextmanager
def chromium():
    """A headless Chromium."""
    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def served(dataset, num_clusters=NUM_CLASSES, **options):
    """A store and a page that asks what is put into it."""
    options = {"linger_seconds": 0, "port": 0, **options}
    with (
        tempfile.TemporaryDirectory() as place,
        Store(Path(place) / "answers.db") as store,
        serve(store, dataset, num_clusters=num_clusters, **options) as page,
    ):
        yield store, page


def enter(browser, url):
    """The page, as somebody new to it who says a name."""
    page = browser.new_page(viewport=VIEWPORT)
    page.goto(url)
    page.fill("#name-input", "Ann")
    page.keyboard.press("Enter")
    return page


def enter_board(browser, url):
    """The board, in a browser that knows a name."""
    context = browser.new_context(viewport=VIEWPORT)
    context.add_init_script("localStorage.setItem('idc:name', 'Ann')")
    page = context.new_page()
    page.goto(f"{url}board")
    return page
