"""Selectors beside their peers and their floors: seconds, memory, and whether the picks hold.

    python -m benchmarks selectors                                    # half an hour on two cores
    python -m benchmarks selectors --case knn/idc_jax knn/faiss
    python -m benchmarks selectors --case agreement/idc --here --out=runs/gpu   # on a GPU
    python -m benchmarks selectors --report       # results/selectors.md, and the plot of growth

Each has a process of its own, so that its peak memory is its own, too; a peer that isn't installed
is told in one line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from benchmarks.harness.figures import device_gib, machine, peak_gib, resident_gib
from benchmarks.harness.points import Family, Point, Row
from benchmarks.selectors import data, ours, peers, report
from idc_jax import selectors

_NAMES = tuple(name for name in selectors.names() if selectors.get(name).asks == "samples")
_HERDING = ("facility_location", "max_herding")
_SKACTIVEML = ("MaxHerding", "TypiClust", "CoreSet")

# ``(x, budget) -> figures``.
CASES: dict[str, Callable[[np.ndarray, int], dict[str, Any]]] = {
    "greedy/floor": ours.greedy_floor,
    "greedy/idc_jax": ours.greedy,
    "greedy/numpy": ours.greedy_numpy,
    "greedy/torch": peers.torch_greedy,
    "knn/floor": ours.knn_floor,
    "knn/idc_jax": ours.knn,
    "knn/approximate": ours.approximate,
    "knn/torch": peers.torch_knn,
    "knn/faiss": peers.faiss_knn,
    "knn/faiss_ivf": peers.faiss_ivf,
    "kmeans/idc_jax": ours.kmeans,
    "kmeans/sklearn": peers.sklearn_kmeans,
    "kmeans/faiss": peers.faiss_kmeans,
    "whole/idc_jax": ours.whole,
    **{f"baseline/{name}": partial(ours.baseline, name) for name in _NAMES},
    **{
        f"baseline/{name}, all targets": partial(ours.baseline, name, num_targets=None)
        for name in _HERDING
    },
    **{f"targets/{name}": partial(ours.targets, name) for name in _HERDING},
    "peer/submodlib facility_location": peers.submodlib_facility_location,
    "peer/apricot facility_location": peers.apricot_facility_location,
    **{f"peer/skactiveml {name}": partial(peers.skactiveml, name) for name in _SKACTIVEML},
    "peer/skactiveml probcover": peers.skactiveml_probcover,
    "scale/idc_jax": ours.scale,
    "partitioned/idc_jax": ours.partitioned,
    **{f"agreement/{name}": partial(ours.agreement, name) for name in _NAMES},
}
_SMALL = (
    *(f"baseline/{name}, all targets" for name in _HERDING),
    *(f"baseline/{name}" for name in ("typiclust", "k_center", "probcover")),
    *(case for case in CASES if case.startswith("peer/")),
)
# Samples, numbers each, picks -> what is measured on so many.
_SYNTHETIC: dict[tuple[int, int, int], Sequence[str]] = {
    (60_000, 512, 500): [
        case
        for case in CASES
        if case.startswith(("greedy/", "knn/", "kmeans/", "whole/", "baseline/"))
        and not case.endswith("all targets")
    ],
    (30_000, 512, 500): [case for case in CASES if case.startswith("targets/")],
    (10_000, 512, 100): _SMALL,
    # Small enough for a CPU to pick, too.
    (5_000, 64, 50): [case for case in CASES if case.startswith("agreement/")],
    **{(n, 128, 500): ["scale/idc_jax"] for n in (10_000, 30_000, 300_000)},
    **{(n, 128, 500): ["scale/idc_jax", "partitioned/idc_jax"] for n in (100_000, 1_000_000)},
}
_REAL = ("knn/floor", "knn/idc_jax", "knn/approximate", "knn/faiss_ivf")
FIELDS = ("case", "n", "d", "budget", "data")


def points(seeds: Sequence[int]) -> Iterator[Point]:
    """All measurements; they draw nothing that a seed would change."""
    del seeds
    made = (
        (case, *size, "synthetic")
        for size, cases in sorted(_SYNTHETIC.items(), reverse=True)
        for case in cases
    )
    real = ((case, 60_000, 256, 0, "real") for case in _REAL)
    for values in itertools.chain(made, real):
        yield dict(zip(FIELDS, values, strict=True))


@lru_cache(maxsize=1)
def _samples(kind: str, n: int, d: int) -> np.ndarray:
    return data.features(n, d) if kind == "synthetic" else data.real_features(n)


def measure(point: Point) -> Row:
    """Time one case."""
    x = _samples(point["data"], point["n"], point["d"])
    held = {"data_gib": resident_gib()}
    jax.clear_caches()  # or the first call of a case would not compile
    figures = CASES[point["case"]](x, point["budget"])
    device = device_gib()
    held |= {"peak_gib": peak_gib()} | ({} if device is None else {"device_gib": device})
    return {"machine": machine(), **figures, **held}


FAMILY = Family(FIELDS, points, measure, report.tables, limit=600.0, keeps_limit=True)
