"""The tables of ``docs/methods_dsac_pcl.md``, from the points in ``results``.

python benchmarks/methods/tables.py            # print them
python benchmarks/methods/tables.py --write    # put them into the document
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from common import ROOT, read_points

DOCUMENT = ROOT / "docs" / "methods_dsac_pcl.md"


class Table(NamedTuple):
    """What of a file's points is shown.

    Attributes:
      points: the file's name.
      metric: the metric in the cells.
      questions: the columns.
      title: the first head.
    """

    points: str
    metric: str
    questions: tuple[int, ...]
    title: str


_LABELS = (0, 20, 40, 60, 80, 100)
_PAIRS = (0, 1000, 5000, 10_000)
_DSAC = {
    f"dsac_{name}_{metric}": Table(f"dsac_{name}", metric, _LABELS, f"{metric.upper()} after")
    for name in ("features", "features_all", "digits", "fashion_mnist")
    for metric in ("ari", "nmi", "acc")
}
_PCL = {
    f"pcl_orientations_{metric}": Table("pcl_orientations", metric, _PAIRS, f"{title} after")
    for metric, title in (("nmi", "NMI"), ("ari", "ARI"), ("fmi", "F"), ("acc", "ACC"))
}
TABLES = {
    **_DSAC,
    **_PCL,
    "pcl_ablation_acc": Table("pcl_ablation", "acc", (0, 500, 1000, 1500, 2000), "ACC after"),
    "pcl_ablation_ari": Table("pcl_ablation", "ari", (0, 500, 1000, 1500, 2000), "ARI after"),
    "pcl_digits_acc": Table("pcl_digits", "acc", (0, 100, 200, 500, 1000), "ACC after"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true")
    if not parser.parse_args().write:
        for name, wanted in TABLES.items():
            print(f"{name}\n\n{render(wanted)}\n")
        return
    text = DOCUMENT.read_text()
    for name, wanted in TABLES.items():
        begin = f"<!-- {name} -->\n"
        if begin in text:
            before, after = text.split(begin)
            _, rest = after.split("<!-- end -->", 1)
            text = f"{before}{begin}{render(wanted)}\n<!-- end -->{rest}"
    DOCUMENT.write_text(text)


def render(wanted: Table) -> str:
    """The table in Markdown: a line a variant, mean ± standard deviation over its seeds."""
    runs: dict[str, list[dict[int, float]]] = {}
    for point in read_points(wanted.points):
        by_count = {round(row["questions"]): row[wanted.metric] for row in point["rows"]}
        runs.setdefault(point["variant"], []).append(by_count)
    heads = [wanted.title, *(f"{count:,}" for count in wanted.questions), "seeds"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, found in runs.items():
        cells = [_cell([run[q] for run in found if q in run]) for q in wanted.questions]
        lines.append("| " + " | ".join([name, *cells, str(len(found))]) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
