"""The committee on rows that are spread over devices: the same as on one, and no device has all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sharded import CLUSTERS, WAVES, N, blobs, play

from idc_jax.metrics import clustering_metrics

SCRIPT = Path(__file__).with_name("sharded.py")
DEVICES = 4
_GATHERED = re.compile(r"= \w+\[([0-9,]*)\]\S* all-gather\(")
# Of so many columns is the small factor of each device: eigenvectors, and spare ones.
_WAVES = WAVES + 20


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory):
    """What four devices found, and the compiled programs by name."""
    folder = tmp_path_factory.mktemp("sharded")
    environment = {
        **os.environ,
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        "XLA_FLAGS": f"--xla_backend_optimization_level=0 --xla_dump_to={folder} "
        f"--xla_dump_hlo_as_text --xla_force_host_platform_device_count={DEVICES}",
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
    }
    command = [sys.executable, str(SCRIPT), str(folder / "found.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    programs: dict[str, int] = {}
    for file in folder.glob("*after_optimizations.txt"):
        name = file.name.split(".")[1]
        programs[name] = max(programs.get(name, 0), *_sizes(file.read_text()), 0)
    return np.load(folder / "found.npz"), programs


def _sizes(text: str) -> list[int]:
    """How many numbers each gathering of a program brings to every device."""
    return [
        np.prod([int(side) for side in shape.split(",") if side], dtype=int)
        for shape in _GATHERED.findall(text)
    ]


def test_four_devices_ask_and_predict_what_one_does(found):
    here = play(N, spread=False)
    there, _ = found
    asked = np.flatnonzero(here.ledger.evidence().asked)
    assert set(np.flatnonzero(there["asked"])) == set(asked)
    np.testing.assert_allclose(there["probabilities"], here.probabilities, atol=1e-3)


def test_what_is_wide_is_spread(found):
    there, _ = found
    wide = {"features", "plain", "smooth", "further", "neighbors", "graphs", "widest"}
    assert set(there["spread"].tolist()) == wide


def test_no_device_is_brought_all_rows_but_a_column_at_a_time(found):
    _, programs = found
    # What the run hears of each sample, and factors that do not grow with the samples.
    known = {
        "jit__near": N * CLUSTERS,
        "jit__decide": N * CLUSTERS,
        "jit__coordinates": DEVICES * _WAVES**2,
        # As many queries as there are samples here, and the neighbours of each.
        "jit__whitened": 5 * N,
    }
    assert known.keys() | {"jit__averaged", "jit_idc_from_scores", "jit__kmeans"} <= programs.keys()
    assert {name: size for name, size in programs.items() if size > known.get(name, N)} == {}


def test_samples_that_devices_do_not_divide_are_all_there(found):
    there, _ = found
    probabilities = there["odd"]
    assert probabilities.shape == (N - 3, CLUSTERS)
    _, labels = blobs(N - 3)
    assert clustering_metrics(probabilities.argmax(1), labels, CLUSTERS)["acc"] > 0.9
