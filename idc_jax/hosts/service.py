"""JAX's coordination service in a process of its own, which outlives process 0 by a few seconds.

JAX has it in process 0. Where that is killed, every other process loses the service and aborts with
a stack trace before it can say what happened; with a service that stays, they end in order.

As a program it is started by :class:`ServiceApart`, and ends with what started it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

# Seconds that the others have for their last line.
_OUTLIVES = 5.0
_OVER = b"over"


class ServiceApart:
    """In the place of JAX's own service: takes its arguments and is shut down as it is."""

    def __init__(self, address: str, processes: int, **options: Any) -> None:
        """Start it.

        Args:
          address: where it waits.
          processes: how many it brings together.
          **options: as JAX has them.
        """
        told = json.dumps({"address": address, "processes": processes, "options": options})
        self._process = subprocess.Popen(
            [sys.executable, __file__, told],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is for the run.
            start_new_session=True,
        )

    def shutdown(self) -> None:
        """End it, once all are through."""
        with contextlib.suppress(OSError):
            self._process.communicate(_OVER)


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Within it, JAX starts its service apart, where it lets itself be asked to."""
    # Nothing public says where the service runs.
    from jax._src import distributed

    library = getattr(distributed, "_jax", None)
    if not hasattr(library, "get_distributed_runtime_service"):
        yield
        return
    with mock.patch.object(library, "get_distributed_runtime_service", ServiceApart):
        yield


def _serve(told: str) -> None:
    from jaxlib import _jax

    wanted = json.loads(told)
    service = _jax.get_distributed_runtime_service(
        wanted["address"], wanted["processes"], **wanted["options"]
    )
    # The end of what started it closes this.
    if sys.stdin.buffer.read() != _OVER:
        time.sleep(_OUTLIVES)
    service.shutdown()


if __name__ == "__main__":
    _serve(sys.argv[1])
