"""Two rounds of methods on all devices there are: ``python two_devices.py FOLDER METHOD...``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from conformance import begin, choose, make

from idc_jax.methods import registry


def play(method: str, target: Path) -> None:
    """Play two rounds of ``method``, and leave what came of it in the file ``target``."""
    with tempfile.TemporaryDirectory() as folder:
        game = begin(registry.get(method), Path(folder))
    first = game.ask(10)
    rng = np.random.default_rng(0)
    for _ in range(2):
        # The same questions however many devices there are.
        questions = make(game, first.kind, rng, 10)
        game.say(questions, choose(questions))
    np.savez(
        target,
        devices=jax.device_count(),
        asked=np.sort(first.indices.reshape(first.count, -1), axis=1),
        probabilities=game.probabilities,
    )


if __name__ == "__main__":
    for name in sys.argv[2:]:
        play(name, Path(sys.argv[1]) / f"{name}.npz")
