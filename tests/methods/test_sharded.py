"""Methods on rows that are spread over devices: the same as on one, and no device has all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sharded import CLUSTERS, LOOKING, WAVES, N, blobs, composed, looked_at, of_blocks, play

from idc_jax.metrics import clustering_metrics

SCRIPT = Path(__file__).with_name("sharded.py")
DEVICES = 4
_GATHERED = re.compile(r"= \w+\[([0-9,]*)\]\S* all-gather\(")
# Of so many columns is the small factor of each device: eigenvectors, and spare ones.
_WAVES = WAVES + 20


class Found(NamedTuple):
    """What four devices found, and the largest gathering of each compiled program by its name."""

    values: Mapping[str, np.ndarray]
    programs: dict[str, int]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Found]:
    @cache
    def play_on_four(method: str) -> Found:
        folder = tmp_path_factory.mktemp(method)
        environment = {
            **os.environ,
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "XLA_FLAGS": f"--xla_backend_optimization_level=0 --xla_dump_to={folder} "
            f"--xla_dump_hlo_as_text --xla_force_host_platform_device_count={DEVICES}",
            "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
        }
        command = [sys.executable, str(SCRIPT), str(folder), method]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        programs: dict[str, int] = {}
        for file in folder.glob("*after_optimizations.txt"):
            name = file.name.split(".")[1]
            programs[name] = max(programs.get(name, 0), *_sizes(file.read_text()), 0)
        return Found(np.load(folder / f"{method}.npz"), programs)

    return play_on_four


def _sizes(text: str) -> list[int]:
    """How many numbers each gathering of a program brings to every device."""
    return [
        np.prod([int(side) for side in shape.split(",") if side], dtype=int)
        for shape in _GATHERED.findall(text)
    ]


# By method: what is spread of its context, and the gatherings that are larger than a column of all
# rows. These are what a run hears of each sample, and factors that do not grow with the samples.
SPREAD = {
    "graph_committee": {"features", "plain", "smooth", "further", "graphs", "widest"},
    "idc": {"compared"},
    "dsac": {"embeddings", "neighbors"},
    "ipc": {"embeddings", "graph", "near"},
}
GATHERED = {
    "graph_committee": {
        "jit__near": N * CLUSTERS,
        "jit__decide": N * CLUSTERS,
        "jit__coordinates": DEVICES * _WAVES**2,
        # As many queries as there are samples here, and the neighbours of each.
        "jit__whitened": 5 * N,
    },
    "idc": {"jit__first": N * CLUSTERS, "jit_spread_along": N * CLUSTERS},
    "dsac": {"jit__first": N * CLUSTERS, "jit_spread_along": N * CLUSTERS},
    "ipc": {
        "jit__first": N * CLUSTERS,
        "jit_spread_along": N * CLUSTERS,
        "jit__whitened": 5 * N,
        # Two groups of each sample: what is known of pairs.
        "jit__pick": 2 * N,
    },
}
SEEN = {
    "graph_committee": {"jit__averaged", "jit_idc_from_scores", "jit__kmeans"},
    "idc": {"jit__over_rows", "jit__rows_at", "jit_smooth", "jit__kmeans"},
    "dsac": {"jit__over_rows", "jit__rows_at", "jit__dsac", "jit__run"},
    "ipc": {"jit__over_rows", "jit__rows_at", "jit__pick", "jit__exceeded_by"},
}
# What is spread of the state, where a network's embeddings are compared.
MOVING = {"idc_network": {"compared"}, "dsac_network": {"embeddings"}, "pcl": {"embeddings"}}
METHODS = pytest.mark.parametrize("method", list(SPREAD))


def _questions(asked: np.ndarray) -> set[frozenset[int]]:
    """What each question of a round is about."""
    return {frozenset(np.atleast_1d(row).tolist()) for row in asked}


@METHODS
def test_four_devices_ask_and_predict_what_one_does(found, method):
    there = found(method).values
    if method == "graph_committee":
        here = play(N, spread=False)
        asked = here.ledger.evidence().asked
        np.testing.assert_array_equal(there["asked"], asked)
    else:
        here, asked = composed(method)
        assert [*map(_questions, there["asked"])] == [*map(_questions, asked)]
    np.testing.assert_allclose(there["probabilities"], here.probabilities, atol=1e-3)


@METHODS
def test_what_is_wide_is_spread(found, method):
    assert {*found(method).values["spread"].tolist()} == SPREAD[method]


@METHODS
def test_no_device_is_brought_all_rows_but_a_column_at_a_time(found, method):
    programs = found(method).programs
    known = GATHERED[method]
    assert known.keys() | SEEN[method] <= programs.keys()
    assert {name: size for name, size in programs.items() if size > known.get(name, N)} == {}


@METHODS
def test_samples_that_devices_do_not_divide_are_all_there(found, method):
    probabilities = found(method).values["odd"]
    assert probabilities.shape == (N - 3, CLUSTERS)
    _, labels = blobs(N - 3)
    assert clustering_metrics(probabilities.argmax(1), labels, CLUSTERS)["acc"] > 0.9


@pytest.mark.parametrize("name", list(LOOKING))
def test_samples_that_fit_on_all_devices_together_are_spread(found, name):
    there = found(name).values
    assert there["spread"]
    assert {*there["state"].tolist()} == MOVING.get(name, set())
    # Here they are streamed.
    here, asked = looked_at(name)
    # A network was trained: sums over devices are rounded otherwise, and near ties may turn.
    ours, theirs = (_questions(rows[0]) for rows in (there["asked"], asked))
    assert len(ours & theirs) >= 0.8 * len(theirs)
    apart = np.abs(there["probabilities"] - here.probabilities).max(1)
    assert np.quantile(apart, 0.95) < 2e-3
    assert apart.max() < 0.05


def test_no_device_is_brought_the_pairs_of_all_blocks(found):
    programs = found("pcl").programs
    # 26 blocks of 40 samples, and 2 of padding.
    rows = 28 * 40
    seen = {"jit__pcl", "jit__random_pairs", "jit__turning_point", "jit__taken", "jit__rows_at"}
    assert seen <= programs.keys()
    # What a run hears of each sample, and the outputs of one block in a step of the training.
    known = {"jit__first": rows * CLUSTERS, "jit__run": 40 * 256}
    assert {name: size for name, size in programs.items() if size > known.get(name, rows)} == {}


def test_pairs_of_blocks_are_the_same_wherever_the_blocks_are(found):
    for name, wanted in of_blocks(spread=False).items():
        np.testing.assert_array_equal(found("pcl").values[name], wanted)


@pytest.mark.parametrize("name", list(LOOKING))
def test_a_network_looks_at_samples_that_devices_do_not_divide(found, name):
    _, labels = blobs(N - 3)
    there, here = found(name).values["odd"], looked_at(name, N - 3)[0].probabilities
    assert there.shape == here.shape
    ours, theirs = (
        clustering_metrics(found.argmax(1), labels, CLUSTERS)["acc"] for found in (there, here)
    )
    assert abs(ours - theirs) < 0.05
