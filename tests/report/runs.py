"""Small finished runs, as the report gets them."""

import numpy as np

from idc_jax.annotate.questions import (
    NONE_OF_THESE,
    SKIP,
    Questions,
    answered,
    label_questions,
    pair_questions,
    plain_roles,
)
from idc_jax.data.base import Dataset
from idc_jax.metrics import clustering_metrics
from idc_jax.report import count_questions


def soft(ids, clusters, rng):
    logits = rng.normal(size=(len(ids), clusters))
    logits[np.arange(len(ids)), ids] += 6
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(1, keepdims=True)


def cluster_round(asked, clusters, choice):
    """Cluster questions with all candidates offered, and their answers."""
    asked = np.asarray(asked, np.int32)
    candidates = np.tile(np.arange(clusters, dtype=np.int32), (len(asked), 1))
    questions = Questions(
        kind="cluster",
        round=1,
        indices=asked,
        candidates=candidates,
        exemplars=np.arange(clusters, dtype=np.int32),
        members=np.zeros((clusters, 0), np.int32),
        values=np.ones(len(asked), np.float32),
        roles=plain_roles(len(asked)),
    )
    return questions, answered(questions, choice)


def label_round(number, asked, classes):
    asked = np.asarray(asked)
    questions = label_questions(number, asked, np.ones(len(asked)))
    return questions, answers_to(questions, classes)


def pair_round(number, pairs, choice):
    pairs = np.asarray(pairs)
    questions = pair_questions(number, pairs, np.ones(len(pairs)))
    return questions, answers_to(questions, choice)


def answers_to(questions, choice):
    return answered(questions, choice)


def mixed_round(clusters=3):
    """Three answers: a cluster, none of these, a skip."""
    return cluster_round([4, 5, 6], clusters, [1, NONE_OF_THESE, SKIP])


def make_run(n=60, clusters=3, kind="images", labelled=True, rounds=None, skipped=()):
    """Keyword arguments of `write_report`: a clustering that the answers improved."""
    rng = np.random.default_rng(0)
    labels = (np.arange(n) % clusters).astype(np.int32)
    wrong = np.where(rng.random(n) < 0.3, rng.integers(0, clusters, n), labels)
    inputs = (
        rng.integers(0, 256, (n, 8, 8, 1)).astype(np.uint8)
        if kind == "images"
        else rng.normal(size=(n, 5)).astype(np.float32)
    )
    rounds = [mixed_round(clusters)] if rounds is None else rounds
    initial, final = soft(wrong, clusters, rng), soft(labels, clusters, rng)
    before = after = None
    if labelled:
        before = clustering_metrics(initial.argmax(1), labels, clusters)
        after = clustering_metrics(final.argmax(1), labels, clusters)
    result = {
        "config": {
            "budget": 3,
            "annotator": {"kind": "oracle", "oracle": "exemplar", "error_rate": 0.25},
        },
        "method": "idc",
        "dataset": "toy",
        "num_samples": n,
        "num_clusters": clusters,
        "device": "cpu",
        "versions": {"jax": "1.2.3"},
        "questions": count_questions(rounds),
        "rounds": [
            {"round": 0, "questions": 0, "metrics": before},
            {"round": 1, "questions": 3, "metrics": after},
        ],
        "initial": before,
        "final": after,
        "best": after,
        "seconds": {"load": 0.5, "learn": 2.0, "total": 2.5},
    }
    return {
        "dataset": Dataset(
            name="toy",
            kind=kind,
            inputs=inputs,
            labels=labels if labelled else None,
            class_names=tuple(f"thing {i}" for i in range(clusters)) if labelled else (),
            names=(),
            train=np.ones(n, bool),
            skipped=tuple(skipped),
        ),
        "result": result,
        "rounds": rounds,
        "initial_probabilities": initial,
        "final_probabilities": final,
        "embeddings": np.eye(clusters)[labels] + 0.1 * rng.normal(size=(n, clusters)),
        "metrics_log": [{"phase": "learn", "step": i, "loss": 1 / (i + 1)} for i in range(5)],
    }
