"""Selection on one device in one process: seconds, memory, and whether the picks hold.

    python -m benchmarks.selectors.together [--n=60000] [--large=1000000]

For a GPU, where starting a process costs more than measuring. A line of JSON for each case: the
cases of ``point.py`` at ``n`` × 512, IDC from embeddings to picks at ``large`` × 128, and for each
selector whether a second call picks the same and how many of its picks a CPU makes, too.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.selectors import data
from benchmarks.selectors.point import CASES
from idc_jax import selectors

TIMED = (
    "greedy/floor",
    "greedy/idc_jax",
    "knn/floor",
    "knn/idc_jax",
    "kmeans/idc_jax",
    "whole/idc_jax",
    "baseline/typiclust",
    "baseline/max_herding",
    "baseline/k_center",
)
# Small enough for a CPU to pick, too.
_SAME = (5_000, 64, 50)


def device_gib() -> float | None:
    """The most memory that the device has held so far."""
    stats = jax.devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] / 2**30 if stats else None


def picked(name: str, x: np.ndarray, budget: int, device: jax.Device) -> list[int]:
    """What a selector picks on ``device``."""
    with jax.default_device(device):
        z = jnp.asarray(x)
        chances = jnp.asarray(data.probabilities(x, x[: data.CLASSES]))
        inputs = selectors.SelectorInputs(z, chances, z[: data.CLASSES], jnp.argmax(chances, 1))
        found = selectors.get(name).select(jax.random.key(0), inputs, budget)
        return found.indices.tolist()


def agreement(name: str) -> dict[str, Any]:
    """Whether a selector repeats itself, and how many of its picks a CPU makes, too."""
    n, d, budget = _SAME
    x = data.features(n, d)
    first, second = (picked(name, x, budget, jax.devices()[0]) for _ in range(2))
    cpu = picked(name, x, budget, jax.devices("cpu")[0])
    return {"repeats": first == second, "as_cpu": len(set(first) & set(cpu)), "of": budget}


def say(case: str, since: float, figures: dict[str, Any]) -> None:
    kept = {name: value for name, value in figures.items() if name != "picks"}
    spent = time.perf_counter() - since
    print(json.dumps({"case": case, "spent": spent, "gib": device_gib(), **kept}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="0 leaves it out")
    flags = parser.parse_args()
    print(json.dumps({"device": jax.devices()[0].device_kind, "jax": jax.__version__}), flush=True)
    x = data.features(flags.n, 512)
    for case in TIMED:
        since = time.perf_counter()
        say(f"{case} {flags.n} x 512", since, CASES[case][1](x, 500))
    for name in selectors.names():
        if selectors.get(name).asks == "samples":
            since = time.perf_counter()
            say(f"picks/{name}", since, agreement(name))
    if flags.large:
        x = data.features(flags.large, 128)
        since = time.perf_counter()
        say(f"scale/idc_jax {flags.large} x 128", since, CASES["scale/idc_jax"][1](x, 500))


if __name__ == "__main__":
    main()
