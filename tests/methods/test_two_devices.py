"""Every method finds on two devices what it finds on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from two_devices import play

from idc_jax.methods import registry

SCRIPT = Path(__file__).with_name("two_devices.py")


def test_two_devices_agree_with_one(tmp_path: Path) -> None:
    # One process for all: what they share is compiled once.
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
    }
    command = [sys.executable, str(SCRIPT), str(tmp_path), *registry.names()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert jax.device_count() == 1
    for method in registry.names():
        play(method, tmp_path / "one.npz")
        one, two = (np.load(tmp_path / f"{name}.npz") for name in ("one", method))
        assert int(two["devices"]) == 2, method
        # Sums over devices are rounded otherwise, and near ties may turn.
        first, second = ({tuple(row) for row in found["asked"].tolist()} for found in (one, two))
        assert len(first & second) >= 0.8 * len(first), method
        apart = np.abs(one["probabilities"] - two["probabilities"]).max(1)
        assert np.quantile(apart, 0.95) < 2e-3, method
        assert apart.max() < 0.05, method
