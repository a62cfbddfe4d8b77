"""Questions and answers in words and in numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from idc_jax.annotate.questions import NONE_OF_THESE, SAME, SKIP, Answers, Questions

Round = tuple[Questions, Answers]
# What is said about a simulated annotator, where its configuration has it.
SIMULATION_KEYS = ("oracle", "error_rate", "skip_rate")


def count_questions(rounds: Sequence[Round]) -> dict[str, int]:
    """Count what was asked and what came back, as ``result.json`` holds it.

    Args:
      rounds: the questions and answers of every round.

    Returns:
      ``asked``; per kind of question that occurs ``cluster``, ``same`` and ``different``, or
      ``label``; ``none`` (none of these) and ``skip``. All but ``asked`` add up to ``asked``.
    """
    counts = {"asked": 0}
    outcomes = {"none": 0, "skip": 0}
    for _, answers in rounds:
        choice = np.asarray(answers.choice)
        skipped = int(np.sum(choice == SKIP))
        none = int(np.sum(choice == NONE_OF_THESE)) if answers.kind in ("cluster", "grid") else 0
        counts["asked"] += len(choice)
        outcomes["skip"] += skipped
        outcomes["none"] += none
        if answers.kind == "pair":
            same = int(np.sum(choice == SAME))
            counts["same"] = counts.get("same", 0) + same
            counts["different"] = counts.get("different", 0) + len(choice) - skipped - same
        else:
            counts[answers.kind] = counts.get(answers.kind, 0) + len(choice) - skipped - none
    return counts | outcomes


def picked_samples(rounds: Sequence[Round]) -> np.ndarray:
    """List the samples asked about, each once, in the order asked: int ``[p]``."""
    asked = [np.asarray(questions.indices).reshape(-1) for questions, _ in rounds]
    flat = np.concatenate(asked) if asked else np.zeros(0, np.int64)
    _, first = np.unique(flat, return_index=True)
    return flat[np.sort(first)].astype(np.int64)


def describe_choice(kind: str, choice: int, class_names: Sequence[str] = ()) -> str:
    """Put one answer into words."""
    if choice == SKIP:
        return "skip"
    if kind == "pair":
        return "same" if choice == SAME else "different"
    if kind == "label" or (kind == "grid" and choice >= 0):
        return name_of(choice, class_names)
    return "none" if choice == NONE_OF_THESE else f"cluster {choice}"


def answers_by_sample(
    rounds: Sequence[Round], names: Sequence[str] = (), class_names: Sequence[str] = ()
) -> Mapping[int, list[str]]:
    """Collect what was answered about each sample.

    Args:
      rounds: the questions and answers of every round.
      names: one name per sample, or empty.
      class_names: one name per class id, or empty.

    Returns:
      Sample index -> answers in words; an empty list for samples not asked about.
    """
    found: dict[int, list[str]] = defaultdict(list)
    for kind, indices, choice in _each(rounds):
        words = describe_choice(kind, choice, class_names)
        if kind != "pair":
            found[indices[0]].append(words)
            continue
        preposition = {"same": " as ", "different": " from "}.get(words, ": ")
        for this, other in (indices, indices[::-1]):
            found[this].append(words + preposition + name_of(other, names))
    return found


def describe_annotator(config: Mapping[str, Any]) -> str:
    """Say who answered, from the run's configuration.

    Args:
      config: the run's configuration as plain dicts; its ``annotator`` is read.

    Returns:
      A phrase such as "a simulated annotator that knows the labels (oracle aligned)".
    """
    annotator = config.get("annotator")
    if not isinstance(annotator, Mapping) or "kind" not in annotator:
        return "an annotator that the configuration does not name"
    kind = str(annotator["kind"])
    if kind == "page":
        return "a person, on the page"
    if kind == "file":
        return f"a file of answers ({annotator.get('file') or 'not named'})"
    details = ", ".join(
        f"{key} {annotator[key]}" for key in SIMULATION_KEYS if annotator.get(key) not in (None, "")
    )
    words = "a simulated annotator that knows the labels"
    return f"{words} ({details})".replace("_", " ") if details else words


def name_of(index: int, names: Sequence[str]) -> str:
    """Return ``names[index]``, or the index itself where there is no such name."""
    return str(names[index]) if 0 <= index < len(names) else str(index)


def _each(rounds: Sequence[Round]) -> Iterator[tuple[str, list[int], int]]:
    for _, answers in rounds:
        for row, choice in zip(answers.indices, np.asarray(answers.choice).tolist(), strict=True):
            yield answers.kind, np.atleast_1d(row).tolist(), choice
