"""Tables and the plot of what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def read(file: Path) -> list[Record]:
    """All records; of one measured again, the last."""
    if not file.exists():
        return []
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    fields = ("case", "n", "d", "budget", "data")
    return list({tuple(r[f] for f in fields): r for r in records}.values())


def write(file: Path, folder: Path, picture: Path) -> None:
    """``table.md`` and ``table.json`` in ``folder``, and the plot of growth."""
    records = read(file)
    if not records:
        return
    tables_of_their_own = ("partitioned/", "targets/")
    rows = [
        _row(record, records)
        for record in records
        if not record["case"].startswith(tables_of_their_own)
    ]
    text = [f"Measured on {records[-1]['machine']}.\n"]
    groups: dict[tuple, list[Record]] = {}
    for row in rows:
        small = row["part"] == "peer" or (row["part"] == "baseline" and row["n"] == 10_000)
        part = "peer" if small else row["part"]
        size = () if part == "scale" else (row["n"], row["d"], row["budget"], row["data"])
        groups.setdefault((part, *size), []).append(row)
    for key, group in groups.items():
        text += _table(key, group)
    text += _two_rounds(records) + _targets(records)
    (folder / "table.md").write_text("\n".join(text), encoding="utf-8")
    slim = [{k: v for k, v in row.items() if k != "picks"} for row in rows]
    (folder / "table.json").write_text(json.dumps(slim, indent=1) + "\n", encoding="utf-8")
    plot([record for record in records if record["case"] == "scale/idc_jax"], picture)
    print("\n".join(text))


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
    lines = [
        f"### {_TITLES[part]}{size}{picks}\n",
        "| | wall s | CPU s | over floor | first call s | peak GiB | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(group, key=lambda row: (row["name"] != "floor", row["n"])):
        name = row["name"]
        if name == "floor":
            name = f"floor: {_FLOORS[part]}"
        name = f"{row['n']:,} × {row['d']}" if part == "scale" else name
        if "over" in row:
            lines.append(f"| {name} | over {row['over']:.0f} | | | | {row['peak_gib']:.1f} | |")
            continue
        ratio = f"{row['over_floor']:.2f}" if "over_floor" in row else ""
        first = f"{row['first']:.1f}" if "first" in row else ""
        figures = f"{row['wall']:.2f} | {row['cpu']:.2f} | {ratio} | {first}"
        lines.append(f"| {name} | {figures} | {row['peak_gib']:.1f} | {_note(row)} |")
    return [*lines, ""]


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
    lines = [
        "### Two rounds against exact picks\n",
        "Mean value of a pick; the loss as a share of what exact picks gain over random ones.\n",
        "| samples | parts | exact | random | two rounds | loss | same picks |",
        "|---|---|---|---|---|---|---|",
    ]
    found = [record for record in records if record["case"] == "partitioned/idc_jax"]
    for record in sorted(found, key=lambda record: record["n"]):
        exact, random = record["value"], record["random"]
        for row in record["rounds"]:
            loss = (exact - row["value"]) / (exact - random)
            lines.append(
                f"| {record['n']:,} | {row['parts']} | {exact:.4f} | {random:.4f} | "
                f"{row['value']:.4f} | {100 * loss:.2f} % | {row['shared']} |"
            )
    return [*lines, ""] if found else []


def _targets(records: list[Record]) -> list[str]:
    lines = [
        "### Coverage measured on 8,192 samples against all of them\n",
        "What the picks cover of all samples, on average.\n",
        "| | samples | picks | random | 8,192 | all | same picks |",
        "|---|---|---|---|---|---|---|",
    ]
    found = [record for record in records if record["case"].startswith("targets/")]
    for record in found:
        name, n = record["case"].split("/")[1], record["n"]
        random, sampled, exact = (record[key] / n for key in ("random", "sampled", "exact"))
        lines.append(
            f"| {name} | {n:,} | {record['budget']} | {random:.5f} | {sampled:.5f} | "
            f"{exact:.5f} | {record['shared']} |"
        )
    return [*lines, ""] if found else []


def plot(records: list[Record], picture: Path) -> None:
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
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=130)
    plt.close(figure)
