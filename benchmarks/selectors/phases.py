"""Seconds and memory of a program's phases, each printed as it ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness.figures import peak_gib, resident_gib, timed

# Seconds between two looks at the memory.
_EVERY = 0.05


class Phases:
    """A process that ends with one line once it holds more than ``limit`` GiB."""

    def __init__(self, limit: float) -> None:
        self._limit, self._peak, self._began = limit, 0.0, time.perf_counter()
        threading.Thread(target=self._watch, daemon=True).start()

    def __call__(self, name: str, function: Callable[[], Any]) -> Any:
        """What ``function`` returns, and a line on it; phases within it print theirs before."""
        outer, self._peak = self._peak, resident_gib()
        run = timed(function)
        held = f"held {resident_gib():5.2f} GiB, peak {self._peak:5.2f}, so far {peak_gib():5.2f}"
        print(f"  {name:<18} {run.wall:8.1f} s {run.cpu:8.1f} CPU s   {held}", flush=True)
        self._peak = max(outer, self._peak)
        return run.result

    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began

    def _watch(self) -> None:
        while (held := resident_gib()) <= self._limit:
            self._peak = max(self._peak, held)
            time.sleep(_EVERY)
        print(f"  more than {self._limit:g} GiB: stopped", flush=True)
        os._exit(1)
