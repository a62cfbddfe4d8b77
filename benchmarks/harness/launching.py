"""Shipped configs, run by name as a user would."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness.tables import ROOT


def command(
    config: str, options: Mapping[str, object], axes: Sequence[str], workdir: Path
) -> list[str]:
    """The arguments of a sweep: ``configs/NAME.py[:METHOD]``, options, ``OPTION=VALUE,VALUE``."""
    quiet = {"report.map": False, "progress": False}
    return [
        "launch.py",
        f"--config={config}",
        *(f"--config.{name}={value}" for name, value in {**quiet, **options}.items()),
        *(f"--sweep={axis}" for axis in axes),
        f"--workdir={workdir}",
    ]


def sweep(
    config: str, options: Mapping[str, object], axes: Sequence[str], workdir: Path
) -> list[dict[str, str]]:
    """Run a sweep; returns the lines of its ``sweep.csv``.

    Raises:
      RuntimeError: a run that failed, with its reason.
    """
    arguments = command(config, options, axes, workdir)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"exit code {done.returncode}: {' '.join(arguments)}")
    with (workdir / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    failed = [row["reason"] for row in rows if row["status"] != "done"]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(rows)} runs failed: {failed[0]}")
    return rows
