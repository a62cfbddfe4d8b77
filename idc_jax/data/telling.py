"""What of the data was not read, in words: counted by kind, the first of each kind named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from idc_jax.data.base import Dataset, Skipped
from idc_jax.errors import printable

_KINDS_NAMED = 6
# From here on, a reason speaks of the one file alone.
_OWN = re.compile("[0-9'(\"].*")


def lines_of(dataset: Dataset) -> list[str]:
    """What a person should know of how ``dataset`` was read, line by line; none where all was."""
    lines = [printable(f"note: {note}") for note in dataset.notes]
    if dataset.skipped:
        lines.append(f"left out: {told(dataset.skipped)}")
    return lines


def told(skipped: Sequence[Skipped]) -> str:
    """``skipped`` on one line, the most frequent kind first."""
    kinds: dict[tuple[str, str], list[Skipped]] = {}
    for item in skipped:
        kinds.setdefault((_kind(item), _OWN.sub("", item.reason)), []).append(item)
    ordered = sorted(kinds.items(), key=lambda pair: -len(pair[1]))
    parts = [_of_one_kind(kind, items) for (kind, _), items in ordered[:_KINDS_NAMED]]
    rest = sum(len(items) for _, items in ordered[_KINDS_NAMED:])
    return printable("; ".join(parts + ([f"and {rest} more"] if rest else [])))


def _of_one_kind(kind: str, items: list[Skipped]) -> str:
    first = f"{items[0].path} ({items[0].reason})"
    if len(items) == 1:
        return f"1 {kind}: {first}"
    several = kind if kind.startswith(".") else f"{kind}s"
    return f"{len(items)} {several}, as {first}"


def _kind(item: Skipped) -> str:
    if item.folder:
        return "folder"
    return Path(item.path).suffix.lower() or "other"
