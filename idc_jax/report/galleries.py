"""What the questions and the clusters look like."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from idc_jax.annotate.questions import NONE_OF_THESE, SKIP, Answers, Questions
from idc_jax.report.answers import describe_choice, name_of
from idc_jax.report.sheets import member_sheet
from idc_jax.report.view import View

NEIGHBOURS = 10
# So many classes of a cluster are named; the rest is summed up.
NAMED_CLASSES = 3
LETTERS = "ABCDEFGHIJKLM"


def question_cards(view: View) -> list[dict[str, Any]]:
    """Describe the questions shown: the most valuable of every round, in the order asked."""
    ranked = [
        (row, number) for number, (asked, _) in enumerate(view.rounds) for row in range(asked.count)
    ]
    shown = sorted(ranked)[: view.options.questions]
    cards = [
        _question_card(view, *view.rounds[number], row)
        for number, row in sorted((number, row) for row, number in shown)
    ]
    if not view.has_images and cards:
        _add_neighbours(view, cards)
    return cards


def cluster_cards(view: View) -> list[dict[str, Any]]:
    """Describe the clusters shown, by id: size, confidence, classes, samples."""
    sizes = np.bincount(view.after, minlength=view.num_clusters)
    old_sizes = np.bincount(view.before, minlength=view.num_clusters)
    # The ids before and after mean the same cluster only where the colours say so.
    old_by_slot = dict(zip(view.slots.initial.tolist(), old_sizes.tolist(), strict=True))
    cards = []
    for cluster in range(min(view.num_clusters, view.options.clusters)):
        slot = int(view.slots.final[cluster])
        card = _cluster_card(view, cluster) | {
            "id": cluster,
            "name": view.cluster_name(cluster),
            "numbered": numbered(view, cluster),
            "all": member_sheet(view, cluster),
            "slot": slot,
            "size": int(sizes[cluster]),
            "share": sizes[cluster] / view.dataset.size,
            "change": int(sizes[cluster]) - old_by_slot.get(slot, 0),
            "matched": view.cluster_class(cluster),
        }
        cards.append(card)
    return cards


def numbered(view: View, cluster: int) -> str:
    """Return a cluster's number and, where it has one, its name."""
    name = view.cluster_name(cluster)
    return name if name == f"Cluster {cluster}" else f"{cluster} · {name}"


def class_mix(view: View, samples: np.ndarray) -> list[dict[str, Any]]:
    """Count the classes among ``samples``, the largest first, the tail summed up."""
    samples = np.intersect1d(samples, view.known)
    if view.dataset.labels is None or not len(samples):
        return []
    classes, counts = np.unique(view.dataset.labels[samples], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    named = [
        {
            "name": view.class_name(int(classes[i])),
            "slot": int(view.slots.classes[classes[i]]),
            "share": counts[i] / len(samples),
        }
        for i in order[:NAMED_CLASSES]
    ]
    rest = counts[order[NAMED_CLASSES:]].sum() / len(samples)
    return [*named, {"name": "other", "slot": -1, "share": rest}] if rest else named


def _question_card(view: View, questions: Questions, answers: Answers, row: int) -> dict[str, Any]:
    choice = int(answers.choice[row])
    asked = [int(i) for i in np.atleast_1d(questions.indices[row])]
    names = view.options.answer_names or view.dataset.class_names
    answer = describe_choice(questions.kind, choice, names)
    candidates = _candidates(view, questions, row, choice)
    # Clusters had other numbers when they were asked about.
    answer = next((one["letter"] for one in candidates if one["chosen"]), answer)
    if questions.kind == "grid" and choice == NONE_OF_THESE:
        answer = f"not {name_of(int(questions.candidates[row, 0]), names)}"
    return {
        "kind": questions.kind,
        "round": questions.round,
        "rank": row + 1,
        "samples": asked,
        "asked": [view.picture(i) for i in asked],
        "truth": [view.label(i) for i in asked],
        "candidates": candidates,
        "answer": {"none": "none of these", "skip": "skipped"}.get(answer, answer),
        "skipped": choice == SKIP,
        "neighbours": "",
    }


def _candidates(view: View, questions: Questions, row: int, choice: int) -> list[dict[str, Any]]:
    """Return the clusters that were offered, by their letters on the page."""
    if questions.kind != "cluster":  # what is offered is no cluster
        return []
    offered = [one for one in np.asarray(questions.candidates[row]).tolist() if one >= 0]
    found = []
    for place, cluster in enumerate(offered):
        exemplar = int(questions.exemplars[cluster])
        nothing = {"src": "", "title": "", "name": "", "file": ""}
        picture = view.picture(exemplar) if exemplar >= 0 else nothing
        letter = LETTERS[place] if place < len(LETTERS) else str(place + 1)
        found.append({**picture, "letter": letter, "chosen": cluster == choice})
    return found


def _add_neighbours(view: View, cards: list[dict[str, Any]]) -> None:
    """Without pictures, what surrounds a sample says what was asked."""
    unit = view.embeddings / np.maximum(
        np.linalg.norm(view.embeddings, axis=1, keepdims=True), 1e-12
    )
    count = min(NEIGHBOURS + 1, len(unit))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(unit)
    first = [card["samples"][0] for card in cards]
    for card, sample, near in zip(
        cards, first, search.kneighbors(unit[first], return_distance=False), strict=True
    ):
        others = near[near != sample][:NEIGHBOURS]
        card["neighbours"] = _mix_in_words(view, others)


def _mix_in_words(view: View, samples: np.ndarray) -> str:
    if view.dataset.labels is not None:
        labels = [view.label(int(i)) for i in samples]
        names = [f"class {label}" if label else "unlabelled" for label in labels]
    else:
        names = [f"cluster {view.after[i]}" for i in samples]
    unique, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts, kind="stable")[: NAMED_CLASSES + 1]
    return ", ".join(f"{counts[i]} × {unique[i]}" for i in order)


def _cluster_card(view: View, cluster: int) -> dict[str, Any]:
    members = np.flatnonzero(view.after == cluster)
    confidence = view.final[members, cluster]
    order = members[np.argsort(-confidence, kind="stable")]
    sure = order[: view.options.images]
    unsure = order[len(sure) :][::-1][: view.options.images]
    return {
        "confidence": float(confidence.mean()) if len(members) else 0.0,
        "classes": class_mix(view, members),
        "sure": [_member(view, i, cluster) for i in sure.tolist()],
        "unsure": [_member(view, i, cluster) for i in unsure.tolist()],
    }


def _member(view: View, sample: int, cluster: int) -> dict[str, Any]:
    matched = -1 if view.matching is None else int(view.matching.class_of_cluster[cluster])
    label = -1 if view.dataset.labels is None else int(view.dataset.labels[sample])
    other = min(matched, label) >= 0 and label != matched
    picture = view.picture(sample, f"p = {view.final[sample, cluster]:.3f}")
    return {**picture, "other": other}
