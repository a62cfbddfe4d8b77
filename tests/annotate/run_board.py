"""A board with a stand-in for the method, which hears what is said and predicts the same again.

As a program it is a run to be killed by the tests: it prints the address of the page.
"""

import json
import sys
from functools import cache

import numpy as np
from run_page import NUM_CLASSES, digits

from idc_jax.annotate import Store, collect, label_questions
from idc_jax.annotate.page import serve

QUESTIONS = 4


@cache
def first_prediction():
    """Seven in ten are where they belong, as a method would have it; ``[n, c]``."""
    rng = np.random.default_rng(0)
    labels = digits().labels
    wrong = rng.random(len(labels)) < 0.3
    clusters = np.where(wrong, rng.integers(0, NUM_CLASSES, len(labels)), labels)
    sure = rng.uniform(0.4, 0.9, len(labels))[:, None]
    even = (1 - sure) / (NUM_CLASSES - 1)
    return np.where(np.eye(NUM_CLASSES)[clusters] > 0, sure, even).astype(np.float32)


def embeddings():
    return digits().inputs.reshape(digits().size, -1).astype(np.float32)


def learn(page, store):
    """Show the prediction, and that all was heard."""
    slots = np.full(NUM_CLASSES, -1)
    page.show_groups(first_prediction(), slots, embeddings(), store.version())


def play(page, store, rounds=2):
    """Ask ``rounds`` times and learn, also what is done on the board; then stay."""
    learn(page, store)
    page.annotator.meanwhile(lambda: learn(page, store))
    asked = [number for number in store.rounds() if store.questions(number).count == QUESTIONS]
    for number in range(rounds):
        samples = np.arange(QUESTIONS) + QUESTIONS * number
        questions = label_questions(0, samples, np.zeros(QUESTIONS))
        frozen = store.questions(asked[number]) if number < len(asked) else store.append(questions)
        collect(store, frozen, page.annotator)
        learn(page, store)
        page.show_result({"round": number + 1, "after": {"acc": 0.75}})
    while page.stay():
        learn(page, store)


def main(store, port):
    with (
        Store(store, busy_seconds=0.2) as opened,
        serve(opened, digits(), num_clusters=NUM_CLASSES, port=port, grace_seconds=0.2) as page,
    ):
        print(page.url, flush=True)
        play(page, opened)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
