"""The pictures of the page in the documentation: one of each kind of question, and the board.

    python -m benchmarks.page.screenshots docs/images

Needs Fashion-MNIST as Debian's dataset-fashion-mnist installs it, Chromium, and Playwright.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.page.serving import (
    NUM_CLASSES,
    VIEWPORT,
    ask_beside,
    chromium,
    cluster_questions,
    enter,
    load,
    served,
)
from idc_jax.annotate import label_questions, pair_questions
from idc_jax.annotate.questions import grid_questions, plain_roles

NAMES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
KINDS = ("cluster", "pair", "label", "grid")
# Samples of a grid, and grids that are answered before the picture is taken.
GRID, GRIDS_ANSWERED = 16, 3
COUNT, ANSWERED = 50, 17


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


def grids(dataset):
    """Groups that are nearly pure: of ten samples nine are of the group."""
    rng = np.random.default_rng(4)
    groups = np.repeat(rng.permutation(NUM_CLASSES)[: COUNT // GRID + 2], GRID)
    wanted = np.where(rng.random(len(groups)) < 0.1, (groups + 1) % NUM_CLASSES, groups)
    own = [
        rng.permutation(np.flatnonzero(dataset.labels == k)).tolist() for k in range(NUM_CLASSES)
    ]
    rows = np.asarray([own[label].pop() for label in wanted])
    return grid_questions(1, rows, groups, np.zeros(len(rows)), plain_roles(len(rows)))


def questions(kind, dataset):
    if kind == "grid":
        return grids(dataset)
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
            page.keyboard.type(NAMES[labels])
            page.keyboard.press("Enter")


def mark_strangers(page, asked, start, dataset):
    """Click on the strangers of the grid that begins at ``start``."""
    for place in range(GRID):
        sample, group = asked.indices[start + place], asked.candidates[start + place, 0]
        if dataset.labels[sample] != group:
            page.locator(".one").nth(place).click()


def answer_grids(page, asked, dataset):
    """Answer some grids, and mark the strangers of the next one."""
    for number in range(GRIDS_ANSWERED + 1):
        page.wait_for_selector(
            f"#screen:not([aria-busy]) [aria-label='Thought to be "
            f"{NAMES[asked.candidates[number * GRID, 0]]}']"
        )
        mark_strangers(page, asked, number * GRID, dataset)
        if number < GRIDS_ANSWERED:
            page.keyboard.press("Enter")


def photograph_question(browser, kind, dataset, folder):
    with served(dataset, grace_seconds=600.0) as (store, site):
        asked = store.freeze(questions(kind, dataset))
        ask_beside(store, asked, site.annotator)
        if kind == "grid":
            for number, name in enumerate(NAMES):
                store.name_group(name, name, int(np.flatnonzero(dataset.labels == number)[0]))
        page = enter(browser, site.url)
        if kind == "grid":
            answer_grids(page, asked, dataset)
        for position in range(ANSWERED if kind != "grid" else 0):
            page.wait_for_selector(".question")
            answer(page, kind, asked, position, dataset)
            time.sleep(1.2)  # as a person would, for the rate in the header
        page.mouse.move(0, 0)
        page.screenshot(path=f"{folder}/page_{kind}.png")
        page.close()


def experiment(store, site, dataset):
    """Two rounds of three questions, and something like training after each."""
    few = questions("pair", dataset)
    few = few._replace(indices=few.indices[:3], candidates=few.candidates[:3])
    for round_ in (1, 2):
        collect(store, store.freeze(few._replace(round=round_)), site.annotator)
        for step in range(1, 31):
            loss = 0.4 + 1.6 * np.exp(-step / 8) + 0.05 * np.sin(5 * step)
            parts = {"positive": 0.6 * loss, "negative": 0.1 * loss, "regularisation": 0.3 * loss}
            values = {"phase": "finetune", "step": 10 * step, "steps": 500, "loss": loss}
            site.progress(values | parts)
            time.sleep(0.15)
        site.show_result(learned(dataset, round_))
    site.finish()


def learned(dataset, round_):
    rng = np.random.default_rng(round_)
    own = [np.flatnonzero(dataset.labels == k) for k in range(NUM_CLASSES)]
    like = [np.concatenate([samples, own[k - 3][:2000]]) for k, samples in enumerate(own)]
    return {
        "round": round_,
        "before": {"acc": 0.707, "nmi": 0.644, "ari": 0.561, "fmi": 0.607},
        "after": {"acc": 0.764, "nmi": 0.674, "ari": 0.612, "fmi": 0.599},
        "galleries_before": [rng.choice(samples, 12) for samples in like],
        "galleries_after": [samples[:12] for samples in own],
    }


def photograph_board(browser, dataset, folder):
    """A group in which most is right, and a few that are not, selected."""
    rng = np.random.default_rng(5)
    wrong = rng.random(dataset.size) < 0.08
    clusters = np.where(wrong, rng.integers(0, NUM_CLASSES, dataset.size), dataset.labels)
    sure = np.where(wrong, rng.uniform(0.25, 0.6, dataset.size), rng.beta(8, 1, dataset.size))
    rest = (1 - sure)[:, None] / (NUM_CLASSES - 1)
    probs = np.where(np.eye(NUM_CLASSES)[clusters] > 0, sure[:, None], rest)
    with served(dataset, grace_seconds=600.0) as (store, site):
        for number, name in enumerate(NAMES):
            store.name_group(name, name, int(np.flatnonzero(clusters == number)[0]))
        site.show_groups(probs, np.arange(NUM_CLASSES), None, store.version())
        page = browser.new_page(viewport=VIEWPORT)
        page.goto(f"{site.url}board")
        page.fill("#name-input", "Ann")
        page.keyboard.press("Enter")
        page.click('[data-ref="id:5"]')
        page.wait_for_function("() => document.getElementById('grid').dataset.view")
        order = np.flatnonzero(clusters == 5)
        order = order[np.argsort(probs[order, 5], kind="stable")]
        for at in np.flatnonzero(dataset.labels[order[:36]] != 5)[:9].tolist():
            page.keyboard.press("Home")
            for _ in range(at):
                page.keyboard.press("ArrowRight")
            page.keyboard.press("Space")
        page.wait_for_load_state("networkidle")
        page.screenshot(path=f"{folder}/board.png")
        page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    dataset = load()
    with chromium() as browser:
        for kind in KINDS:
            photograph_question(browser, kind, dataset, folder)
        photograph_board(browser, dataset, folder)


if __name__ == "__main__":
    main()
