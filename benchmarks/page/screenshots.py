"""The pictures of the page in the documentation: one of each kind of question.

    python benchmarks/page/screenshots.py docs/images

Needs Fashion-MNIST as Debian's dataset-fashion-mnist installs it, Chromium, and Playwright.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from data import NUM_CLASSES, cluster_questions, load
from key_to_paint import chromium

from idc_jax.annotate import Store, collect, label_questions, pair_questions
from idc_jax.annotate.page import serve

NAMES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
COUNT = 50


def plausible_questions(dataset):
    """Cluster questions whose candidates mostly hold the image's own class, and its like."""
    asked = cluster_questions(dataset, COUNT)
    rng = np.random.default_rng(1)
    alike = ([0, 6, 2, 4, 3], [5, 7, 9, 8, 1])
    rows = []
    for sample in asked.indices:
        group = next(group for group in alike if dataset.labels[sample] in group)
        rows.append(rng.permutation(group))
    return asked._replace(candidates=np.asarray(rows, np.int32))


def questions(kind, dataset):
    rng = np.random.default_rng(3)
    indices = rng.choice(dataset.size, (COUNT, 2), replace=False)
    if kind == "cluster":
        return plausible_questions(dataset)
    if kind == "pair":
        like = [np.flatnonzero(dataset.labels == dataset.labels[first]) for first in indices[:, 0]]
        same = rng.random(COUNT) < 0.5
        indices[same, 1] = [rng.choice(found) for found in np.asarray(like, object)[same]]
        return pair_questions(1, indices, np.zeros(COUNT))
    return label_questions(1, indices[:, 0], np.zeros(COUNT))


def answer(page, kind, asked, position, dataset):
    """Answer as somebody who knows."""
    labels = dataset.labels[asked.indices[position]]
    if kind == "cluster":
        page.keyboard.press("abcde"[asked.candidates[position].tolist().index(labels)])
    elif kind == "pair":
        page.keyboard.press("a" if labels[0] == labels[1] else "b")
    else:
        tile = page.query_selector(f'.palette [aria-label="{NAMES[labels]}"]')
        if tile:
            tile.click()
        else:
            page.keyboard.press("n")
            page.keyboard.type(NAMES[labels])
            page.keyboard.press("Enter")


def photograph(browser, kind, dataset, folder):
    with tempfile.TemporaryDirectory() as place, Store(Path(place) / "answers.db") as store:
        asked = store.freeze(questions(kind, dataset))
        with serve(
            store, dataset, num_clusters=NUM_CLASSES, port=0, grace_seconds=0.5, linger_seconds=0
        ) as served:
            threading.Thread(
                target=collect, args=(store, asked, served.annotator), daemon=True
            ).start()
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(served.url)
            page.fill("#name-input", "Ann")
            page.keyboard.press("Enter")
            for position in range(17):
                page.wait_for_selector(".question")
                answer(page, kind, asked, position, dataset)
                time.sleep(1.2)
            page.mouse.move(0, 0)
            page.screenshot(path=f"{folder}/page_{kind}.png")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    dataset = load()
    with chromium() as browser:
        for kind in ("cluster", "pair", "label"):
            photograph(browser, kind, dataset, folder)


if __name__ == "__main__":
    main()
