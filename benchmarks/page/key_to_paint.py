"""From a key press to the next question painted, measured in a headless Chromium.

    python benchmarks/page/key_to_paint.py [--answers 300] [--pause 0.15]

70,000 images, cluster questions, every third key a different answer. The page itself measures:
from the time stamp of the key event to the end of the frame that shows the next question.
"""

import argparse
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from data import ask_beside, cluster_questions, load
from playwright.sync_api import sync_playwright

from idc_jax.annotate import Store
from idc_jax.annotate.page import serve

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


@contextmanager
def chromium():
    """A headless Chromium."""
    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


def measure(url, answers, pause):
    """Milliseconds ``[answers]``."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.fill("#name-input", "Ann")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.body.dataset.ahead >= 30")
        for number in range(answers):
            page.wait_for_selector(".question")
            page.keyboard.press("abcden"[number % 6])
            time.sleep(pause)
        measured = page.evaluate(
            "performance.getEntriesByName('idc:key-to-paint').map(entry => entry.duration)"
        )
        return np.asarray(measured)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between keys")
    options = parser.parse_args()
    dataset = load()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "answers.db") as store:
        asked = store.freeze(cluster_questions(dataset, options.answers + 20))
        with serve(store, dataset, num_clusters=10, port=0, linger_seconds=0) as page:
            ask_beside(store, asked, page.annotator)
            found = measure(page.url, options.answers, options.pause)
        rows = len(store.rows())
    quantiles = np.percentile(found, [50, 90, 99])
    print(f"{dataset.name}, {dataset.size} images, {len(found)} answers, {rows} rows in the store")
    print("key to paint, ms: median {:.1f}, p90 {:.1f}, p99 {:.1f}".format(*quantiles))


if __name__ == "__main__":
    main()
