"""Whose checkpoint is this? Told by the names and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import flax.linen as nn
import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.heads import HeadLayout, Projector
from idc_jax.models.importing import backbones
from idc_jax.models.importing.backbones import Below, Found
from idc_jax.models.importing.canonical import canonical
from idc_jax.models.importing.names import (
    ATTENTION_NAMES,
    PROJECTOR,
    BackboneNames,
    Naming,
    head_layer,
)
from idc_jax.models.importing.notes import Notes, shown_by
from idc_jax.models.importing.shown import Shown
from idc_jax.models.importing.sources import FAMILIES, PROPOS, SOURCES, Family, Source, shown_small


class Layout(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      source: whose checkpoint it looks like, for people.
      network: its backbone, for people.
      backbone: to be filled.
      projector: likewise, or None.
      head: the heads' layout, or None where it has none.
      num_clusters: of its cluster head, or None.
      instance_dim: of its instance head, or None.
      attention: whether PCL's attention is in it.
      channels: of the images it takes.
      shown: what it is shown.
      naming: how its weights are called.
      family: how it was recognised.
      others: prefixes of networks like it in the same checkpoint, which are left.
    """

    source: str
    network: str
    backbone: nn.Module
    projector: Projector | None
    head: HeadLayout | None
    num_clusters: int | None
    instance_dim: int | None
    attention: bool
    channels: int
    shown: Shown
    naming: Naming
    family: Family
    others: tuple[str, ...]


# Beside a backbone, in the checkpoints of those who put something on it.
_BESIDE = re.compile(rf"(instance_projector|cluster_projector|selfAttention|{PROJECTOR})\.")
_PROJECTION = "visual_projection.weight"
# The copies that a training keeps of its network, to be taken where there is no other.
_COPIES = re.compile(r"(^|[._])(encoder_k|key|student|momentum|target|ema)([._]|$)")


def recognise(tensors: Mapping[str, np.ndarray], notes: Notes | None = None) -> Layout:
    """Tell a checkpoint by its tensors.

    Args:
      tensors: of :func:`idc_jax.models.importing.read_checkpoint`.
      notes: what lies beside them, which says what shapes do not.

    Raises:
      UserError: a network that is not known here; the message names a few of its tensors.
    """
    tensors = canonical(tensors)
    for family in FAMILIES:
        prefixes = _prefixes(tensors, family)
        if prefixes:
            return _layout(tensors, notes or Notes(), family, prefixes)
    raise UserError(
        f"no known network in the checkpoint; its tensors begin with {', '.join(list(tensors)[:4])}"
    )


def _prefixes(tensors: Mapping[str, np.ndarray], family: Family) -> list[str]:
    """What goes before the names of networks of ``family``, the one to take first."""
    first = family.needs[0]
    found = [name.removesuffix(first) for name in tensors if name.endswith(first)]
    found = [
        prefix
        for prefix in found
        if (not prefix or prefix.endswith("."))
        and all(prefix + name in tensors for name in family.needs)
    ]

    def later(prefix: str) -> tuple[bool, bool]:
        preferred = bool(family.prefers and re.search(family.prefers, prefix))
        return not preferred, bool(_COPIES.search(prefix))

    return sorted(found, key=later)


def _layout(
    tensors: Mapping[str, np.ndarray], notes: Notes, family: Family, prefixes: list[str]
) -> Layout:
    prefix, *others = prefixes
    root = _root(tensors, prefix)
    below = Below(tensors, prefix, notes)
    found = family.find(below)
    if family.names == "transformers_clip":
        found = backbones.vit(below, family.names, tensors.get(root + _PROJECTION))
    stem = getattr(found.module, "stem", "imagenet")
    beside = [name.removeprefix(root) for name in tensors if name.startswith(root)]
    source = _source(family.names, prefix, beside)
    naming = Naming(family.names, prefix, source.head, stem, root)
    # Without heads an fc is a classifier of somebody else's classes, not an embedding.
    fc = below.find("fc.weight") if source.head else None
    if fc is not None:
        found = found._replace(module=found.module.clone(embedding_dim=int(fc.shape[0])))
    projected = source.name == PROPOS and f"{root}{PROJECTOR}.3.weight" in tensors
    return Layout(
        source=source.name + (" with fc" if fc is not None and source.head == "plain" else ""),
        network=found.title,
        backbone=found.module,
        projector=_projector(tensors, root) if projected else None,
        head=source.head,
        num_clusters=_rows(tensors, naming, "cluster"),
        instance_dim=_rows(tensors, naming, "instance"),
        attention=any(root + name in tensors for name in ATTENTION_NAMES.values()),
        channels=found.channels,
        shown=shown_by(notes, _shown(source, found, stem)),
        naming=naming,
        family=family,
        others=tuple(others),
    )


def _root(tensors: Mapping[str, np.ndarray], prefix: str) -> str:
    """What goes before the names of all that stands beside the backbone under ``prefix``."""
    parts = prefix.split(".")[:-1]
    above = [".".join(parts[:count]) + "." for count in range(len(parts), 0, -1)] + [""]
    for root in above:
        names = (name[len(root) :] for name in tensors if name.startswith(root))
        if any(_BESIDE.match(name) or name == _PROJECTION for name in names):
            return root
    return ""


def _source(names: BackboneNames, prefix: str, beside: list[str]) -> Source:
    for source in SOURCES:
        if names not in source.names or not re.search(source.prefix, prefix):
            continue
        if not source.needs or any(re.match(source.needs, name) for name in beside):
            return source
    raise AssertionError(f"every family has a source, but {names}")


def _shown(source: Source, found: Found, stem: str) -> Shown:
    shown = source.shown._replace(patch=found.patch)
    if stem == "small":
        return shown_small(shown)
    if source.own_size and found.side:
        shown = shown._replace(size=found.side, resize=found.side)
    # Flexible shapes keep the sides' ratio; of other images than squares the middle is shown.
    return shown._replace(rule="shorter") if found.flexible else shown


def _projector(tensors: Mapping[str, np.ndarray], root: str) -> Projector:
    hidden, out = (tensors[f"{root}{PROJECTOR}.{layer}.weight"] for layer in (0, 3))
    return Projector(int(hidden.shape[0]), int(out.shape[0]))


def _rows(
    tensors: Mapping[str, np.ndarray], naming: Naming, head: Literal["instance", "cluster"]
) -> int | None:
    if naming.head is None:
        return None
    kernel = tensors.get(head_layer(naming, head, "dense_1"))
    return None if kernel is None else int(kernel.shape[0])
