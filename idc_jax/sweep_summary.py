"""What a sweep leaves beside its runs: ``sweep.csv``, a table over seeds, and plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes as Plot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from idc_jax.report import write_atomically
from idc_jax.report.palette import LIGHT, colour, marker

Value = bool | int | float | str

METRICS = {"acc": "ACC", "nmi": "NMI", "ari": "ARI"}
_ANSWERS = ("asked", "none", "skip")
_SEED = "seed"
_DPI = 150
# From this ratio of the largest value to the smallest on, an axis is logarithmic.
_LOG_FROM = 30


class Axis(NamedTuple):
    """An option and the values that it takes in turn."""

    name: str
    values: tuple[Value, ...]


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


def write_summary(workdir: Path, axes: Sequence[Axis], rows: Sequence[Row], *, draw: bool) -> str:
    """Write ``sweep.csv`` and ``sweep.md``, and draw the plots if ``draw``.

    A plot ``sweep_NAME.png`` for every option with numbers; where there are none, ``sweep.png``
    with a bar for each combination.

    Args:
      workdir: the sweep's folder.
      axes: the swept options.
      rows: the points so far.
      draw: whether to draw.

    Returns:
      The table, in Markdown.
    """
    write_atomically(workdir / "sweep.csv", as_csv(axes, rows))
    table = as_table(axes, rows)
    write_atomically(workdir / "sweep.md", table + "\n")
    scored = [group for group in groups(rows) if values_of(group, "final", "acc").size]
    if draw and scored:
        numeric = [axis for axis in axes if axis.name != _SEED and _is_numeric(axis)]
        for axis in numeric:
            write_atomically(workdir / f"sweep_{axis.name}.png", draw_lines(axis.name, scored))
        if not numeric and len(scored) > 1:
            write_atomically(workdir / "sweep.png", draw_bars(scored))
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
    names = [axis.name for axis in axes if axis.name != _SEED]
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
    found: dict[tuple, Group] = {}
    for row in rows:
        shared = {name: value for name, value in row.values.items() if name != _SEED}
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


def draw_lines(name: str, scored: Sequence[Group]) -> bytes:
    """Metrics against the option ``name``, a line for each combination of the others.

    Returns:
      A PNG.
    """
    figure = Figure(figsize=(3.6 * len(METRICS), 3.2), dpi=_DPI, layout="constrained")
    lines: dict[str, list[Group]] = {}
    for group in scored:
        others = {key: value for key, value in group.values.items() if key != name}
        lines.setdefault(_told(others), []).append(group)
    for place, (metric, title) in enumerate(METRICS.items(), start=1):
        plot = figure.add_subplot(1, len(METRICS), place)
        for number, (told, line) in enumerate(lines.items()):
            ordered = sorted(line, key=lambda group: group.values[name])
            found = [values_of(group, "final", metric) for group in ordered]
            plot.errorbar(
                [group.values[name] for group in ordered],
                [values.mean() for values in found],
                [values.std() for values in found],
                color=colour(number),
                marker=marker(0),
                ms=4,
                lw=1.6,
                capsize=3,
                label=told,
            )
        _mark_before(plot, scored, metric)
        _finish(plot, title)
        plot.set_xlabel(name)
        if _spans_magnitudes([group.values[name] for group in scored]):
            plot.set_xscale("log")
        if place == 1:
            plot.legend(fontsize=8, frameon=False)
    return _png(figure)


def draw_bars(scored: Sequence[Group]) -> bytes:
    """A bar for each combination, as in a table of ablations.

    Returns:
      A PNG.
    """
    height = 0.9 + 0.34 * len(scored)
    figure = Figure(figsize=(3.6 * len(METRICS), height), dpi=_DPI, layout="constrained")
    places = np.arange(len(scored))
    for column, (metric, title) in enumerate(METRICS.items(), start=1):
        plot = figure.add_subplot(1, len(METRICS), column)
        found = [values_of(group, "final", metric) for group in scored]
        means = np.asarray([values.mean() for values in found])
        stds = np.asarray([values.std() for values in found])
        plot.barh(places, means, xerr=stds, color=colour(0), height=0.65, capsize=3)
        for place, mean, std in zip(places, means, stds, strict=True):
            plot.text(mean + std, float(place), f" {mean:.3f}", va="center", fontsize=8)
        plot.set_yticks(
            places, [_told(group.values) for group in scored] if column == 1 else [""] * len(places)
        )
        plot.invert_yaxis()
        # Differences of a few hundredths are what an ablation is about.
        plot.set_xlim(max(0.0, (means - stds).min() - 0.1), (means + stds).max() + 0.06)
        _finish(plot, title)
    return _png(figure)


def _mark_before(plot: Plot, scored: Sequence[Group], metric: str) -> None:
    before = np.concatenate([values_of(group, "initial", metric) for group in scored])
    plot.axhline(before.mean(), color=LIGHT.muted, ls="--", lw=1, label="before any answer")


def _finish(plot: Plot, title: str) -> None:
    plot.set_title(title, fontsize=10, loc="left")
    plot.grid(color=LIGHT.muted, alpha=0.25, lw=0.6)
    plot.set_axisbelow(True)
    plot.tick_params(labelsize=8)
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)


def _told(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "after the answers"


def _spans_magnitudes(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) >= _LOG_FROM * min(values)


def _is_numeric(axis: Axis) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in axis.values)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", facecolor="white")
    return buffer.getvalue()
