"""What every test module shares: programs are compiled once, and given back in time."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Compiling is most of what the tests do, and takes a fraction of the time when the program need not
# be fast and XLA writes its loops the older way.
if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
    older = f"{flags} --xla_cpu_use_fusion_emitters=false"
    # An XLA that does not know a flag ends the process.
    known = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env=os.environ | {"XLA_FLAGS": older, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        check=False,
    )
    os.environ["XLA_FLAGS"] = (flags if known.returncode else older).strip()

# A program is compiled once for both workers and all processes that tests start: they find the
# first one's folder in their environment. A folder that is there before lasts.
if {"JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"} & os.environ.keys():
    _COMPILED = None
else:
    _COMPILED = tempfile.mkdtemp(prefix="idc_jax-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax
import pytest
from jaxtyping import install_import_hook

# Before any of them is imported: shapes and types are checked whenever one of their functions runs.
install_import_hook(
    [f"idc_jax.{room}" for room in ("ops", "scores", "selectors", "losses")], "shape_checks.check"
)

# What another process is still writing, or was killed at, is compiled again.
_UNREADABLE = "ignore:Error reading persistent compilation cache entry"
os.environ.setdefault("PYTHONWARNINGS", _UNREADABLE)

# XLA's CPU programs take a handful of memory maps each and the kernel grants a process 65,530
# (vm.max_map_count); past that a compilation aborts the whole process.
_MAPS_BEFORE_CLEARING = 20_000


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", _UNREADABLE)


def pytest_unconfigure() -> None:
    if _COMPILED is not None:
        shutil.rmtree(_COMPILED, ignore_errors=True)


def _memory_maps() -> int:
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else 0


@pytest.fixture(scope="module", autouse=True)
def _compiled_programs_given_back() -> Iterator[None]:
    yield
    if _memory_maps() > _MAPS_BEFORE_CLEARING:
        jax.clear_caches()
        gc.collect()
