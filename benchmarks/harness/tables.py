"""Tables in Markdown, and where they go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.harness.points import Tables

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# What two results are paired by: a seed, or a data set and a seed.
Run = TypeVar("Run", int, tuple[str, int])


def table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    heads = list(heads)
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def filled(text: str, tables: Mapping[str, str]) -> str:
    """``text`` with each table between its marks.

    Raises:
      ValueError: a table without marks.
    """
    for name, inside in tables.items():
        before, after = text.split(f"<!-- {name} -->\n", 1)
        _, rest = after.split("<!-- end -->", 1)
        text = f"{before}<!-- {name} -->\n{inside}\n<!-- end -->{rest}"
    return text


def write(tables: Tables, beside: Path) -> None:
    """Put tables between their marks, and whole texts into files ``beside`` the points."""
    for name, inside in tables.items():
        document = beside / name
        document.parent.mkdir(parents=True, exist_ok=True)
        text = inside if isinstance(inside, str) else filled(document.read_text(), inside)
        document.write_text(text, encoding="utf-8")
        print(f"written: {document}")


def spread(values: Iterable[float], *, ddof: int = 1) -> str:
    """Mean ± standard deviation, the mean of one, a dash for none."""
    found = list(values)
    if not found:
        return "–"
    more = f" ± {np.std(found, ddof=ddof):.3f}" if len(found) > 1 else ""
    return f"{np.mean(found):.3f}{more}"


def gap(ours: Mapping[Run, float], other: Mapping[Run, float]) -> str:
    """``ours − other`` over the runs of both: mean ± standard error."""
    gaps = np.array([ours[run] - other[run] for run in sorted(ours.keys() & other.keys())])
    if not gaps.size:
        return "–"
    error = f" ± {np.std(gaps, ddof=1) / np.sqrt(gaps.size):.3f}" if gaps.size > 1 else ""
    return f"{gaps.mean():+.3f}{error}"
