"""Colours and marker shapes that stay apart for colour-blind readers, in light and in dark."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from idc_jax.metrics import match_clusters

# Petroff's ten-colour cycle ("Accessible Color Sequences for Data Visualization"), made to be
# told apart under the common colour-vision deficiencies.
COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
# From the eleventh cluster on colours repeat, with another shape.
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p")


class Theme(NamedTuple):
    """The colours of a figure.

    Attributes:
      name: ``"light"`` or ``"dark"``.
      ink: text and picks.
      paper: the page behind the figure, for halos.
      muted: axes and grid.
      accent: single lines.
      shades: matplotlib's name of the sequential colour map for counts.
    """

    name: str
    ink: str
    paper: str
    muted: str
    accent: str
    shades: tuple[str, str]


LIGHT = Theme("light", "#16191d", "#ffffff", "#8a9099", "#1f6fb8", ("#ffffff", "#0b4a86"))
DARK = Theme("dark", "#eceef1", "#14171b", "#7d848e", "#6fb3f2", ("#14171b", "#8cc4fa"))


class Slots(NamedTuple):
    """Which palette slot stands for what, so that a colour means one thing on the whole page.

    Attributes:
      initial: int ``[c]``, the slot of each cluster before any answer.
      final: int ``[c]``, the slot of each cluster at the end.
      classes: int ``[k]``, the slot of each class; empty without labels.
    """

    initial: np.ndarray
    final: np.ndarray
    classes: np.ndarray


def colour(slot: int) -> str:
    """Return a slot's colour."""
    return COLOURS[slot % len(COLOURS)]


def marker(slot: int) -> str:
    """Return a slot's marker."""
    return MARKERS[slot // len(COLOURS) % len(MARKERS)]


def assign_slots(
    initial: np.ndarray, final: np.ndarray, labels: np.ndarray | None, num_clusters: int
) -> Slots:
    """Give matched clusters and classes the same slot.

    Args:
      initial: int ``[n]``, cluster ids before any answer.
      final: int ``[n]``, cluster ids at the end.
      labels: int ``[n]``, -1 where unknown, or None: then the first clusters take the colours
        of the last ones.
      num_clusters: the number of clusters c.

    Returns:
      The slots; what has no partner gets one of its own.
    """
    if labels is None:
        return Slots(
            initial=_follow(match_clusters(initial, final, num_clusters).class_of_cluster),
            final=np.arange(num_clusters),
            classes=np.zeros(0, np.int64),
        )
    known = labels >= 0
    sides = [match_clusters(ids[known], labels[known], num_clusters) for ids in (initial, final)]
    return Slots(
        initial=_follow(sides[0].class_of_cluster),
        final=_follow(sides[1].class_of_cluster),
        classes=np.arange(int(labels.max()) + 1),
    )


def _follow(partner: np.ndarray) -> np.ndarray:
    slots = partner.astype(np.int64)
    free = np.setdiff1d(np.arange(2 * len(slots) + int(slots.max(initial=0)) + 1), slots)
    alone = slots < 0
    slots[alone] = free[: alone.sum()]
    return slots
