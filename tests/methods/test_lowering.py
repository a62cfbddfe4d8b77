"""Every program of a method lowers for CUDA and TPU, with nothing that they lack or wait for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from idc_jax.methods import registry

SCRIPT = Path(__file__).with_name("lowering.py")


@pytest.mark.slow
def test_all_programs_lower_for_accelerators() -> None:
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
    }
    # One process for all methods: what they share is compiled once.
    command = [sys.executable, SCRIPT, *registry.names()]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for method in registry.names():
        assert len({one["program"] for one in found if one["method"] == method}) >= 8, method
    assert [one for one in found if one.get("unwanted") or "error" in one] == []
