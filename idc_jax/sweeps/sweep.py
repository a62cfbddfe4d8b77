"""Sweeps: a run for every combination of some options' values, and one table over all of them.

Each point of a sweep is an ordinary run in a folder of its own, which a command for that point
alone would have left in the same way. The same sweep again goes on where it was: finished points
are read, the one that was interrupted goes on, those that failed are tried again.
"""

from __future__ import annotations

import copy
import gc
import hashlib
import itertools
import json
import os
import re
import shutil
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.report import write_atomically
from idc_jax.runs.compose import run_experiment
from idc_jax.runs.settings import check_settings
from idc_jax.runs.workdir import check_unchanged, check_writable
from idc_jax.sweeps.axes import Axis, Value, parse_axes
from idc_jax.sweeps.page import write_page
from idc_jax.sweeps.plots import write_plots
from idc_jax.sweeps.summary import Row, write_summary

# Options that pre-training never sees, beside the methods' own. What is not named here keeps two
# points from sharing one.
_AFTER_PRETRAINING = frozenset(
    ("budget", "rounds", "selector", "annotator", "report", "progress", "workdir")
)
_PRETRAINED = Path("checkpoints") / "pretrain"


class Point(NamedTuple):
    """One run of a sweep.

    Attributes:
      values: of the swept options.
      folder: where the run leaves everything.
      config: its whole configuration.
    """

    values: dict[str, Value]
    folder: Path
    config: ConfigDict


def run_sweep(config: ConfigDict, texts: Sequence[str], workdir: Path) -> int:
    """Run every point, and leave ``sweep.csv``, ``sweep.md`` and plots in ``workdir``.

    Args:
      config: what the points have in common.
      texts: ``"NAME=A,B,C"`` for each swept option.
      workdir: holds a folder for every point.

    Returns:
      0 where every point is done, 1 where some have failed.

    Raises:
      UserError: an option or value that no point could be run with, or a folder that cannot be
        used; nothing has been written then.
    """
    axes = parse_axes(texts, config)
    points = make_points(config, axes, workdir)
    check_points(points, workdir)
    rows = _run_points(axes, points, workdir)
    table = write_summary(workdir, axes, rows)
    plots = write_plots(workdir, axes, rows)
    print(f"\n{table}\n")
    for row in rows:
        if row.reason:
            print(f"failed: {row.folder}: {row.reason}")
    page = write_page(workdir, axes, rows, plots)
    print(f"sweep: {', '.join([page, 'sweep.md', 'sweep.csv', *plots])} in {workdir.resolve()}")
    return 1 if any(row.reason for row in rows) else 0


def make_points(config: ConfigDict, axes: Sequence[Axis], workdir: Path) -> tuple[Point, ...]:
    """Build the product of the axes, the last one changing fastest."""
    points = []
    for combination in itertools.product(*(axis.values for axis in axes)):
        values = {axis.name: value for axis, value in zip(axes, combination, strict=True)}
        own = copy.deepcopy(config)
        own.update_from_flattened_dict(values)
        points.append(Point(values, workdir / _folder(values), own))
    return tuple(points)


def check_points(points: Sequence[Point], workdir: Path) -> None:
    """Refuse what can be seen to be wrong before anything is run.

    Raises:
      UserError: an impossible value, or a folder that holds something else.
    """
    for point in points:
        check_settings(point.config)
    check_writable(workdir)
    if (workdir / "config.json").exists():
        raise UserError(f"{workdir} holds a single run; a sweep needs another --workdir")
    for point in points:
        check_unchanged(point.folder, point.config.to_dict())


def _folder(values: Mapping[str, Value]) -> str:
    """A name that tells the values, and no two of them alike."""
    told = ",".join(f"{name}={value}" for name, value in values.items())
    safe = re.sub(r"[^\w.,=+-]", "-", told)[:150]
    return safe if safe == told else f"{safe}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _run_points(axes: Sequence[Axis], points: Sequence[Point], workdir: Path) -> list[Row]:
    """Run what is not done yet; a row for each point."""
    rows = {number: _row(point) for number, point in enumerate(points) if _is_done(point)}
    if rows:
        print(f"{len(rows)} of {len(points)} points are done already", flush=True)
    shape = ""
    for number, point in enumerate(points):
        if number in rows:
            continue
        print(f"point {number + 1} of {len(points)}: {point.folder.name}", flush=True)
        shape = _make_room(shape, point.config)
        _adopt_network(point, points)
        rows[number] = _row(point, _run(point))
        if rows[number].reason:
            print(f"failed: {rows[number].reason}", flush=True)
        # In the order of the points; those to come are left out.
        write_summary(workdir, axes, [rows[done] for done in sorted(rows)])
    return [rows[number] for number in sorted(rows)]


def _is_done(point: Point) -> bool:
    # A run writes this last.
    return (point.folder / "result.json").exists()


def _run(point: Point) -> str:
    """Run ``point``; why it failed, or nothing."""
    try:
        run_experiment(copy.deepcopy(point.config), point.folder)
    except UserError as error:
        return str(error)
    except Exception as error:
        where = write_atomically(point.folder / "error.txt", traceback.format_exc())
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]} (see {where})"
    (point.folder / "error.txt").unlink(missing_ok=True)
    return ""


def _row(point: Point, reason: str = "") -> Row:
    result = None if reason else json.loads((point.folder / "result.json").read_text())
    return Row(point.values, point.folder.name, reason, result)


def _network_key(config: ConfigDict, *, with_seed: bool) -> str:
    """Equal for two configurations whose pre-training is the same (up to the seed)."""
    unseen = _AFTER_PRETRAINING.union(*(spec.options for spec in registry.specs()))
    kept = {k: v for k, v in config.to_dict().items() if k not in unseen}
    if not with_seed:
        kept.pop("seed")
    return json.dumps(kept, sort_keys=True, default=str)


def _adopt_network(point: Point, points: Sequence[Point]) -> None:
    """Give ``point`` the furthest pre-training among the points that would pre-train alike.

    The run then finds it as its own, and goes on from it.
    """
    own = point.folder / _PRETRAINED
    if point.config.init != "pretrain" or own.exists():
        return
    wanted = _network_key(point.config, with_seed=True)
    alike = [
        other.folder / _PRETRAINED
        for other in points
        if _network_key(other.config, with_seed=True) == wanted
    ]
    best = max(alike, key=_last_step)
    if _last_step(best) > 0:
        part = own.with_name(f".{own.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(best, part, copy_function=_link)
        part.rename(own)


def _last_step(checkpoints: Path) -> int:
    steps = checkpoints.iterdir() if checkpoints.is_dir() else ()
    return max((int(step.name) for step in steps if step.name.isdigit()), default=0)


def _link(source: str, target: str) -> None:
    # Checkpoints are written once: a second name saves the space of a copy.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _make_room(shape: str, config: ConfigDict) -> str:
    """Give compiled programs back where the next point has little use for them.

    Programs that differ in nothing but the number of answers stay, until the memory maps that
    the kernel grants a process run short: past them a compilation aborts the process.
    """
    wanted = _network_key(config, with_seed=False)
    if (shape and wanted != shape) or _maps_run_short():
        jax.clear_caches()
    gc.collect()  # what the last run had on the device
    return wanted


def _maps_run_short() -> bool:
    try:
        used = Path("/proc/self/maps").read_bytes().count(b"\n")
        granted = int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):  # no such limit here
        return False
    return used > granted // 3
