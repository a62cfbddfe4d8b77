"""Training over several devices, and over several processes, is training on one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import parallel_run
import pytest

from idc_jax.data.residency import place
from idc_jax.errors import UserError
from idc_jax.train.parallel import make_mesh

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("parallel_run.py")


def start(devices, *arguments):
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.Popen(
        command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def figures(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def alone():
    samples = place(parallel_run.images(), 10**6)
    figures = parallel_run.train(samples)[0]
    return {**figures, "others": parallel_run.train_others(samples)[0]}


def same(found, wanted):
    for name in found.keys() & wanted.keys():
        if name == "others":
            same(found[name], wanted[name])
            continue
        # Adam's first steps are nearly the gradient's sign, which magnifies rounding.
        loose = {"rtol": 0, "atol": 5e-3} if name == "logits" else {"rtol": 1e-4}
        pair = jax.tree.leaves(found[name]), jax.tree.leaves(wanted[name])
        np.testing.assert_allclose(*pair, **loose, err_msg=name)


@pytest.mark.slow
def test_four_devices_give_the_losses_of_one(alone):
    found = figures(start(4))
    assert found["devices"] == 4
    # Every batch that the network was trained on lay split over the devices.
    assert found["split"] == [4] * found["all"] != []
    same(found, alone)


@pytest.mark.slow
@pytest.mark.parametrize(("worth", "devices"), [(0, 6), (10**6, 3)], ids=["large", "small"])
def test_two_processes_with_spread_samples_give_the_losses_of_one(alone, worth, devices):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    # Of 20 samples, six devices have four each: the first ones are there again.
    both = [start(3, address, str(process), "2", str(worth)) for process in range(2)]
    for found in [figures(process) for process in both]:
        assert found["devices"] == 6
        # A small batch lies on each process's own devices.
        assert found["split"] == [devices] * found["all"] != []
        same(found, alone)


def test_streamed_samples_give_the_losses_of_resident_ones(alone):
    images = parallel_run.images()
    found = parallel_run.train(place(images, images.nbytes // 2))[0]
    # The last losses of the fine-tuning are of fewer steps; what it led to is compared.
    del found["finetune"]
    same(found, alone)


def test_more_devices_than_there_are_is_one_line():
    with pytest.raises(UserError, match="devices is 99; there are"):
        make_mesh(99)
    assert make_mesh(1) is None
