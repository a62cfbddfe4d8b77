"""What the committee finds on rows that are spread over devices: ``python sharded.py FILE``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import jax
import numpy as np
from playing import Game

from idc_jax.data.residency import place, place_rows
from idc_jax.methods import registry
from idc_jax.methods.contract import Parts
from idc_jax.ops import sharded
from idc_jax.train.parallel import make_mesh

N, DIMS, CLUSTERS, WAVES = 1024, 24, 4, 8


def blobs(num_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples ``[n, d]`` of four groups that touch, and their groups."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLUSTERS, num_samples)
    middles = rng.normal(size=(CLUSTERS, DIMS))
    return (middles[labels] + rng.normal(size=(num_samples, DIMS))).astype(np.float32), labels


def play(num_samples: int, *, spread: bool, budgets: Sequence[int] = (CLUSTERS, 10, 10)) -> Game:
    """One question for each group, and then others, by value."""
    samples, labels = blobs(num_samples)
    data, repeats = place(samples, 1 << 30), 0
    if spread:
        data, repeats = place_rows(samples, sharded.rows_over(make_mesh()))
    spec = registry.get("graph_committee")
    few = {"coordinates": WAVES, "iterations": 5, "poisson": 5, "steps": 20, "restarts": 1}
    options = {"graph_committee": spec.options["graph_committee"](opening=0.0, **few)}
    parts = Parts(None, None, data, CLUSTERS, None, repeats=repeats)
    game = Game(spec.build(parts, options), num_samples, 40)
    for budget in budgets:
        questions = game.ask(budget)
        game.say(questions, labels[questions.indices])
    return game


def main() -> None:
    # One column of all rows at a time.
    sharded._COLUMNS = N
    game = play(N, spread=True)
    context = game.context.space._asdict()
    spread = {
        name: all(4 * len(leaf.addressable_shards[0].data) == len(leaf) for leaf in leaves)
        for name, leaves in ((name, jax.tree.leaves(part)) for name, part in context.items())
    }
    np.savez(
        sys.argv[1],
        asked=game.ledger.evidence().asked,
        probabilities=game.probabilities,
        odd=play(N - 3, spread=True, budgets=(24,)).probabilities,
        spread=[name for name, found in spread.items() if found],
    )


if __name__ == "__main__":
    main()
