"""One measurement in a process of its own: its peak memory is its own, too.

    python -m benchmarks.selectors.point greedy/idc_jax 60000 512 500 synthetic 300

Prints one line of JSON at the end.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.selectors import data, ours, peers
from benchmarks.selectors.timing import give_up_after, peak_gib, resident_gib
from idc_jax import selectors

Measure = Callable[..., dict[str, Any]]

# What each of them must be able to import beside this project.
CASES: dict[str, tuple[str | None, Measure]] = {
    "greedy/floor": (None, ours.greedy_floor),
    "greedy/idc_jax": (None, ours.greedy),
    "greedy/numpy": (None, ours.greedy_numpy),
    "greedy/torch": ("torch", peers.torch_greedy),
    "knn/floor": (None, ours.knn_floor),
    "knn/idc_jax": (None, ours.knn),
    "knn/approximate": (None, ours.approximate),
    "knn/faiss": ("faiss", peers.faiss_knn),
    "knn/faiss_ivf": ("faiss", peers.faiss_ivf),
    "knn/torch": ("torch", peers.torch_knn),
    "kmeans/idc_jax": (None, ours.kmeans),
    "kmeans/sklearn": ("sklearn", peers.sklearn_kmeans),
    "kmeans/faiss": ("faiss", peers.faiss_kmeans),
    "whole/idc_jax": (None, ours.whole),
    "scale/idc_jax": (None, ours.scale),
    "partitioned/idc_jax": (None, ours.partitioned),
    "peer/submodlib facility_location": ("submodlib", peers.submodlib_facility_location),
    "peer/apricot facility_location": ("apricot", peers.apricot_facility_location),
    "peer/skactiveml probcover": ("skactiveml", peers.skactiveml_probcover),
}
for _name in ("MaxHerding", "TypiClust", "CoreSet"):
    _measure = functools.partial(peers.skactiveml, _name)
    CASES[f"peer/skactiveml {_name}"] = ("skactiveml", _measure)
for _name in selectors.names():
    CASES[f"baseline/{_name}"] = (None, functools.partial(ours.baseline, _name))
for _name in ("facility_location", "max_herding"):
    CASES[f"targets/{_name}"] = (None, functools.partial(ours.targets, _name))
    _measure = functools.partial(ours.baseline, _name, num_targets=None)
    CASES[f"baseline/{_name}, all targets"] = (None, _measure)


def say(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), flush=True)


def main(arguments: list[str]) -> None:
    name, n, d, budget, kind, limit = arguments
    needs, measure = CASES[name]
    if needs:
        importlib.import_module(needs)
    x = data.features(int(n), int(d)) if kind == "synthetic" else data.real_features(int(n))
    before = {"data_gib": resident_gib()}
    give_up_after(float(limit), before, say)
    figures = measure(x, int(budget))
    say(figures | before | {"peak_gib": peak_gib()})


if __name__ == "__main__":
    main(sys.argv[1:])
