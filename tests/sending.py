"""What a training sends the device from one span of its steps to the next: nothing unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import jax

from idc_jax.train import engine, pretrain


@contextmanager
def nothing_sent() -> Iterator[list[range]]:
    """Every span of a training's steps under a guard; yields a list that grows by each of them.

    On a CPU the guard catches NumPy's arrays and Python's numbers that meet a compiled function or
    an array, but for what is sent by name, with ``jax.device_put``. It does not catch what is
    fetched, which is free there, nor what a program holds that is compiled meanwhile.
    """
    spans: list[range] = []
    drive = engine.drive

    def guarded(carry: Any, todo: Any, advance: Callable[..., Any], tell: Any, **how: Any) -> Any:
        def alone(span: range, carry: Any) -> Any:
            spans.append(span)
            with jax.transfer_guard("disallow"):
                return advance(span, carry)

        return drive(carry, todo, alone, tell, **how)

    with mock.patch.object(engine, "drive", guarded), mock.patch.object(pretrain, "drive", guarded):
        yield spans
