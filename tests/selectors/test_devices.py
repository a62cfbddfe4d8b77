"""The picks are the same on one device, on eight, and on two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import selector_inputs as cases

from idc_jax import ops, selectors

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("device_run.py")
# One of each kind of loop: farthest first, by clusters, lazy coverage, drawn by a key.
KINDS = ("idc", "dsac", "typiclust", "facility_location", "badge")


def start(num_devices: int, names: tuple[str, ...], *arguments: str) -> subprocess.Popen:
    # The same flags as here, where the picks on one device are made.
    flags = [
        os.environ.get("XLA_FLAGS", ""),
        f"--xla_force_host_platform_device_count={num_devices}",
    ]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": " ".join(flags),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(SCRIPT), ",".join(names), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def result(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def alone(names: tuple[str, ...]) -> dict:
    """The picks on one device."""
    inputs = cases.make(cases.N)
    found = {name: cases.picks(name, inputs, cases.BUDGET).tolist() for name in names}
    return found | {"knn": np.asarray(ops.knn(inputs.embeddings, 5).indices).tolist()}


@pytest.mark.slow
def test_eight_devices():
    process = start(8, selectors.names())
    expected = alone(selectors.names())
    found = result(process)
    assert found["devices"] == 8
    assert found["picks"] == expected


@pytest.mark.slow
def test_two_processes():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    first, second = (start(2, KINDS, address, "2", str(i)) for i in range(2))
    expected = alone(KINDS)
    found = result(first)
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert found["devices"] == 4
    assert found["picks"] == expected
