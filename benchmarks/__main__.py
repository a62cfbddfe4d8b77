"""Measures this project: points that are missing, and tables of those that are there.

    python -m benchmarks answers --task digits --seeds 0 1   # some of a family's points
    python -m benchmarks answers --list                      # what is missing, not measured
    python -m benchmarks answers --report    # tables into docs/; of no document: beside the points
    python -m benchmarks selectors --here --out=runs/gpu     # in this process, in another folder

Each finished point is a line of ``benchmarks/results/FAMILY.jsonl`` and is not measured again. A
point that fails is told with its reason, stops nothing, and makes the exit code 1.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.families import FAMILIES, load
from benchmarks.harness import processes, tables
from benchmarks.harness.points import Family, Point, Store


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; its first word is a family, whose fields are options."""
    name = arguments[0] if arguments and arguments[0] in FAMILIES else ""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}".rstrip(),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("family", choices=FAMILIES)
    if name:
        family = load(name)
        for field in family.fields:
            if field != "seed":
                parser.add_argument(f"--{field}", nargs="+", help="points with these values only")
        parser.add_argument("--seeds", nargs="+", type=int, default=family.seeds)
        parser.add_argument("--report", action="store_true", help="write the tables")
        parser.add_argument("--list", action="store_true", help="tell what is missing")
        parser.add_argument("--here", action="store_true", help="in this process, without limits")
        parser.add_argument("--out", type=Path, default=family.home, help="folder of the points")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    given = parse(arguments)
    family = load(given.family)
    store = Store(given.out / f"{given.family}.jsonl", family.fields)
    if given.report:
        tables.write(family.tables(store.rows()), given.out)
        return 0
    points = wanted(family, given)
    if given.list:
        for point in store.missing(points):
            print(*point.values())
        return 0
    runner = processes.here if given.here else processes.in_processes
    return int(processes.run(given.family, family, points, store, runner) > 0)


def wanted(family: Family, given: argparse.Namespace) -> list[Point]:
    """The points that the command line asks for."""
    chosen = {field: getattr(given, field) for field in family.fields if field != "seed"}
    return [
        point
        for point in family.points(given.seeds)
        if all(values is None or str(point[name]) in values for name, values in chosen.items())
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
