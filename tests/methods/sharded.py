"""What methods find on rows that are spread over devices: ``python sharded.py FOLDER METHOD``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from conformance import compose
from playing import Game

from idc_jax.annotate.questions import DIFFERENT, SAME, Questions
from idc_jax.data.base import Dataset
from idc_jax.data.residency import place, place_rows
from idc_jax.methods import registry
from idc_jax.methods.contract import Parts
from idc_jax.methods.pcl.pairs import Unknown, random_pairs, turning_point
from idc_jax.ops import sharded
from idc_jax.runs import configuration
from idc_jax.train.parallel import make_mesh

N, DIMS, CLUSTERS, WAVES = 1024, 24, 4, 8
# Of those methods that compare what a network makes of the samples, not the samples.
# PCL is the same where the devices do not divide the samples, too.
LOOKING = {"idc_network": ("idc", N), "dsac_network": ("dsac", N), "pcl": ("pcl", N - 3)}


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


def composed(
    method: str, num_samples: int = N, rounds: int = 2, **how: Any
) -> tuple[Game, list[np.ndarray]]:
    """A run of ``method`` on all devices there are, as :mod:`idc_jax.runs` composes it.

    Returns:
      The run, and what each round asked.
    """
    samples, labels = blobs(num_samples)
    data = Dataset(
        name="blobs",
        kind="features",
        inputs=samples,
        labels=labels.astype(np.int32),
        class_names=tuple("abcd"),
        train=np.ones(num_samples, bool),
        names=tuple(map(str, range(num_samples))),
        skipped=(),
    )
    spec = registry.get(method)
    with tempfile.TemporaryDirectory() as folder:
        made = compose(spec, Path(folder), data, **{"suit": configuration.for_features, **how})
        game = Game(made, num_samples, 40, shown=spec.asks[0] != "cluster")
    asked = []
    for _ in range(rounds):
        questions = game.ask(12)
        asked.append(questions.indices)
        game.say(questions, _said(questions, labels))
    return game, asked


def looked_at(name: str, num_samples: int = 0) -> tuple[Game, list[np.ndarray]]:
    """One of `LOOKING` before any answer; of the samples' 98 KB a device may hold a half."""
    suit = configuration.for_small_network
    method, usual = LOOKING[name]
    game, _ = composed(method, num_samples or usual, 0, suit=suit, gigabytes=5e-5)
    return game, [game.ask(12).indices]


def of_blocks(*, spread: bool) -> dict[str, np.ndarray]:
    """Random pairs of 13 blocks, and the similarity at which pairs of two groups begin."""
    rng, (blocks, size) = np.random.default_rng(0), (13, 32)
    known = rng.integers(-1, 2, (blocks, size, size)).astype(np.int8)
    groups = rng.integers(0, 3, (blocks, size)).astype(np.int32)
    views = rng.normal(size=(2, blocks, size, 8)).astype(np.float32)
    given = (known, known == 1, np.ones((blocks, size), bool), groups, *views)
    mesh = make_mesh() if spread else None

    def part(a: np.ndarray) -> jax.Array:
        # Three blocks of padding, where there are devices that want as many.
        a = np.pad(a, ((0, 3 if mesh else 0), *[(0, 0)] * (a.ndim - 1)))
        return jax.device_put(a, sharded.rows_over(mesh)) if mesh else jax.device_put(a)

    known, asked, valid, groups, *views = map(part, given)
    picked = random_pairs(jax.random.key(3), Unknown(known, asked, valid), 50)
    turn = turning_point((views[0], views[1]), groups, valid)
    return {"random": np.asarray(picked.indices), "turn": np.asarray(turn)}


def _said(questions: Questions, labels: np.ndarray) -> np.ndarray:
    """What somebody says who knows the groups."""
    of = labels[questions.indices]
    if questions.kind == "label":
        return of
    if questions.kind == "pair":
        return np.where(of[:, 0] == of[:, 1], SAME, DIFFERENT)
    shown = labels[questions.exemplars][questions.candidates] == of[:, None]
    first = questions.candidates[np.arange(len(of)), shown.argmax(1)]
    return np.where(shown.any(1), first, -1)


def spread_parts(tree: Any) -> list[str]:
    """The names of the parts of ``tree`` of which each of four devices has a quarter."""
    rows = {
        name: [leaf for leaf in jax.tree.leaves(part) if leaf.ndim]
        for name, part in tree._asdict().items()
    }
    return [
        name
        for name, found in rows.items()
        if found and all(4 * len(a.addressable_shards[0].data) == len(a) for a in found)
    ]


def main() -> None:
    folder, method = Path(sys.argv[1]), sys.argv[2]
    # One column of all rows at a time.
    sharded._COLUMNS = N
    found: dict[str, Any]
    if method == "graph_committee":
        game = play(N, spread=True)
        found = {
            "asked": game.ledger.evidence().asked,
            "odd": play(N - 3, spread=True, budgets=(24,)).probabilities,
            "spread": spread_parts(game.context.space),
        }
    elif method in LOOKING:
        game, asked = looked_at(method)
        # What the method was built with.
        parts = game.method.init.args[0].parts
        found = {
            "asked": np.stack(asked),
            "spread": sharded.is_spread(parts.data),
            "state": spread_parts(game.state),
            "odd": looked_at(method, N - 3)[0].probabilities,
            **(of_blocks(spread=True) if method == "pcl" else {}),
        }
    else:
        game, asked = composed(method)
        found = {
            "asked": np.stack(asked),
            "odd": composed(method, N - 3, 1)[0].probabilities,
            "spread": spread_parts(game.context),
        }
    np.savez(folder / f"{method}.npz", probabilities=game.probabilities, **found)


if __name__ == "__main__":
    main()
