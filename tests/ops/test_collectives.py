"""What devices send each other in a search is what the design says, and no more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("collectives.py")


@pytest.fixture(scope="module")
def found():
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4",
    }
    done = subprocess.run([sys.executable, SCRIPT], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_round_the_ring_a_shard_is_sent_once_a_step(found):
    assert found["around"] == {"collective-permute": 1}


def test_a_step_of_the_ring_sends_a_shard_once(found):
    assert found["handed"] == {"collective-permute": 1}


def test_copies_are_searched_in_parts_and_only_what_was_found_is_sent(found):
    # Distances and indices, once each.
    assert found["divided"] == {"all-gather": 2}


def test_all_find_what_one_device_finds(found):
    assert found["same"] == dict.fromkeys(
        ("around", "divided", "searched", "among", "closed"), True
    )
