"""From a checkpoint's file to a network that goes on from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from idc_jax.errors import UserError
from idc_jax.models.attention import with_attention
from idc_jax.models.base import Model, Variables
from idc_jax.models.heads import ClusterNet, HeadLayout
from idc_jax.models.importing.convert import ImportReport, import_variables
from idc_jax.models.importing.layouts import Layout, recognise
from idc_jax.models.importing.notes import read_notes
from idc_jax.models.importing.read import checkpoint_files, read_checkpoint
from idc_jax.models.importing.shown import AUTO, Shown
from idc_jax.models.importing.sources import PROPOS

# Of heads that start afresh.
_INSTANCE_DIM = 128


class Imported(NamedTuple):
    """A checkpoint and the network that it asks for.

    Attributes:
      path: the file or folder.
      layout: what was recognised.
      shown: what the network is shown; the normalisation is within the network.
      model: built for it; heads that the checkpoint lacks are there too, and the attention that
        it has.
      fill: ``(fresh variables) -> (variables, report)``.
      new_head: whether the cluster head starts afresh.
    """

    path: Path
    layout: Layout
    shown: Shown
    model: Model
    fill: Callable[[Variables], tuple[Variables, ImportReport]]
    new_head: bool

    def told(self, stored: int, *, files: bool = False) -> str:
        """Whose network it is and what it is shown, of images stored at ``stored`` pixels."""
        layout, title = self.layout, self.layout.network
        name = layout.source if title in layout.source else f"{layout.source}, {title}"
        beside = ""
        if layout.others:
            parts = [prefix.rstrip(".") or "the plain one" for prefix in layout.others]
            taken = layout.naming.prefix.rstrip(".") or "the plain one"
            beside = f"; of its networks {taken} is taken, {', '.join(parts)} left"
        told = self.shown.told(stored, files=files)
        if self.shown.size != layout.shown.size:
            told += f" (its authors showed it {layout.shown.size} px)"
        return f"{name} ({self.path.name}) {told}{beside}"


def layout_of(path: str | Path) -> Layout:
    """Whose checkpoint ``path`` is, without a network.

    Raises:
      UserError: as :func:`open_network`.
    """
    path = Path(path)
    stamps = tuple((file, file.stat().st_mtime_ns) for file in checkpoint_files(path))
    return _layout_of(path, stamps)


@lru_cache(maxsize=8)
def _layout_of(path: Path, stamps: tuple[tuple[Path, int], ...]) -> Layout:
    del stamps  # the file may be another one by now
    return recognise(read_checkpoint(path), read_notes(path))


def open_network(
    path: str | Path,
    *,
    num_clusters: int,
    input_shape: tuple[int, ...],
    head: HeadLayout = "relu_first",
    size: int = 0,
    data_set: str = "",
    normalisation: str = AUTO,
    dtype: DTypeLike = jnp.float32,
) -> Imported:
    """Read a checkpoint and build the network that it fits.

    A cluster head for another number of clusters is left out and starts afresh, and so do heads
    that the checkpoint does not have (ProPos, a plain backbone): cluster the embeddings and
    teach the head before relying on it. ProPos gets the two linear layers of the paper.

    Args:
      path: the file or folder, see :func:`idc_jax.models.importing.read_checkpoint`.
      num_clusters: wanted.
      input_shape: of an image, ``(h, w, c)``; only the channels count.
      head: the layout of heads where the checkpoint has none and is not ProPos's.
      size: side in pixels of what the network is to see; 0 for what its authors showed it.
      data_set: the images', for networks that are normalised by it.
      normalisation: a name of ``NORMALISATIONS`` in place of the authors'.
      dtype: the type computed in.

    Raises:
      UserError: a file that cannot be used, images with another number of channels, or a size
        that the network's patches do not fill.
    """
    path = Path(path)
    tensors = read_checkpoint(path)
    layout = recognise(tensors, read_notes(path))
    if input_shape[-1] != layout.channels:
        raise UserError(
            f"the {layout.source} checkpoint takes {layout.channels} channels, the images have "
            f"{input_shape[-1]}"
        )
    shown = layout.shown.at(size).on(data_set, normalisation)
    new_head = layout.num_clusters != num_clusters
    return Imported(
        path,
        layout,
        shown,
        _model(layout, shown, num_clusters, head, dtype),
        partial(_fill, tensors, layout, ("cluster_head",) if new_head else ()),
        new_head,
    )


def _model(
    layout: Layout, shown: Shown, num_clusters: int, head: HeadLayout, dtype: DTypeLike
) -> Model:
    mean, std = shown.numbers
    projector = layout.projector
    model = Model(
        ClusterNet(
            layout.backbone.clone(dtype=dtype),
            num_clusters,
            layout.instance_dim or _INSTANCE_DIM,
            layout.head or ("plain" if layout.source == PROPOS else head),
            mean,
            std,
            dtype=dtype,
            projector=None if projector is None else projector.clone(dtype=dtype),
        )
    )
    return with_attention(model) if layout.attention else model


def _fill(
    tensors: Mapping[str, np.ndarray],
    layout: Layout,
    afresh: tuple[str, ...],
    fresh: Variables,
) -> tuple[Variables, ImportReport]:
    return import_variables(tensors, layout, fresh, reinitialise=afresh)
