"""What a sweep found: a line for each point, ``sweep.csv``, and a table over the seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.report import write_atomically
from idc_jax.sweeps.axes import Axis

METRICS = {"acc": "ACC", "nmi": "NMI", "ari": "ARI"}
SEED = "seed"
_ANSWERS = ("asked", "none", "skip")


class Row(NamedTuple):
    """A point of a sweep.

    Attributes:
      values: of the swept options.
      folder: its name in the sweep's.
      reason: why it failed, or nothing.
      result: its ``result.json``; None where it failed.
    """

    values: Mapping[str, Any]
    folder: str
    reason: str
    result: Mapping[str, Any] | None


class Group(NamedTuple):
    """The points that differ in their seed alone.

    Attributes:
      values: what they share of the swept options.
      results: of those that are done.
    """

    values: dict[str, Any]
    results: list[Mapping[str, Any]]


def write_summary(workdir: Path, axes: Sequence[Axis], rows: Sequence[Row]) -> str:
    """Write ``sweep.csv`` and ``sweep.md``.

    Args:
      workdir: the sweep's folder.
      axes: the swept options.
      rows: the points so far.

    Returns:
      The table, in Markdown.
    """
    write_atomically(workdir / "sweep.csv", as_csv(axes, rows))
    table = as_table(axes, rows)
    write_atomically(workdir / "sweep.md", table + "\n")
    return table


def as_csv(axes: Sequence[Axis], rows: Sequence[Row]) -> str:
    """One line per point: its values, whether it is done, and what it reached."""
    stages = [f"{stage}_{name}" for stage in ("initial", "final") for name in (*METRICS, "fmi")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [axis.name for axis in axes]
    writer.writerow([*names, "folder", "status", "reason", *_ANSWERS, *stages, "seconds"])
    for row in rows:
        told: list[Any] = [row.values[name] for name in names]
        told += [row.folder, "failed" if row.reason else "done", row.reason]
        if row.result is not None:
            told += [row.result["questions"].get(name, 0) for name in _ANSWERS]
            for stage in stages:
                when, name = stage.split("_")
                told.append((row.result[when] or {}).get(name, ""))
            told.append(round(row.result["seconds"]["total"], 1))
        writer.writerow(told)
    return text.getvalue()


def as_table(axes: Sequence[Axis], rows: Sequence[Row]) -> str:
    """A Markdown table, mean ± standard deviation over the seeds that are done."""
    names = [axis.name for axis in axes if axis.name != SEED]
    heads = [*names, "runs", "ACC before", *METRICS.values()]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for group in groups(rows):
        told = [str(group.values[name]) for name in names]
        told += [str(len(group.results)), spread(values_of(group, "initial", "acc"))]
        told += [spread(values_of(group, "final", metric)) for metric in METRICS]
        lines.append("| " + " | ".join(told) + " |")
    return "\n".join(lines)


def groups(rows: Sequence[Row]) -> list[Group]:
    """The points by their values without the seed, in the order of the sweep."""
    found: dict[tuple[tuple[str, Any], ...], Group] = {}
    for row in rows:
        shared = {name: value for name, value in row.values.items() if name != SEED}
        group = found.setdefault(tuple(shared.items()), Group(shared, []))
        if row.result is not None:
            group.results.append(row.result)
    return list(found.values())


def values_of(group: Group, when: str, metric: str) -> np.ndarray:
    """A metric of every run ``[r]``; empty where nothing was scored."""
    return np.asarray([result[when][metric] for result in group.results if result[when]])


def spread(values: np.ndarray) -> str:
    """``mean ± standard deviation``; the mean alone for one value, a dash for none."""
    if not values.size:
        return "–"
    mean = f"{values.mean():.3f}"
    return mean if values.size == 1 else f"{mean} ± {values.std():.3f}"
