"""What the page and the board take, in a headless Chromium and beside many annotators.

    python -m benchmarks page --what key_to_paint
    IDC_BOARD_IMAGES=FILE.npz python -m benchmarks page --what board    # images of one's own

Of the board the images are those that the file's ``images`` ``[n, h, w, c]`` hold, Fashion-MNIST
where Debian's package has installed it, or noise. The graph committee clusters them by the first
principal components of their pixels; the groups are poor, but what is measured needs no good ones.
"""

import http.client
import json
import multiprocessing
import os
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness.points import Family
from benchmarks.harness.tables import table
from benchmarks.page.serving import (
    ask_beside,
    chromium,
    cluster_questions,
    enter,
    enter_board,
    load,
    served,
)
from idc_jax import Session
from idc_jax.data.base import Dataset

# Answers on the page, and seconds between two.
ANSWERS, PAUSE = 300, 0.15
ANNOTATORS, QUESTIONS = 20, 500
SAMPLES, GROUPS, COMPONENTS, MOVED = 10_000, 20, 64, 200
PORT = 8768
# Images of one group, scrolled in one gesture by so many pixels each frame.
MANY, FAR_PX = 100_000, 20_000
# Frames of so many seconds, scrolled by so many pixels each.
SCROLL_SECONDS, SCROLL_PX = 5, 60
SCROLL = """([seconds, step]) => new Promise((resolve) => {
  const grid = document.getElementById("grid"), times = [];
  const frame = (now) => {
    times.push(now);
    grid.scrollTop += step;
    if (now - times[0] < 1000 * seconds) requestAnimationFrame(frame);
    else resolve(times);
  };
  requestAnimationFrame(frame);
})"""
FIRST_PICTURES = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => name.includes("/sheet/")).map(({ responseEnd }) => responseEnd)"""


def _percentiles(name, times, *wanted):
    """Milliseconds under the names of their percentiles."""
    found = np.percentile(times, wanted)
    return {f"{name}, ms: p{p}": float(value) for p, value in zip(wanted, found, strict=True)}


def _painted(page):
    """Milliseconds from each key event to the end of the frame that shows what it did."""
    return page.evaluate(
        "performance.getEntriesByName('idc:key-to-paint').map(entry => entry.duration)"
    )


def key_to_paint():
    """From a key press to the next question painted; every key another answer."""
    dataset = load()
    with served(dataset) as (store, site), chromium() as browser:
        ask_beside(store, store.freeze(cluster_questions(dataset, ANSWERS + 20)), site.annotator)
        page = enter(browser, site.url)
        page.wait_for_function("() => document.body.dataset.ahead >= 30")
        for number in range(ANSWERS):
            page.wait_for_selector(".question")
            page.keyboard.press("abcden"[number % 6])
            time.sleep(PAUSE)
        found = _painted(page)
        rows = len(store.rows())
    return {"images": dataset.size, "rows in the store": rows} | _percentiles(
        "key to paint", found, 50, 90, 99
    )


def _annotate(address, name, count, times):
    connection = http.client.HTTPConnection(address)
    for position in range(count):
        body = {
            "client_id": f"{name}-{position}",
            "annotator": name,
            "round": 1,
            "position": position,
            "answer": "none",
            "seconds": 0.1,
        }
        begun = time.perf_counter()
        connection.request(
            "POST", "/api/answer", json.dumps(body), {"Content-Type": "application/json"}
        )
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        reply.read()
        times.append(time.perf_counter() - begun)


def _crowd(url, annotators, count, queue):
    """All annotators at once; puts the seconds of every post, and of all, into ``queue``."""
    address, times = urlsplit(url).netloc, []
    threads = [
        threading.Thread(target=_annotate, args=(address, f"person {i}", count, times))
        for i in range(annotators)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.put((times, time.perf_counter() - begun))


def crowd():
    """Annotators who answer without a pause, in a process of their own, as browsers would be."""
    dataset, context = load(), multiprocessing.get_context("spawn")
    queue = context.Queue()
    with served(dataset, votes=ANNOTATORS) as (store, site):
        ask_beside(store, store.freeze(cluster_questions(dataset, QUESTIONS)), site.annotator)
        process = context.Process(target=_crowd, args=(site.url, ANNOTATORS, QUESTIONS, queue))
        process.start()
        times, seconds = queue.get()
        process.join()
        kept = [row.client_id for row in store.rows()]
    wanted = {f"person {i}-{j}" for i in range(ANNOTATORS) for j in range(QUESTIONS)}
    told = {"answers a second": len(times) / seconds, "lost": len(wanted - set(kept))}
    told["double"] = len(kept) - len(set(kept))
    return told | _percentiles("post", 1000 * np.asarray(times), 50, 99, 100)


class Shown(Session):
    """A session about vectors that shows images."""

    images: Dataset

    def _shown(self) -> Dataset:
        return self.images


def principal(images):
    """The first components of pixels, float32 ``[n, 64]``."""
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    x -= x.mean(axis=0)
    _, vectors = np.linalg.eigh(x.T @ x)
    return x @ vectors[:, -COMPONENTS:]


def _serve(images):
    """A session on its page, in a thread; returns once it is there."""
    session = Shown(principal(images), GROUPS)
    nobody = np.ones(len(images), bool)
    session.images = Dataset("images", "images", images, None, (), (), nobody, ())
    threading.Thread(target=lambda: session.serve(port=PORT), daemon=True).start()
    url = f"http://127.0.0.1:{PORT}/"
    while True:
        try:
            urllib.request.urlopen(url).close()
            return url
        except OSError:
            time.sleep(0.1)


def wait_until_learned(page):
    """Until all that was said is learned and shown."""
    page.wait_for_function(
        "version => document.body.dataset.learned === 'true'"
        " && document.body.dataset.version !== version",
        arg=page.evaluate("document.body.dataset.version"),
        timeout=120_000,
        polling=20,
    )


def move(page, group, name):
    """Select so many of a group, move them; seconds until that is learned and shown."""
    page.click(f'[data-ref="cluster:{group}"]')
    page.wait_for_function("() => document.getElementById('grid').dataset.view")
    for key in ("Home", "Space"):
        page.keyboard.press(key)
    while page.evaluate("parseInt(document.getElementById('selected').textContent)") < MOVED:
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("m")
    page.keyboard.type(name)
    begun = time.perf_counter()
    page.keyboard.press("Enter")
    wait_until_learned(page)
    return time.perf_counter() - begun


def _scrolled(page, px):
    times = np.diff(page.evaluate(SCROLL, [SCROLL_SECONDS, px]))
    slow = float(np.percentile(times, 95))
    return {
        f"frames a second, {px} px": float(1000 / times.mean()),
        f"p95 frame, {px} px, ms": slow,
    }


def board():
    """First paint, scrolling, moves that are learned, and keys."""
    file = os.environ.get("IDC_BOARD_IMAGES")
    images = (np.load(file)["images"] if file else load().inputs)[:SAMPLES]
    url = _serve(images)
    with chromium() as browser:
        page = enter_board(browser, url)
        page.wait_for_function(f"() => ({FIRST_PICTURES})().length >= 3")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        pictures = float(np.sort(page.evaluate(FIRST_PICTURES))[2])
        told = {"images": len(images), "first paint, ms": paint, "pictures, ms": pictures}
        told |= _scrolled(page, SCROLL_PX)
        # The first round is open, and its learning prepared for.
        page.wait_for_function("() => document.getElementById('standing').textContent", timeout=0)
        time.sleep(30)
        for group in (3, 5, 7):
            told[f"{MOVED} of group {group} moved, s"] = move(page, group, f"group {group}")
        page.evaluate("performance.clearMeasures()")
        for number in range(200):
            page.keyboard.press(("ArrowRight", "Space", "ArrowDown", "Shift+ArrowLeft")[number % 4])
            time.sleep(0.05)
        return told | _percentiles("key to paint", _painted(page), 50, 95, 99)


def scroll():
    """One group of many images on the board, scrolled in small steps and from end to end."""
    found = load()
    images = np.resize(found.inputs, (MANY, *found.inputs.shape[1:]))
    data = found._replace(inputs=images, labels=None, train=np.ones(MANY, bool))
    sure = np.random.default_rng(0).uniform(0.5, 1.0, MANY)
    # All of them in one group, but for one sample.
    probs = np.stack([sure, 1 - sure], axis=1)
    probs[0] = probs[0, ::-1]
    with served(data, 2) as (store, site), chromium() as browser:
        site.show_groups(probs, np.array([-1, -1]), None, store.version())
        page = enter_board(browser, site.url)
        begun = time.perf_counter()
        page.click('[data-ref="cluster:0"]')
        page.wait_for_function("() => document.getElementById('grid').dataset.view")
        told = {"images": MANY, "open, s": time.perf_counter() - begun}
        for px in (SCROLL_PX, FAR_PX):
            page.keyboard.press("Home")
            told |= _scrolled(page, px)
    return told


MEASURES = {"key_to_paint": key_to_paint, "board": board, "scroll": scroll, "crowd": crowd}


def tables(rows):
    """A line for each figure."""
    lines = [
        [row["what"], name, f"{value:,.4g}"]
        for row in rows
        for name, value in row.items()
        if name != "what"
    ]
    return {Path("page.md"): table(["what", "figure", ""], lines) + "\n"}


FAMILY = Family(
    fields=("what",),
    points=lambda seeds: ({"what": name} for name in MEASURES),
    measure=lambda point: MEASURES[point["what"]](),
    tables=tables,
)
