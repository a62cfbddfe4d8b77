"""``sweep.html``: what was tried, what came out best, and every run's own report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from idc_jax.report import render, write_atomically
from idc_jax.report.thumbnails import data_uri
from idc_jax.sweeps.axes import Axis
from idc_jax.sweeps.summary import METRICS, SEED, Group, Row, groups, spread, values_of

NAME = "sweep.html"


def write_page(
    workdir: Path, axes: Sequence[Axis], rows: Sequence[Row], plots: Sequence[str]
) -> str:
    """Write ``sweep.html``.

    Args:
      workdir: the sweep's folder.
      axes: the swept options.
      rows: its points.
      plots: the names of the pictures in ``workdir`` to show.

    Returns:
      The name of the file.
    """
    found = groups(rows)
    ranked = sorted(
        (group for group in found if values_of(group, "final", "acc").size),
        key=lambda group: -values_of(group, "final", "acc").mean(),
    )
    results = [row.result for row in rows if row.result is not None]
    page = render(
        "sweep.html",
        {
            "dataset": results[0]["dataset"] if results else "",
            "runs": len(rows),
            "best": _told(ranked[0]) if ranked else "",
            "accuracy": spread(values_of(ranked[0], "final", "acc")) if ranked else "",
            "names": [axis.name for axis in axes if axis.name != SEED],
            "axes": [(axis.name, ", ".join(map(str, axis.values))) for axis in axes],
            "metrics": list(METRICS.values()),
            "groups": [_line(group, group in ranked[:1]) for group in found],
            "points": [_point(row) for row in rows],
            "failed": sum(bool(row.reason) for row in rows),
            "plots": [
                (name, data_uri((workdir / name).read_bytes(), "image/png")) for name in plots
            ],
        },
    )
    write_atomically(workdir / NAME, page)
    return NAME


def _told(group: Group) -> str:
    return ", ".join(f"{name} {value}" for name, value in group.values.items())


def _line(group: Group, is_best: bool) -> dict[str, Any]:
    return {
        "values": list(group.values.values()),
        "runs": len(group.results),
        "before": spread(values_of(group, "initial", "acc")),
        "metrics": [spread(values_of(group, "final", metric)) for metric in METRICS],
        "best": is_best,
    }


def _point(row: Row) -> dict[str, Any]:
    scores = (row.result or {}).get("final") or {}
    return {
        "told": ", ".join(f"{name} {value}" for name, value in row.values.items()),
        "folder": row.folder,
        "reason": row.reason,
        "accuracy": f"{scores['acc']:.3f}" if scores else "",
        "seconds": f"{row.result['seconds']['total']:,.0f} s" if row.result else "",
    }
