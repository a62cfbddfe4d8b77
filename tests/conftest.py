"""What every test module shares: compiled programs are given back in time."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

# Compiling is most of what the tests do, and takes half as long when the program need not be fast.
if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
    ).strip()

import jax
import pytest
from jaxtyping import install_import_hook

# Before any of them is imported: shapes and types are checked whenever one of their functions runs.
install_import_hook(
    [f"idc_jax.{room}" for room in ("ops", "scores", "selectors", "losses")], "shape_checks.check"
)

# XLA's CPU programs take a handful of memory maps each and the kernel grants a process 65,530
# (vm.max_map_count); past that a compilation aborts the whole process.
_MAPS_BEFORE_CLEARING = 20_000


def _memory_maps() -> int:
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else 0


@pytest.fixture(scope="module", autouse=True)
def _compiled_programs_given_back() -> Iterator[None]:
    yield
    if _memory_maps() > _MAPS_BEFORE_CLEARING:
        jax.clear_caches()
        gc.collect()
