"""Lower every program of some methods for machines that are not here, and print what is in them.

``python lowering.py METHOD...`` plays two rounds of each. ``jax.jit`` is replaced before the
package is imported, so that each program is lowered for CUDA and TPU with the arguments that it
meets. A line of JSON for each program and method: their names, and where the program is new what
it must not hold, and why it did not lower.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax

PLATFORMS = ("cuda", "tpu")
JIT = jax.jit
# What no accelerator has, or what keeps it waiting.
UNWANTED = {
    "float64": re.compile(r"xf64>|tensor<f64>"),
    "callback": re.compile(r"callback"),
    "dynamic shape": re.compile(r"tensor<[^>]*\?"),
}
seen: set[tuple[Any, ...]] = set()
met: set[tuple[str, int]] = set()
playing = ""


class Lowered:
    """A jitted function that is lowered elsewhere, too, whenever it meets new shapes."""

    def __init__(self, function: Any, **options: Any) -> None:
        self._jitted = JIT(function, **options)
        self.__wrapped__ = function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jitted, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten((args, kwargs))
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            shapes = tuple(
                (leaf.shape, str(leaf.dtype)) if hasattr(leaf, "shape") else repr(leaf)
                for leaf in leaves
            )
            key = (id(self), tree, shapes)
            if key not in seen:
                seen.add(key)
                self._tell(args, kwargs)
            elif (playing, id(self)) not in met:
                print(json.dumps(self._named()), flush=True)
            met.add((playing, id(self)))
        return self._jitted(*args, **kwargs)

    def _named(self) -> dict[str, str]:
        name = f"{self.__wrapped__.__module__}.{self.__wrapped__.__name__}"
        return {"method": playing, "program": name}

    def _tell(self, args: Any, kwargs: Any) -> None:
        found: dict[str, Any] = self._named()
        try:
            lowered = self._jitted.trace(*args, **kwargs).lower(lowering_platforms=PLATFORMS)
            text = lowered.as_text()
            found["unwanted"] = [name for name, told in UNWANTED.items() if told.search(text)]
        except Exception as error:  # Whatever it is, the test tells it.
            found["error"] = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps(found), flush=True)


def jit(function: Any = None, **options: Any) -> Any:
    return Lowered(function, **options) if function else lambda f: Lowered(f, **options)


def play(method: str) -> None:
    import numpy as np
    from conformance import begin, choose, make

    from idc_jax.methods import registry

    with tempfile.TemporaryDirectory() as folder:
        game = begin(registry.get(method), Path(folder))
        for _ in range(2):
            kind = game.ask(10).kind
            questions = make(game, kind, np.random.default_rng(0), 10)
            game.say(questions, choose(questions))


if __name__ == "__main__":
    jax.jit = jit
    for playing in sys.argv[1:]:
        play(playing)
