"""What is made of many rows is the same to the bit on 1, 2, 4 and 8 devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from rows_by_devices import DEVICES, MADE

from idc_jax.ops import blocks

SCRIPT = Path(__file__).with_name("rows_by_devices.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    file = tmp_path_factory.mktemp("rows_by_devices") / "found.npz"
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={DEVICES[-1]}"
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
    }
    command = [sys.executable, str(SCRIPT), str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(file))


@pytest.mark.parametrize("devices", DEVICES[1:])
@pytest.mark.parametrize("name", MADE)
def test_devices_make_what_one_makes(found: dict[str, np.ndarray], name: str, devices: int) -> None:
    np.testing.assert_array_equal(found[f"{name}_{devices}"], found[f"{name}_1"])


@pytest.mark.parametrize("size", [50, 8191, 8192, 12_345, 20_000])
@pytest.mark.parametrize("block", [7, 4096, 20_000])
def test_every_row_is_added_once(size: int, block: int) -> None:
    x = np.random.default_rng(size).integers(-99, 99, (size, 3))

    def total(fresh: jnp.ndarray, rows: jnp.ndarray) -> jnp.ndarray:
        return jnp.sum(rows, axis=0, where=fresh[:, None])

    rows = jnp.asarray(x, jnp.float32)
    np.testing.assert_array_equal(blocks.sum_rows(total, (rows,), block), x.sum(0))
    np.testing.assert_array_equal(blocks.total(rows[:, 0]), x[:, 0].sum())
