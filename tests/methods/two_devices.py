"""Two rounds of a method on all devices there are: ``python two_devices.py METHOD FILE.npz``."""

import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from conformance import begin, choose, make

from idc_jax.methods import registry

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        game = begin(registry.get(sys.argv[1]), Path(folder))
    first = game.ask(10)
    rng = np.random.default_rng(0)
    for _ in range(2):
        # The same questions however many devices there are.
        questions = make(game, first.kind, rng, 10)
        game.say(questions, choose(questions))
    np.savez(
        sys.argv[2],
        devices=jax.device_count(),
        asked=np.sort(first.indices.reshape(first.count, -1), axis=1),
        probabilities=game.probabilities,
    )
