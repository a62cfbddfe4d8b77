"""What is measured: families of points, and the file that keeps the finished ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).resolve().parents[1] / "results"

# Names one measurement: field -> value.
Point = dict[str, Any]
# What a measurement gave, in JSON's types.
Row = dict[str, Any]
# Document -> mark -> the table that belongs between its marks; or all that a file beside the points
# is to hold.
Tables = dict[Path, dict[str, str] | str]


class Family(NamedTuple):
    """Points of one kind.

    Attributes:
      fields: the names of a point's fields, the same for all.
      points: all points of the given seeds, in the order in which they are measured.
      measure: runs a point.
      tables: of the rows that are there, each with its point's fields; draws the figures, too.
      shares: fields in which points that share a process agree; one point a process without.
      seeds: of the points that the tables are made of.
      limit: seconds that a point may take.
      keeps_limit: whether ``{"over": limit}`` is a result, and not a failure.
      home: the folder of the finished points, where the command names no other.
    """

    fields: tuple[str, ...]
    points: Callable[[Sequence[int]], Iterable[Point]]
    measure: Callable[[Point], Row]
    tables: Callable[[list[Row]], Tables]
    shares: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    limit: float = 7200.0
    keeps_limit: bool = False
    home: Path = RESULTS


class Store:
    """A family's finished points in a file, a line of JSON each.

    Args:
      path: of the file; it is made with the first point.
      fields: of a point.
    """

    def __init__(self, path: Path, fields: tuple[str, ...]) -> None:
        self.path, self._fields = path, fields

    def rows(self) -> list[Row]:
        """All points with what they gave, the last of those that were measured again."""
        if not self.path.exists():
            return []
        rows = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return list({self.key(row): row for row in rows}.values())

    def key(self, point: Point) -> tuple[Any, ...]:
        """What tells a point from the others."""
        return tuple(point[name] for name in self._fields)

    def missing(self, points: Iterable[Point]) -> list[Point]:
        """Those of ``points`` that are not there."""
        there = {self.key(row) for row in self.rows()}
        return [point for point in points if self.key(point) not in there]

    def keep(self, point: Point, row: Row) -> None:
        """Add a finished point, in one write, since others may be writing."""
        short = json.loads(json.dumps({**point, **row}), parse_float=_short)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", buffering=1 << 20, encoding="utf-8") as file:
            file.write(json.dumps(short, separators=(",", ":"), ensure_ascii=False) + "\n")


def _short(number: str) -> float:
    return float(f"{float(number):.6g}")
