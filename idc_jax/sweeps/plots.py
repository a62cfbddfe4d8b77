"""Plots of a sweep: metrics against an option with numbers, or a row for each combination."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes as Plot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from idc_jax.report import write_atomically
from idc_jax.report.palette import COLOURS, LIGHT, colour
from idc_jax.sweeps.axes import Axis
from idc_jax.sweeps.summary import METRICS, SEED, Group, Row, groups, values_of

_DPI = 150
_WIDTH = 3.6  # of a panel, in inches
# Shapes tell lines apart where colours do not.
_SHAPES = ("o", "s", "^", "D", "v", "P", "X")
# From this ratio of the largest value to the smallest on, an axis is logarithmic.
_LOG_FROM = 30
# More values than this are not all written at their axis.
_MOST_TICKS = 7
_BEFORE = "before any answer"


class Line(NamedTuple):
    """The points that differ in one option, and their seeds, alone.

    Attributes:
      told: the values of the other options, for the legend.
      x: the option's values in order ``[m]``.
      groups: the runs at each of them.
    """

    told: str
    x: list[float]
    groups: list[Group]


def write_plots(workdir: Path, axes: Sequence[Axis], rows: Sequence[Row]) -> list[str]:
    """Draw ``sweep_NAME.png`` for every option with several numbers, else ``sweep.png``.

    Nothing is drawn where nothing was scored, or where nothing but the seed was swept.

    Args:
      workdir: the sweep's folder.
      axes: the swept options.
      rows: its points.

    Returns:
      The names of the files.
    """
    scored = [group for group in groups(rows) if values_of(group, "final", "acc").size]
    varied = [axis.name for axis in axes if axis.name != SEED and len(axis.values) > 1]
    numeric = [axis.name for axis in axes if axis.name in varied and _is_numeric(axis)]
    drawn = {}
    if scored and varied:
        others = {name: [v for v in varied if v != name] for name in numeric}
        drawn = {f"sweep_{name}.png": draw_lines(name, others[name], scored) for name in numeric}
        drawn = drawn or {"sweep.png": draw_rows(varied, scored)}
    for name, picture in drawn.items():
        write_atomically(workdir / name, picture)
    return list(drawn)


def draw_lines(name: str, others: Sequence[str], scored: Sequence[Group]) -> bytes:
    """Metrics against the option ``name``, a line for each combination of the ``others``.

    Returns:
      A PNG.
    """
    lines = _lines(name, others, scored)
    figure = Figure(figsize=(_WIDTH * len(METRICS), 3.4), dpi=_DPI, layout="constrained")
    for place, (metric, title) in enumerate(METRICS.items(), start=1):
        plot = figure.add_subplot(1, len(METRICS), place)
        for number, line in enumerate(lines):
            _draw_line(plot, line, metric, number)
        _draw_before(plot, lines, metric)
        _finish(plot, title)
        _mark_values(plot, sorted({x for line in lines for x in line.x}))
        plot.set_xlabel("questions" if name == "budget" else name, fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=min(len(labels), 5),
        title=", ".join(others) or None,
        title_fontsize=8,
        alignment="left",
        fontsize=8,
        frameon=False,
    )
    _tell_spread(figure, scored)
    return _png(figure)


def draw_rows(names: Sequence[str], scored: Sequence[Group]) -> bytes:
    """A dot for each combination of the options ``names``, as in a table of ablations.

    Dots, not bars: what matters are differences of a few hundredths, far from zero.

    Returns:
      A PNG.
    """
    height = 0.9 + 0.34 * len(scored)
    figure = Figure(figsize=(_WIDTH * len(METRICS), height), dpi=_DPI, layout="constrained")
    places = np.arange(len(scored))
    for column, (metric, title) in enumerate(METRICS.items(), start=1):
        plot = figure.add_subplot(1, len(METRICS), column)
        found = [values_of(group, "final", metric) for group in scored]
        means = np.asarray([values.mean() for values in found])
        stds = np.asarray([values.std() for values in found])
        plot.errorbar(means, places, xerr=stds, fmt="o", color=colour(0), ms=6, capsize=3)
        for place, mean in zip(places, means, strict=True):
            above = (0, 5)
            plot.annotate(
                f"{mean:.3f}",
                (mean, float(place)),
                above,
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=LIGHT.ink,
            )
        told = [_told(group.values, names) for group in scored]
        plot.set_yticks(places, told if column == 1 else [""] * len(places))
        plot.set_ylim(len(scored) - 0.5, -0.7)
        plot.margins(x=0.15)
        _finish(plot, title)
        if column == 1:
            plot.set_ylabel(", ".join(names), fontsize=9)
    _tell_spread(figure, scored)
    return _png(figure)


def _lines(name: str, others: Sequence[str], scored: Sequence[Group]) -> list[Line]:
    found: dict[str, list[Group]] = {}
    for group in scored:
        found.setdefault(_told(group.values, others), []).append(group)
    ordered = {
        told: sorted(line, key=lambda group: group.values[name]) for told, line in found.items()
    }
    return [Line(told, [g.values[name] for g in line], line) for told, line in ordered.items()]


def _draw_line(plot: Plot, line: Line, metric: str, number: int) -> None:
    """The means, in a band of a standard deviation to either side."""
    found = [values_of(group, "final", metric) for group in line.groups]
    means = np.asarray([values.mean() for values in found])
    stds = np.asarray([values.std() for values in found])
    plot.fill_between(line.x, means - stds, means + stds, color=colour(number), alpha=0.15, lw=0)
    # Colours repeat after the last one; then the dashes tell.
    dashes = "-" if number < len(COLOURS) else "--"
    shape = _SHAPES[number % len(_SHAPES)]
    plot.plot(line.x, means, marker=shape, ms=4.5, ls=dashes, color=colour(number), label=line.told)


def _draw_before(plot: Plot, lines: Sequence[Line], metric: str) -> None:
    """Where it started: once for all lines where they started alike, else for each its own."""
    before = [
        [values_of(group, "initial", metric).mean() for group in line.groups] for line in lines
    ]
    alike = np.ptp(np.concatenate(before)) < 1e-6
    if alike:
        plot.axhline(before[0][0], color=LIGHT.muted, ls=":", lw=1.4, label=_BEFORE)
        return
    for number, (line, values) in enumerate(zip(lines, before, strict=True)):
        plot.plot(line.x, values, color=colour(number), ls=":", lw=1.4)
    plot.plot([], [], color=LIGHT.muted, ls=":", lw=1.4, label=_BEFORE)


def _mark_values(plot: Plot, values: Sequence[float]) -> None:
    """Write the values that were run, where there is room for them."""
    if values[0] > 0 and values[-1] >= _LOG_FROM * values[0]:
        plot.set_xscale("log")
    if len(values) <= _MOST_TICKS:
        plot.set_xticks(values, [f"{value:g}" for value in values])
        plot.set_xticks([], minor=True)


def _tell_spread(figure: Figure, scored: Sequence[Group]) -> None:
    seeds = max(len(group.results) for group in scored)
    if seeds > 1:
        text = f"mean ± standard deviation, {seeds} seeds"
        figure.supxlabel(text, fontsize=8, color=LIGHT.muted, x=0.99, ha="right")


def _finish(plot: Plot, title: str) -> None:
    plot.set_title(title, fontsize=10, loc="left")
    plot.grid(color=LIGHT.muted, alpha=0.25, lw=0.6)
    plot.set_axisbelow(True)
    plot.tick_params(labelsize=8)
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)


def _told(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(str(values[name]) for name in names) or "after the answers"


def _is_numeric(axis: Axis) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in axis.values)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", facecolor="white")
    return buffer.getvalue()
