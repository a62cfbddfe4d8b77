"""The picks are the same on one device, on eight, and on two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("device_run.py")


def start(num_devices: int, *arguments: str) -> subprocess.Popen:
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(SCRIPT), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def result(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def alone() -> dict:
    return result(start(1))


@pytest.mark.slow
def test_eight_devices(alone):
    found = result(start(8))
    assert found["devices"] == 8
    assert found["picks"] == alone["picks"]


@pytest.mark.slow
def test_two_processes(alone):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    first, second = (start(2, address, "2", str(i)) for i in range(2))
    found = result(first)
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert found["devices"] == 4
    assert found["picks"] == alone["picks"]
