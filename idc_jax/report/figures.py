"""Figures by matplotlib's object-oriented API: no pyplot, so no state shared with anybody.

Every figure is drawn on a transparent ground in one theme; the page shows the fitting one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from idc_jax.errors import representable
from idc_jax.report.palette import Theme, colour, marker

MAP_INCHES = 6.0
MAP_DPI = 150
# Beyond this many, numbers in the cells of a confusion matrix can no longer be read.
ANNOTATED_CLASSES = 20
PANEL_COLUMNS = 3

Series = Mapping[str, tuple[np.ndarray, np.ndarray]]


def draw_map(
    points: np.ndarray, slots: np.ndarray, texts: Mapping[int, str], rings: np.ndarray, theme: Theme
) -> bytes:
    """Draw a scatter plot of the 2-D map.

    Args:
      points: ``[m, 2]``.
      slots: int ``[m]``, the palette slot of every point.
      texts: what to write onto the middle of each slot's points; slots left out get nothing.
      rings: ``[p, 2]``, where to draw a ring.
      theme: the colours.

    Returns:
      A PNG.
    """
    figure = Figure(figsize=(MAP_INCHES, MAP_INCHES), dpi=MAP_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    size = float(np.clip(45_000 / max(len(points), 1), 7, 60))
    for slot in np.unique(slots):
        x, y = points[slots == slot].T
        axes.scatter(
            x, y, s=size, c=colour(slot), marker=marker(slot), alpha=0.75, linewidths=0, zorder=1
        )
    _ring(axes, rings, theme)
    for slot, text in texts.items():
        _label(axes, points[slots == slot], text, theme)
    return _png(figure)


def draw_confusion(
    table: np.ndarray, rows: Sequence[str], columns: Sequence[str], theme: Theme
) -> bytes:
    """Draw a confusion matrix.

    Args:
      table: int ``[k, c]``, samples by class and cluster, matched clusters first.
      rows: the classes' names.
      columns: the clusters' names.
      theme: the colours.

    Returns:
      An SVG. Shades are shares of the class. Up to 20 classes numbers stand in the cells:
      counts, or whole percents of the class where :func:`shows_percents`.
    """
    side = max(table.shape)
    cell = 0.44 if side <= ANNOTATED_CLASSES else 0.13
    figure = Figure(figsize=(1.6 + cell * table.shape[1], 1.3 + cell * table.shape[0]))
    axes = figure.add_subplot()
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    shades = LinearSegmentedColormap.from_list("shades", list(theme.shades))
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1, interpolation="nearest")
    if side <= ANNOTATED_CLASSES:
        _annotate(axes, table, shares, theme)
    font = 9 if side <= ANNOTATED_CLASSES else 6.5
    axes.set_yticks(range(len(rows)), [_short(row) for row in rows], fontsize=font)
    upright = max(map(len, columns), default=0) <= 3
    axes.set_xticks(
        range(len(columns)), columns, fontsize=font, rotation=0 if upright and side <= 20 else 90
    )
    axes.set_xlabel("cluster", fontsize=10)
    axes.set_ylabel("class", fontsize=10)
    _plain_axes(axes, theme)
    return _svg(figure)


def shows_percents(table: np.ndarray) -> bool:
    """Whether counts would be too long for the cells of a confusion matrix."""
    return bool(table.max() >= 1000)


def draw_curves(panels: Sequence[tuple[str, Series]], x_label: str, theme: Theme) -> bytes:
    """Draw small multiples of curves.

    Args:
      panels: title and curves ``name -> (x [s], y [s])`` of each panel.
      x_label: what all x axes show.
      theme: the colours.

    Returns:
      An SVG.
    """
    columns = min(PANEL_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.5 * columns, 2.4 * rows), layout="constrained")
    for position, (title, series) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, position + 1)
        _curves(axes, series, theme)
        axes.set_title(title, fontsize=10, color=theme.ink, loc="left")
        if position >= len(panels) - columns:
            axes.set_xlabel(x_label, fontsize=9)
        _plain_axes(axes, theme)
    return _svg(figure)


def _curves(axes: Axes, series: Series, theme: Theme) -> None:
    for number, (name, (x, y)) in enumerate(series.items()):
        hue = theme.accent if len(series) == 1 else colour(number)
        axes.plot(x, y, color=hue, lw=1.6, label=name, marker="o" if len(x) <= 30 else "", ms=3.5)
    axes.grid(axis="y", color=theme.muted, alpha=0.25, lw=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    counts = all(np.array_equal(y, np.rint(y)) for _, y in series.values())
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=counts))
    if len(series) > 1:
        # Beside the lines: within, there is always one that it hides.
        axes.legend(
            fontsize=9,
            frameon=False,
            labelcolor=theme.ink,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            borderaxespad=0.0,
        )


def _ring(axes: Axes, points: np.ndarray, theme: Theme) -> None:
    size = float(np.clip(6_000 / max(len(points), 1), 14, 55))
    line = float(np.clip(size / 40, 0.9, 1.3))
    for edge, width in ((theme.paper, 2.2 * line), (theme.ink, line)):
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=size,
            facecolors="none",
            edgecolors=edge,
            lw=width,
            zorder=2,
        )


def _label(axes: Axes, points: np.ndarray, text: str, theme: Theme) -> None:
    if not len(points):
        return
    middle = np.median(points, 0)
    x, y = points[np.argmin(((points - middle) ** 2).sum(1))]
    halo = [withStroke(linewidth=4, foreground=theme.paper)]
    text = _literal(text)
    axes.text(
        x, y, text, color=theme.ink, fontsize=17, fontweight="bold", ha="center", va="center",
        path_effects=halo, zorder=3,
    )  # fmt: skip


def _annotate(axes: Axes, table: np.ndarray, shares: np.ndarray, theme: Theme) -> None:
    numbers = np.rint(100 * shares).astype(int) if shows_percents(table) else table
    for row, column in zip(*np.nonzero(numbers), strict=True):
        hue = theme.paper if shares[row, column] > 0.5 else theme.ink
        text = str(numbers[row, column])
        axes.text(column, row, text, color=hue, fontsize=9, ha="center", va="center")


def _plain_axes(axes: Axes, theme: Theme) -> None:
    axes.tick_params(colors=theme.ink, length=0)
    axes.set_facecolor("none")
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)


def _short(name: str, limit: int = 18) -> str:
    return _literal(name if len(name) <= limit else name[: limit - 1] + "…")


def _literal(text: str) -> str:
    """``text`` as it is shown: between dollar signs, matplotlib would read a formula."""
    return representable(text).replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", facecolor="none")
    return buffer.getvalue()


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasSVG(figure).print_figure(
        buffer, format="svg", facecolor="none", bbox_inches="tight", metadata={"Date": None}
    )
    return buffer.getvalue()
