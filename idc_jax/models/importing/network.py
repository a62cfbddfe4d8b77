"""From a checkpoint's file to a network that goes on from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.errors import UserError
from idc_jax.models.base import Model, Variables
from idc_jax.models.heads import HeadLayout
from idc_jax.models.importing.convert import (
    ImportReport,
    import_variables,
    with_room_for_attention,
)
from idc_jax.models.importing.layouts import PROPOS, Layout, recognise
from idc_jax.models.importing.read import read_checkpoint
from idc_jax.models.registry import build


class Imported(NamedTuple):
    """A checkpoint and the network that it asks for.

    Attributes:
      layout: what was recognised.
      model: built for it; heads that the checkpoint lacks are there too. It does not attend:
        see :func:`idc_jax.models.attention.with_attention`.
      fill: ``(fresh variables) -> (variables, report)``; with the checkpoint's attention where
        that was asked for.
      new_head: whether the cluster head starts afresh.
    """

    layout: Layout
    model: Model
    fill: Callable[[Variables], tuple[Variables, ImportReport]]
    new_head: bool


def open_network(
    path: str | Path,
    *,
    num_clusters: int,
    input_shape: tuple[int, ...],
    head: HeadLayout = "relu_first",
    attention: bool = False,
    dtype: DTypeLike = jnp.float32,
) -> Imported:
    """Read a checkpoint and build the network that it fits.

    A cluster head for another number of clusters is left out and starts afresh, and so do heads
    that the checkpoint does not have (ProPos, a plain backbone): cluster the embeddings and
    teach the head before relying on it. ProPos gets the two linear layers of the paper.

    Args:
      path: the file, see :func:`idc_jax.models.importing.read_checkpoint`.
      num_clusters: wanted.
      input_shape: ``(h, w, c)`` as the network sees it.
      head: the layout of heads where the checkpoint has none and is not ProPos's.
      attention: keep the attention of a PCL checkpoint among the variables, for a network that
        attends. One that doesn't would carry it through its training for nothing.
      dtype: the type computed in.

    Raises:
      UserError: a file that cannot be used, or images with another number of channels.
    """
    tensors = read_checkpoint(path)
    layout = recognise(tensors)
    if input_shape[-1] != layout.channels:
        raise UserError(
            f"the {layout.source} checkpoint takes {layout.channels} channels, the images have "
            f"{input_shape[-1]}"
        )
    model = build(
        layout.network,
        num_clusters=num_clusters,
        input_shape=input_shape,
        stem=layout.stem,
        width=layout.width,
        embedding_dim=layout.embedding_dim,
        head=layout.head or ("plain" if layout.source == PROPOS else head),
        instance_dim=layout.instance_dim or 128,
        mean=layout.mean,
        std=layout.std,
        dtype=dtype,
    )
    new_head = layout.num_clusters != num_clusters
    afresh = ("cluster_head",) if new_head else ()

    def fill(fresh: Variables) -> tuple[Variables, ImportReport]:
        if attention and layout.attention:
            fresh = with_room_for_attention(fresh, tensors)
        return import_variables(tensors, layout, fresh, reinitialise=afresh)

    return Imported(layout, model, fill, new_head)
