"""``report.html``: one self-contained page that says what the questions bought."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from idc_jax.data.base import Dataset
from idc_jax.data.telling import told
from idc_jax.metrics import cluster_health, collapse_warning, contingency
from idc_jax.report import summary
from idc_jax.report.answers import Round, describe_annotator
from idc_jax.report.curves import learning_panel, training_panels
from idc_jax.report.figures import draw_confusion, draw_curves, draw_map, shows_percents
from idc_jax.report.files import plain, write_atomically
from idc_jax.report.galleries import cluster_cards, question_cards
from idc_jax.report.palette import COLOURS, DARK, LIGHT, MARKERS, Theme
from idc_jax.report.projection import choose_points, project
from idc_jax.report.thumbnails import data_uri
from idc_jax.report.view import ReportOptions, View, build_view

# From here on numbers on the map would cover the points.
MAP_TEXTS = 40
LEGEND_ENTRIES = 30
SKIPPED_SHOWN = 200
CONFUSIONS_SHOWN = 8
OPEN_CLUSTERS = 24


def write_report(
    workdir: Path,
    *,
    dataset: Dataset,
    result: Mapping[str, Any],
    rounds: Sequence[Round],
    initial_probabilities: np.ndarray,
    final_probabilities: np.ndarray,
    embeddings: np.ndarray,
    metrics_log: Sequence[Mapping[str, Any]] = (),
    options: ReportOptions | None = None,
) -> Path:
    """Write ``report.html`` into ``workdir``.

    Args:
      workdir: the run's folder.
      dataset: the data set, labelled or not, images or features.
      result: what ``result.json`` holds.
      rounds: the questions and answers of every round; empty where nothing was asked.
      initial_probabilities: ``[n, c]``, before any answer.
      final_probabilities: ``[n, c]``, at the end.
      embeddings: ``[n, d]``, the final ones, for the map and for neighbours.
      metrics_log: the lines of ``metrics.jsonl``.
      options: how much to show.

    Returns:
      The page's path. It holds all its pictures and needs no network.

    Raises:
      UserError: if the arrays do not belong together, or the page cannot be written.
    """
    view = build_view(
        dataset=dataset,
        result=result,
        rounds=rounds,
        initial=initial_probabilities,
        final=final_probabilities,
        embeddings=embeddings,
        log=metrics_log,
        options=options or ReportOptions(),
    )
    environment = Environment(
        loader=PackageLoader("idc_jax.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(_context(view))
    return write_atomically(Path(workdir) / "report.html", page)


def _context(view: View) -> dict[str, Any]:
    labelled = view.dataset.labels is not None
    health = cluster_health(view.final)
    return {
        "view": view,
        "result": view.result,
        "labelled": labelled,
        "headline": summary.headline(view),
        "annotator": describe_annotator(view.result["config"]),
        "warning": collapse_warning(health, summary.wanted_clusters(view)),
        "tiles": summary.metric_tiles(view),
        "metric_names": summary.METRICS,
        "rows": summary.metric_rows(view),
        "health": summary.health_rows(view),
        "outlook": summary.outlook_rows(view),
        "advice": summary.advice(view),
        "candidates": summary.candidate_rows(view),
        "learning": _figure(draw_curves, learning_panel(view), "questions asked"),
        "map": _map(view) if view.options.draw_map else None,
        "facts": summary.question_facts(view),
        "questions": question_cards(view),
        "confusion": _confusion(view) if labelled else None,
        "clusters": cluster_cards(view),
        "open_clusters": OPEN_CLUSTERS,
        "curves": _figure(draw_curves, training_panels(view.log), "step"),
        "left_out": told(view.dataset.skipped),
        "skipped": view.dataset.skipped[:SKIPPED_SHOWN],
        "seconds": summary.second_rows(view.result["seconds"]),
        "config": json.dumps(plain(view.result["config"]), indent=2),
        "colours": COLOURS,
        "shapes": len(MARKERS),
    }


def _figure(draw: Callable[..., bytes], panels: Sequence[Any], x_label: str) -> Any:
    if not panels:
        return None
    return _themed(lambda theme: draw(panels, x_label, theme), "image/svg+xml")


def _themed(draw: Callable[[Theme], bytes], mime: str) -> dict[str, str]:
    return {theme.name: data_uri(draw(theme), mime) for theme in (LIGHT, DARK)}


def _map(view: View) -> dict[str, Any]:
    options = view.options
    shown = choose_points(view.dataset.size, view.picks, options.map_points, options.seed)
    points = project(view.embeddings[shown], options.seed)
    picks = np.flatnonzero(np.isin(shown, view.picks))
    ids = {"Clusters before any answer": (view.before, view.slots.initial)}
    ids["Clusters after the answers"] = (view.after, view.slots.final)
    if view.dataset.labels is not None:
        ids["Classes"] = (view.dataset.labels, view.slots.classes)
    panels = []
    for title, (groups, slots) in ids.items():
        drawn = groups[shown]
        texts = {int(slots[group]): str(group) for group in np.unique(drawn[drawn >= 0])}
        texts = texts if len(texts) <= MAP_TEXTS else {}
        draw = partial(_draw_known, points, drawn, slots, texts, picks)
        panels.append({"title": title, **_themed(draw, "image/png")})
    return {
        "panels": panels,
        "legend": _legend(view),
        "shown": len(shown),
        "picks_shown": len(picks),
    }


def _draw_known(
    points: np.ndarray,
    groups: np.ndarray,
    slots: np.ndarray,
    texts: Mapping[int, str],
    picks: np.ndarray,
    theme: Theme,
) -> bytes:
    """Draw the points whose group is known; the rings stay the same on every panel."""
    known = groups >= 0
    return draw_map(points[known], slots[groups[known]], texts, points[picks], theme)


def _legend(view: View) -> list[dict[str, Any]]:
    if view.dataset.labels is None:
        entries = [
            {"slot": int(slot), "text": f"cluster {cluster}"}
            for cluster, slot in enumerate(view.slots.final)
        ]
    else:
        assert view.matching is not None
        entries = [_class_entry(view, index) for index in range(len(view.slots.classes))]
        entries += [
            {"slot": int(view.slots.final[cluster]), "text": f"cluster {cluster} (no class)"}
            for cluster in np.flatnonzero(view.matching.class_of_cluster < 0)
        ]
    return entries if len(entries) <= LEGEND_ENTRIES else []


def _class_entry(view: View, index: int) -> dict[str, Any]:
    assert view.matching is not None
    cluster, name = int(view.matching.cluster_of_class[index]), view.class_name(index)
    numbered = f"{index} {name}" if name != str(index) else name
    suffix = f" (cluster {cluster})" if cluster >= 0 else " (no cluster)"
    return {"slot": int(view.slots.classes[index]), "text": numbered + suffix}


def _confusion(view: View) -> dict[str, Any]:
    assert view.matching is not None
    assert view.dataset.labels is not None
    known = view.known
    table = contingency(view.after[known], view.dataset.labels[known], view.num_clusters).T
    matched = view.matching.cluster_of_class
    order = [*matched[matched >= 0], *np.flatnonzero(view.matching.class_of_cluster < 0)]
    classes = [*np.flatnonzero(matched >= 0), *np.flatnonzero(matched < 0)]
    names = [view.class_name(int(index)) for index in classes]
    ordered = table[classes][:, order]
    columns = [str(cluster) for cluster in order]
    return {
        **_themed(lambda theme: draw_confusion(ordered, names, columns, theme), "image/svg+xml"),
        "classes": len(names),
        "percents": shows_percents(table),
        "top": _top_confusions(view, table),
    }


def _top_confusions(view: View, table: np.ndarray) -> list[dict[str, Any]]:
    """List the largest cells off the matching: which class sits in which other's cluster."""
    assert view.matching is not None
    off = table.copy()
    for class_, cluster in enumerate(view.matching.cluster_of_class):
        if cluster >= 0:
            off[class_, cluster] = 0
    largest = np.argsort(-off, axis=None, kind="stable")[:CONFUSIONS_SHOWN]
    cells = [tuple(map(int, np.unravel_index(i, off.shape))) for i in largest]
    return [
        {
            "class": view.class_name(class_),
            "cluster": cluster,
            "matched": view.cluster_class(cluster),
            "count": int(off[class_, cluster]),
            "share": off[class_, cluster] / table[class_].sum(),
        }
        for class_, cluster in cells
        if off[class_, cluster]
    ]
