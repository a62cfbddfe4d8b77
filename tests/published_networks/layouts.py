"""The table of layouts for docs/networks.md, from the tables that recognise them.

python -m tests.published_networks.layouts
"""

from __future__ import annotations

import re

from benchmarks.harness.tables import DOCS, table, write
from idc_jax.models.importing.shown import BY_DATA_SET, Shown
from idc_jax.models.importing.sources import FAMILIES, SMALL_SIDE, SOURCES, Source

DOCUMENT = DOCS / "networks.md"


def layouts() -> str:
    """Whose network it is, how that is told, what it is shown and what it gives."""
    lines = []
    for source in SOURCES:
        said = source.shown.normalisation
        name = "by the data set" if said == BY_DATA_SET else said
        lines.append([source.name, _told_by(source), _shown(source), name, source.embedding])
    return table(["whose", "recognised by", "shown", "normalised", "embedding"], lines)


def _told_by(source: Source) -> str:
    families = [family for family in FAMILIES if family.names in source.names]
    names = dict.fromkeys(f"`{family.needs[0]}`" for family in families)
    beside = source.needs or source.prefix
    plain = re.sub(r"[$^\\]", "", beside).rstrip(".")
    more = f" and `{plain}`" if plain else ""
    return " or ".join(names) + more


def _shown(source: Source) -> str:
    shown: Shown = source.shown
    size = "the size of its positions" if source.own_size else f"{shown.size} px"
    if shown.resize != shown.size:
        size = f"the middle {shown.size} of {shown.resize} px"
    how = "stretched" if shown.rule == "stretch" else "by the shorter side"
    stems = any("resnet" in names for names in source.names)
    small = f"; {SMALL_SIDE} px with a 3x3 stem" if stems else ""
    return f"{size}, {how}, {shown.kernel}{small}"


def main() -> None:
    """Put the table into the document."""
    write({DOCUMENT: {"layouts": layouts()}}, DOCS)


if __name__ == "__main__":
    main()
