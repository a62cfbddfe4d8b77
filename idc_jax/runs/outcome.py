"""What a run leaves when it is done: ``result.json``, ``assignments.csv`` and ``report.html``."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from idc_jax import annotate
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.annotate.samples import open_store
from idc_jax.data.base import Dataset
from idc_jax.report import (
    ReportOptions,
    count_questions,
    write_assignments,
    write_report,
    write_result,
)
from idc_jax.report.naming import group_names
from idc_jax.runs.answering import answer_names
from idc_jax.runs.configuration import departures
from idc_jax.runs.state import Outcome
from idc_jax.runs.workdir import Course, MetricsLog
from idc_jax.train.checkpoint import read_latest
from idc_jax.train.start import published_weights

_VERSIONS = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")


def write_outcome(
    config: ConfigDict,
    dataset: Dataset,
    outcome: Outcome,
    log: MetricsLog,
    workdir: Path,
    course: Course,
    candidates: Mapping[str, list[float]] | None = None,
) -> Path:
    """Write ``result.json``, ``assignments.csv`` and ``report.html``.

    ``candidates`` are the numbers of clusters that were weighed, where one was to be found.
    """
    result = make_result(config, dataset, outcome, stages(workdir, course), log.lines)
    result["candidates"] = candidates
    with open_store(workdir) as store:
        result["disagreement"] = annotate.disagreement(store, config.annotator.fusion)
        names = answer_names(dataset, store)
    asked = [one for one in outcome.rounds if not one[0].volunteered]
    groups = group_names(outcome.rounds, outcome.final, names)
    # What an export goes by: the ids of answers have names, and relative paths a beginning.
    result |= {"answer_names": names, "group_names": groups, "started_in": str(Path.cwd())}
    write_assignments(
        workdir / "assignments.csv",
        probabilities=outcome.final,
        names=dataset.names,
        rounds=outcome.rounds,
        class_names=names,
    )
    report = write_report(
        workdir,
        dataset=dataset,
        result=result,
        rounds=asked,
        initial_probabilities=outcome.initial,
        final_probabilities=outcome.final,
        embeddings=outcome.embeddings,
        metrics_log=log.lines,
        options=ReportOptions(
            config.report.map,
            config.report.map_points,
            config.seed,
            answer_names=names,
            group_names=groups,
        ),
    )
    # Last: who finds it knows that the run is complete.
    write_result(workdir / "result.json", result)
    return report


def network_name(config: ConfigDict) -> str:
    """The network that was trained: the configured one, unless ``init`` brings its own."""
    brought = config.init not in ("pretrain", "random") and published_weights(config.init)
    return config.init if brought else config.model.name


def stages(workdir: Path, course: Course) -> list[dict[str, Any]]:
    """What was changed on the way: after which round, and how the stage before it had gone."""
    found, number = [], 1
    for change in course.changes:
        before: list[dict[str, Any]] = []
        if change.anew:
            saved = read_latest(course.folder_of(workdir, number) / "rounds")
            before, number = saved.meta["history"] if saved else [], number + 1
        found.append({"after_round": change.round, "changed": change.changed, "before": before})
    return found


def _question_total(rounds: Sequence[tuple[Questions, Answers]]) -> dict[str, int]:
    """What was asked and answered; ``unasked`` counts what people said besides."""
    unasked = sum(questions.count for questions, _ in rounds if questions.volunteered)
    total = count_questions([one for one in rounds if not one[0].volunteered])
    return total | ({"unasked": unasked} if unasked else {})


def make_result(
    config: ConfigDict,
    dataset: Dataset,
    outcome: Outcome,
    stages: list[dict[str, Any]],
    logged: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Put together ``result.json``; nothing in ``config`` is left open."""
    scored = [entry["metrics"] for entry in outcome.history]
    best = max(scored, key=lambda m: m["acc"]) if scored[0] else None
    device = jax.devices()[0]
    return {
        "config": config.to_dict(),
        "method": config.method,
        "recipe": config.recipe or None,
        # What the recipe says, and what was taken instead.
        "departures": departures(config),
        "dataset": dataset.name,
        "num_samples": dataset.size,
        "num_clusters": config.num_clusters,
        "device": f"{jax.device_count()} x {device.device_kind} ({device.platform})",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _VERSIONS},
        },
        "network": network_name(config),
        "embedded_with": config.data.embed_with or None,
        # What share of the true neighbours an approximate search found, at least; else None.
        "neighbors_recall": min((r["recall"] for r in logged if "recall" in r), default=None),
        "questions": _question_total(outcome.rounds),
        "stages": stages,
        "rounds": outcome.history,
        "initial": scored[0],
        "final": scored[-1],
        "best": best,
        "seconds": outcome.seconds,
    }
