"""Rounds of questions at a page, and "learning" between them, in place of an experiment.

As a program it is a run to be killed by the tests: it prints the address of the page, and after
each round the answers as a line of JSON.
"""

import json
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from idc_jax.annotate import Questions, Store, collect, label_questions, pair_questions
from idc_jax.annotate.page import serve
from idc_jax.annotate.questions import grid_questions, plain_roles
from idc_jax.data.base import Dataset

NUM_CLASSES, NUM_CANDIDATES = 10, 5


@cache
def digits():
    # scikit-learn's own file, without the seconds that importing scikit-learn takes.
    folder = Path(find_spec("sklearn").origin).parent / "datasets" / "data"
    rows = np.loadtxt(folder / "digits.csv.gz", delimiter=",")
    images = np.asarray(rows[:, :-1] * 255 / 16, np.uint8).reshape(-1, 8, 8, 1)
    labels = np.asarray(rows[:, -1], np.int32)
    return Dataset("digits", "images", images, labels, (), (), np.ones(len(labels), bool), ())


def make_questions(kind, round_, count, dataset, *, members=4):
    rng = np.random.default_rng(round_)
    values = np.zeros(count)
    if kind == "pair":
        return pair_questions(round_, rng.choice(dataset.size, (count, 2), replace=False), values)
    indices = rng.choice(dataset.size, count, replace=False)
    if kind == "label":
        return label_questions(round_, indices, values)
    if kind == "grid":
        # Three grids, each thought to be of one digit; every fourth of them is a stranger.
        groups = np.sort(np.arange(count) % 3)
        strange = np.arange(count) % 4 == 0
        wanted = np.where(strange, (groups + 5) % NUM_CLASSES, groups)
        pools = {digit: iter(np.flatnonzero(dataset.labels == digit)) for digit in set(wanted)}
        rows = np.asarray([next(pools[digit]) for digit in wanted])
        return grid_questions(round_, rows, groups, values, plain_roles(count))
    own = [np.flatnonzero(dataset.labels == digit) for digit in range(NUM_CLASSES)]
    candidates = [rng.permutation(NUM_CLASSES)[:NUM_CANDIDATES] for _ in range(count)]
    return Questions(
        kind="cluster",
        round=round_,
        indices=indices.astype(np.int32),
        candidates=np.asarray(candidates, np.int32),
        exemplars=np.asarray([found[0] for found in own], np.int32),
        members=np.asarray([found[1 : 1 + members] for found in own], np.int32),
        values=np.zeros(count, np.float32),
        roles=plain_roles(count),
    )


# What people are told of a round.
EXPECTED = (
    "Expected: 71 % (65 to 76) right, 10 groups. Go on: 50 more answers would bring 2.4 points."
)


def play(
    page,
    store,
    told,
    *,
    count=40,
    rounds=1,
    kind="cluster",
    learn=lambda page: None,
    data=None,
    members=4,
):
    """Ask ``rounds`` times, ``told(answers)`` and ``learn(page)`` after each."""
    dataset = data or digits()
    for round_ in range(1, rounds + 1):
        asked = store.freeze(make_questions(kind, round_, count, dataset, members=members))
        told(collect(store, asked, page.annotator).choice.tolist())
        learn(page)
        gallery = [np.flatnonzero(dataset.labels == digit)[:6] for digit in range(NUM_CLASSES)]
        page.show_result(
            {
                "round": round_,
                "before": {"acc": 0.5, "nmi": 0.4},
                "after": {"acc": 0.75, "nmi": 0.3},
                "outlook": {"told": EXPECTED},
                "galleries_before": gallery,
                "galleries_after": gallery,
            }
        )
    page.finish()


def main(store, port, **asked):
    with (
        Store(store, busy_seconds=0.2) as opened,
        serve(opened, digits(), num_clusters=NUM_CLASSES, port=port, grace_seconds=0.5) as page,
    ):
        print(page.url, flush=True)
        play(page, opened, lambda answers: print(json.dumps(answers), flush=True), **asked)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
