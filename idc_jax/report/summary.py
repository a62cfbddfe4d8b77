"""The numbers at the top of the page: headline, metrics by round, cluster health, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from idc_jax.metrics import cluster_health, clustering_metrics, match_clusters
from idc_jax.report.answers import count_questions
from idc_jax.report.view import View

METRICS = {"acc": "ACC", "nmi": "NMI", "ari": "ARI", "fmi": "F"}
# A longer table is thinned out, first and last round kept.
TABLE_ROUNDS = 12

Metrics = Mapping[str, float]


class Row(NamedTuple):
    """A line of the metrics table.

    Attributes:
      name: what was scored.
      questions: how many had been asked, or None where that says nothing.
      metrics: the scores.
      style: ``"strong"``, ``"aside"`` or empty.
    """

    name: str
    questions: int | None
    metrics: Metrics
    style: str = ""


def headline(view: View) -> str:
    """Say in one sentence what the questions bought."""
    counts = count_questions(view.rounds)
    answers = counts["asked"] - counts["skip"]
    subject = f"{answers:,} answer" + ("" if answers == 1 else "s") if answers else "No answers"
    initial, final = view.result["initial"], view.result["final"]
    if not initial or not final:
        moved, n = moved_samples(view), view.dataset.size
        return f"{subject} moved {moved:,} of {n:,} samples to another cluster"
    before, after = _pair(initial["acc"], final["acc"])
    if before == after:
        return f"{subject} left accuracy at {after}"
    if initial["acc"] > final["acc"]:
        return f"{subject}: accuracy fell from {before} to {after}"
    return f"{subject} took accuracy from {before} to {after}"


def metric_rows(view: View) -> list[Row]:
    """Return the metrics table: every round, the last, the best, and two honest comparisons."""
    result = view.result
    if not result["initial"] or not result["final"]:
        return []
    asked = count_questions(view.rounds)["asked"]
    rows = [Row("before any answer", 0, result["initial"])]
    rows += _overwritten(view)
    rows += [
        Row(f"after round {entry['round']}", _asked_by(view, entry["round"]), entry["metrics"])
        for entry in thin([e for e in result["rounds"] if e["round"] > 0 and e["metrics"]])
    ]
    if len(rows) > 1 and rows[-1].metrics == result["final"]:
        rows[-1] = Row(f"final, {rows[-1].name}", asked, result["final"], "strong")
    else:
        rows.append(Row("final", asked, result["final"], "strong"))
    rows += _never_asked(view)
    if result["best"] and result["best"] != result["final"]:
        rows.append(Row("best seen (picked with labels)", None, result["best"], "aside"))
    return rows


def health_rows(view: View) -> list[tuple[str, str, str]]:
    """Return what can be said without labels: name, before, after."""
    before, after = cluster_health(view.initial), cluster_health(view.final)
    live = [f"{side['live_clusters']:.0f} of {view.num_clusters}" for side in (before, after)]
    entropy = [f"{side['assignment_entropy_normalised']:.3f}" for side in (before, after)]
    confident = [f"{side['confident_share']:.1%}" for side in (before, after)]
    mean = [f"{side.max(1).mean():.3f}" for side in (view.initial, view.final)]
    sizes = [np.bincount(ids, minlength=view.num_clusters) for ids in (view.before, view.after)]
    spread = [f"{side.min():,} to {side.max():,}" for side in sizes]
    return [
        ("clusters that hold samples", live[0], live[1]),
        ("from the smallest to the largest", spread[0], spread[1]),
        ("mean confidence", mean[0], mean[1]),
        ("confident samples (p > 0.99)", confident[0], confident[1]),
        ("entropy of the sizes, of its maximum (1: all alike)", entropy[0], entropy[1]),
    ]


def outlook_rows(view: View) -> list[tuple[int, str, str, str, str]]:
    """Return what was expected after each round: questions, accuracy, real one, groups, gain."""
    told = [entry for entry in view.result["rounds"] if entry.get("outlook")]
    return [
        (
            _asked_by(view, entry["round"]),
            _ranged(entry["outlook"], "accuracy", "{:.3f}"),
            f"{entry['metrics']['acc']:.3f}" if entry["metrics"] else "",
            _ranged(entry["outlook"], "groups", "{:.0f}"),
            f"{_ranged(entry['outlook'], 'gain', '{:+.3f}')} with "
            f"{entry['outlook']['further']:.0f} more answers",
        )
        for entry in thin(told)
    ]


def _ranged(expected: Mapping[str, Any], name: str, form: str) -> str:
    """An estimate with its interval; what runs of before told had none."""
    if name not in expected:
        return ""
    shown = form.format(expected[name])
    low, high = expected.get(f"{name}_low"), expected.get(f"{name}_high")
    if low is None or low == high:
        return shown
    return f"{shown} ({form.format(low)} to {form.format(high)})"


def advice(view: View) -> str:
    """What was recommended at the end, and why; empty where nothing was."""
    told = [entry["outlook"] for entry in view.result["rounds"] if entry.get("outlook")]
    return told[-1].get("told", "") if told else ""


def wanted_clusters(view: View) -> int:
    """How many clusters should hold samples: those wanted, or as many as there are groups."""
    told = [entry["outlook"] for entry in view.result["rounds"] if entry.get("outlook")]
    fewest = told[-1].get("groups_low", view.num_clusters) if told else view.num_clusters
    return min(view.num_clusters, round(fewest))


def candidate_rows(view: View) -> list[tuple[int, str]]:
    """Return the numbers of clusters that were weighed: number, stability."""
    found = view.result.get("candidates")
    if not found:
        return []
    pairs = zip(found["numbers"], found["stability"], strict=True)
    return [(number, f"{stability:.2f}") for number, stability in pairs]


def question_facts(view: View) -> list[tuple[str, int]]:
    """Return the tally of questions and answers in words, in reading order."""
    words = {"asked": "asked", "cluster": "put into a cluster", "label": "given a class"}
    words |= {"same": "same", "different": "different", "none": "none of these", "skip": "skipped"}
    counts = count_questions(view.rounds)
    kept = {key for key in counts if key != "none" or "cluster" in counts}
    return [(word, counts[key]) for key, word in words.items() if key in kept]


def second_rows(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return phase, seconds and share of the total, the longest being 100 percent wide."""
    phases = {name: float(value) for name, value in seconds.items() if name != "total"}
    longest = max(phases.values(), default=0) or 1.0
    return [
        {"name": name, "seconds": f"{value:,.1f}", "width": round(100 * value / longest, 1)}
        for name, value in phases.items()
    ]


def learning_series(view: View) -> tuple[np.ndarray, list[Metrics]]:
    """Return questions asked ``[s]`` and metrics by round, from round 0; empty without labels."""
    entries = [entry for entry in view.result["rounds"] if entry["metrics"]]
    asked = [_asked_by(view, entry["round"]) for entry in entries]
    return np.asarray(asked, np.int64), [entry["metrics"] for entry in entries]


def moved_samples(view: View) -> int:
    """Count samples whose cluster changed, clusters matched one to one first."""
    matching = match_clusters(view.before, view.after, view.num_clusters)
    return int(np.sum(matching.class_of_cluster[view.before] != view.after))


def thin(entries: Sequence[Any], cap: int = TABLE_ROUNDS) -> list[Any]:
    """Keep at most ``cap`` entries, evenly spread, the first and the last among them."""
    if len(entries) <= cap:
        return list(entries)
    return [entries[i] for i in np.linspace(0, len(entries) - 1, cap).round().astype(int)]


def _asked_by(view: View, round_: int) -> int:
    return sum(questions.count for questions, _ in view.rounds if questions.round <= round_)


def _overwritten(view: View) -> list[Row]:
    """The paper's dagger row: the clustering before, the asked samples set to the truth."""
    labels = view.dataset.labels
    # A pair's answer gives no class away.
    if labels is None or all(questions.kind == "pair" for questions, _ in view.rounds):
        return []
    known, picks = view.known, np.intersect1d(view.picks, view.known)
    matching = match_clusters(view.before[known], labels[known], view.num_clusters)
    truth = matching.cluster_of_class[labels[picks]]
    predictions = view.before.copy()
    predictions[picks] = np.where(truth >= 0, truth, predictions[picks])
    scores = clustering_metrics(predictions[known], labels[known], view.num_clusters)
    return [Row("the same, asked samples set to the truth †", None, scores, "aside")]


def _never_asked(view: View) -> list[Row]:
    labels = view.dataset.labels
    rest = np.setdiff1d(view.known, view.picks)
    if labels is None or not len(view.picks) or not len(rest):
        return []
    scores = clustering_metrics(view.after[rest], labels[rest], view.num_clusters)
    return [Row(f"final, the {len(rest):,} samples never asked about", None, scores, "aside")]


def _pair(before: float, after: float) -> tuple[str, str]:
    """Two decimals, or three where two would hide the change."""
    digits = 2 if f"{before:.2f}" != f"{after:.2f}" else 3
    return f"{before:.{digits}f}", f"{after:.{digits}f}"
