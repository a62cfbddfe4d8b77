"""One group of 100,000 images on the board: frames a second while it is scrolled from end to end.

    python benchmarks/page/scroll.py [--samples 100000]

Fashion-MNIST where Debian's package has installed it, else noise; images come again where there are
fewer.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from board import SCROLL, SCROLL_PX, SCROLL_SECONDS
from data import load
from key_to_paint import chromium

from idc_jax.annotate import Store
from idc_jax.annotate.page import serve

# In one gesture from the first to the last: so many pixels at once.
FAR_PX = 20_000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    options = parser.parse_args()
    found, count = load(), options.samples
    images = np.resize(found.inputs, (count, *found.inputs.shape[1:]))
    data = found._replace(inputs=images, labels=None, train=np.ones(count, bool))
    sure = np.random.default_rng(0).uniform(0.5, 1.0, count)
    # All of them in one group, but for one sample.
    probs = np.stack([sure, 1 - sure], axis=1)
    probs[0] = probs[0, ::-1]
    with (
        tempfile.TemporaryDirectory() as place,
        Store(Path(place) / "answers.db") as store,
        serve(store, data, num_clusters=2, port=0, linger_seconds=0) as site,
        chromium() as browser,
    ):
        site.show_groups(probs, np.array([-1, -1]), None, store.version())
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_init_script("localStorage.setItem('idc:name', 'Ann')")
        page = context.new_page()
        page.goto(f"{site.url}board")
        begun = time.perf_counter()
        page.click('[data-ref="cluster:0"]')
        page.wait_for_function("() => document.getElementById('grid').dataset.view")
        print(f"{count:,} images; the group is open after {time.perf_counter() - begun:.2f} s")
        for px in (SCROLL_PX, FAR_PX):
            page.keyboard.press("Home")
            times = np.diff(page.evaluate(SCROLL, [SCROLL_SECONDS, px]))
            rate, slow = 1000 / times.mean(), np.percentile(times, 95)
            at = page.evaluate("document.getElementById('grid').scrollTop")
            told = f"{rate:.1f} frames a second, 95 % of them within {slow:.1f} ms"
            print(f"{px} pixels a frame: {told} (to {at:,.0f} pixels)")


if __name__ == "__main__":
    main()
