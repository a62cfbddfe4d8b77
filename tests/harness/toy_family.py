"""A family whose points fail in every way that points do."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness.points import Family, Point, Row

LIMIT = 20.0


def points(seeds: Sequence[int]) -> Iterator[Point]:
    for seed in seeds:
        for does in ("well", "raises", "dies", "hangs", "again"):
            yield {"does": does, "seed": seed, "log": ""}


def measure(point: Point) -> Row:
    with Path(point["log"]).open("a") as log:
        log.write(f"{point['does']} {os.getpid()}\n")
    print("what a library says meanwhile")
    if point["does"] == "raises":
        raise ValueError("too few\nsamples")
    if point["does"] == "dies":
        os.write(2, b"out of luck\n")
        os._exit(3)
    if point["does"] == "hangs":
        time.sleep(600)
    return {"acc": 0.123456789, "of": [1, 2.5]}


FAMILY = Family(
    fields=("does", "seed", "log"),
    points=points,
    measure=measure,
    tables=lambda rows: {},
    shares=("seed",),
    limit=LIMIT,
)
