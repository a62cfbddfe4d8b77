"""The board in a headless Chromium: first paint, scrolling, a move of 200 learned, key to paint.

    python benchmarks/page/board.py [--images FILE.npz] [--samples 10000]

``FILE.npz`` holds ``images`` ``[n, h, w, c]`` of bytes; without it, Fashion-MNIST where Debian's
package has installed it, else noise. The graph committee clusters them by the first principal
components of their pixels, so the groups are poor; what is measured does not depend on it.
"""

import argparse
import threading
import time
import urllib.request

import numpy as np
from data import load
from key_to_paint import chromium

from idc_jax import Session
from idc_jax.data.base import Dataset

GROUPS, COMPONENTS, MOVED = 20, 64, 200
PORT = 8768
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


def serve(images, port):
    """A session on its page, in a thread; returns once it is there."""
    session = Shown(principal(images), GROUPS)
    nobody = np.ones(len(images), bool)
    session.images = Dataset("images", "images", images, None, (), (), nobody, ())
    threading.Thread(target=lambda: session.serve(port=port), daemon=True).start()
    url = f"http://127.0.0.1:{port}/"
    while True:
        try:
            urllib.request.urlopen(url).close()
            return url
        except OSError:
            time.sleep(0.1)


def arrive(browser, url):
    """A board in a browser that has not seen it before, and how long that took in milliseconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script("localStorage.setItem('idc:name', 'Ann')")
    page = context.new_page()
    page.goto(f"{url}board")
    page.wait_for_function(f"() => ({FIRST_PICTURES})().length >= 3")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    pictures = np.sort(page.evaluate(FIRST_PICTURES))[2]
    return page, paint, float(pictures)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    images = np.load(options.images)["images"] if options.images else load().inputs
    images = images[: options.samples]
    url = serve(images, PORT)
    with chromium() as browser:
        page, paint, pictures = arrive(browser, url)
        print(f"{len(images)} images; first paint {paint:.0f} ms, pictures {pictures:.0f} ms")
        times = np.diff(page.evaluate(SCROLL, [SCROLL_SECONDS, SCROLL_PX]))
        rate, slow = 1000 / times.mean(), np.percentile(times, 95)
        print(f"scrolling: {rate:.1f} frames a second, 95 % of them within {slow:.1f} ms")
        # The first round is open, and its learning prepared for.
        page.wait_for_function("() => document.getElementById('standing').textContent", timeout=0)
        time.sleep(30)
        moves = [move(page, group, f"group {group}") for group in (3, 5, 7)]
        told = ", ".join(f"{seconds:.2f}" for seconds in moves)
        print(f"{MOVED} selected and moved, learned and shown after {told} s")
        page.evaluate("performance.clearMeasures()")
        for number in range(200):
            page.keyboard.press(("ArrowRight", "Space", "ArrowDown", "Shift+ArrowLeft")[number % 4])
            time.sleep(0.05)
        found = page.evaluate(
            "performance.getEntriesByName('idc:key-to-paint').map(entry => entry.duration)"
        )
        quantiles = np.percentile(found, [50, 95, 99])
        print("key to paint, ms: median {:.1f}, p95 {:.1f}, p99 {:.1f}".format(*quantiles))


if __name__ == "__main__":
    main()
