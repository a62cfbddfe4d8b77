"""Tables and the plot of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.harness.points import Tables
from benchmarks.harness.tables import DOCS, table

Record = dict[str, Any]

_FLOORS = {
    "greedy": "reading the data once per pick",
    "knn": "NumPy's blocked x @ x.T",
}
_TITLES = {
    "greedy": "Greedy picks",
    "knn": "Nearest neighbours, K = 20",
    "kmeans": "k-means, 20 clusters, 10 restarts",
    "whole": "IDC from embeddings to picks (one k-means run, exact neighbours)",
    "baseline": "Every selector, its second call",
    "peer": "Peers",
    "scale": "IDC from embeddings to picks, approximate neighbours, compiling included",
}


def tables(records: list[Record]) -> Tables:
    """``results/selectors.md``; draws the plot of growth, too."""
    own = ("partitioned/", "targets/", "agreement/")
    rows = [_row(one, records) for one in records if not one["case"].startswith(own)]
    text = [f"Measured on {records[-1]['machine']}.\n"]
    groups: dict[tuple, list[Record]] = {}
    for row in rows:
        small = row["part"] == "peer" or (row["part"] == "baseline" and row["n"] == 10_000)
        part = "peer" if small else row["part"]
        size = () if part == "scale" else (row["n"], row["d"], row["budget"], row["data"])
        groups.setdefault((part, *size), []).append(row)
    for key, group in groups.items():
        text += _table(key, group)
    text += _two_rounds(records) + _targets(records) + _agreement(records)
    _plot([record for record in records if record["case"] == "scale/idc_jax"])
    return {Path("selectors.md"): "\n".join(text)}


def _row(record: Record, records: list[Record]) -> Record:
    """A record with its ratio to the floor, and whether its picks are ours."""
    part, name = record["case"].split("/", 1)
    alike = [
        other
        for other in records
        if all(other[f] == record[f] for f in ("n", "d", "data"))
        and other["case"].split("/")[0] == part
    ]
    row = record | {"part": part, "name": name}
    floor = next((other for other in alike if other["case"].endswith("/floor")), None)
    if floor and "wall" in record:
        row["over_floor"] = record["wall"] / floor["wall"]
    ours = next((other for other in alike if other["case"].endswith("/idc_jax")), None)
    if ours and part == "greedy" and "picks" in record:
        pairs = list(zip(record["picks"], ours["picks"], strict=True))
        row["alike"] = len(set(record["picks"]) & set(ours["picks"]))
        row["in_place"] = sum(a == b for a, b in pairs)
    return row


def _table(key: tuple, group: list[Record]) -> list[str]:
    part = key[0]
    size = f", {key[1]:,} × {key[2]} ({key[4]})" if len(key) > 1 else ""
    picks = f", {key[3]} picks" if len(key) > 1 and part not in ("knn", "kmeans") else ""
    lines = []
    for row in sorted(group, key=lambda row: (row["name"] != "floor", row["n"])):
        name = row["name"]
        if name == "floor":
            name = f"floor: {_FLOORS[part]}"
        name = f"{row['n']:,} × {row['d']}" if part == "scale" else name
        peak = f"{row['peak_gib']:.1f}"
        if "over" in row:
            lines.append([name, f"over {row['over']:.0f}", "", "", "", peak, ""])
            continue
        ratio = f"{row['over_floor']:.2f}" if "over_floor" in row else ""
        first = f"{row['first']:.1f}" if "first" in row else ""
        seconds = [f"{row['wall']:.2f}", f"{row['cpu']:.2f}"]
        lines.append([name, *seconds, ratio, first, peak, _note(row)])
    heads = ["", "wall s", "CPU s", "over floor", "first call s", "peak GiB", ""]
    return [f"### {_TITLES[part]}{size}{picks}\n", table(heads, lines), ""]


def _note(row: Record) -> str:
    notes = []
    if "recall" in row:
        notes.append(f"recall {row['recall']:.3f}")
    if "probes" in row:
        notes.append(f"{row['probes']} of {row['cells']} cells")
    if "inertia" in row:
        notes.append(f"inertia {row['inertia']:.1f}")
    if "alike" in row:
        notes.append(f"{row['alike']} of {row['budget']} picks as ours, {row['in_place']} in place")
    if row.get("programs"):
        notes.append(f"compiling {row['compile']:.1f} s, warm {row['warm_programs']} programs")
    if "parts" in row:
        notes.append(", ".join(f"{name} {wall:.1f} s" for name, wall in row["parts"].items()))
    return "; ".join(notes)


def _two_rounds(records: list[Record]) -> list[str]:
    lines = []
    found = [record for record in records if record["case"] == "partitioned/idc_jax"]
    for record in sorted(found, key=lambda record: record["n"]):
        exact, random = record["value"], record["random"]
        for row in record["rounds"]:
            loss = (exact - row["value"]) / (exact - random)
            values = [f"{value:.4f}" for value in (exact, random, row["value"])]
            shown = [f"{100 * loss:.2f} %", str(row["shared"])]
            lines.append([f"{record['n']:,}", str(row["parts"]), *values, *shown])
    heads = ["samples", "parts", "exact", "random", "two rounds", "loss", "same picks"]
    about = "Mean value of a pick; the loss as a share of what exact picks gain over random ones."
    return _section("Two rounds against exact picks", about, heads, lines)


def _targets(records: list[Record]) -> list[str]:
    lines = []
    for record in records:
        part, name = record["case"].split("/")
        if part == "targets":
            values = [f"{record[k] / record['n']:.5f}" for k in ("random", "sampled", "exact")]
            counts = [f"{record['n']:,}", str(record["budget"])]
            lines.append([name, *counts, *values, str(record["shared"])])
    heads = ["", "samples", "picks", "random", "8,192", "all", "same picks"]
    title = "Coverage measured on 8,192 samples against all of them"
    return _section(title, "What the picks cover of all samples, on average.", heads, lines)


def _agreement(records: list[Record]) -> list[str]:
    lines = []
    for record in records:
        part, name = record["case"].split("/")
        if part == "agreement":
            again = "yes" if record["repeats"] else "no"
            lines.append([name, again, f"{record['as_cpu']} of {record['budget']}"])
    heads = ["", "the same twice", "as on the CPU"]
    return _section("The same picks again", "Called twice, and on a CPU.", heads, lines)


def _section(title: str, about: str, heads: list[str], lines: list[list[str]]) -> list[str]:
    return [f"### {title}\n", f"{about}\n", table(heads, lines), ""] if lines else []


def _plot(records: list[Record]) -> None:
    """Seconds and memory by number of samples, beside straight growth."""
    if len(records) < 2:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    records = sorted(records, key=lambda record: record["n"])
    sizes = [record["n"] for record in records]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name in records[0]["parts"]:
        left.plot(sizes, [record["parts"][name] for record in records], "o-", label=name)
    walls = [record["wall"] for record in records]
    left.plot(sizes, walls, "ko-", label="all")
    straight = [walls[-1] * size / sizes[-1] for size in sizes]
    left.plot(sizes, straight, ":", color="grey", label="in proportion")
    right.plot(
        sizes, [record["peak_gib"] for record in records], "ko-", label="peak of the process"
    )
    data = [4 * record["n"] * record["d"] / 2**30 for record in records]
    right.plot(sizes, data, ":", color="grey", label="the embeddings themselves")
    for axis, label in ((left, "seconds, 2 cores"), (right, "GiB")):
        axis.set(xscale="log", yscale="log", xlabel="samples (128 numbers each)", ylabel=label)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(DOCS / "images" / "selectors_growth.png", dpi=130)
    plt.close(figure)
