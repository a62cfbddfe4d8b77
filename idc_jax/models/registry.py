"""Networks by name."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from idc_jax.errors import UserError, choose
from idc_jax.models.base import Model
from idc_jax.models.convnext import ConvNeXt
from idc_jax.models.efficientnet import EfficientNetLite
from idc_jax.models.heads import HEAD_LAYOUTS, ClusterNet, HeadLayout
from idc_jax.models.layers import ConvMethod
from idc_jax.models.mlp import MLP
from idc_jax.models.resnet import ResNet, Stem
from idc_jax.models.vit import VisionTransformer

MLP_EMBEDDING_DIM = 128
MLP_LAYERS = 2
# Above this side the 224-px stem's fourfold reduction still leaves something to look at.
SMALL_STEM_LIMIT = 96


def _resnet(
    blocks: tuple[int, ...], default_width: int, *, bottleneck: bool = False
) -> Callable[..., nn.Module]:
    def make(stem: Stem, width: int | None, **options: Any) -> nn.Module:
        width = default_width if width is None else width
        return ResNet(blocks, width, stem, bottleneck=bottleneck, **options)

    return make


def _convnext_tiny(stem: Stem, width: int | None, **options: Any) -> nn.Module:
    base = 96 if width is None else width
    widths = (base, 2 * base, 4 * base, 8 * base)
    return ConvNeXt(widths=widths, patch=4 if stem == "imagenet" else 2, **options)


def _efficientnet(stem: Stem, width: int | None, **options: Any) -> nn.Module:
    del stem
    if width is not None:
        raise UserError(f"width is {width}; efficientnet_lite0 has one width only")
    return EfficientNetLite(**options)


def _vit(width_: int, heads: int) -> Callable[..., nn.Module]:
    def make(stem: Stem, width: int | None, conv: ConvMethod, **options: Any) -> nn.Module:
        del stem, conv
        if width not in (None, width_):
            raise UserError(f"width is {width}; this vision transformer has {width_} only")
        return VisionTransformer(width_, heads, **options)

    return make


def _mlp(stem: Stem, width: int | None, embedding_dim: int | None, **options: Any) -> nn.Module:
    del stem
    options.pop("conv")
    hidden = (512 if width is None else width,) * MLP_LAYERS
    return MLP(hidden, embedding_dim or MLP_EMBEDDING_DIM, **options)


_IMAGE_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": _resnet((2, 2, 2, 2), 64),
    "resnet34": _resnet((3, 4, 6, 3), 64),
    "resnet50": _resnet((3, 4, 6, 3), 64, bottleneck=True),
    "resnet_small": _resnet((1, 1, 1), 32),
    "convnext_tiny": _convnext_tiny,
    "efficientnet_lite0": _efficientnet,
    "vit_small14": _vit(384, 6),
    "vit_base14": _vit(768, 12),
}
_FEATURE_NETWORKS: dict[str, Callable[..., nn.Module]] = {"mlp": _mlp}


def register(name: str, make: Callable[..., nn.Module]) -> None:
    """Add a network for images that lives elsewhere.

    Args:
      name: as in ``config.model.name``.
      make: ``(*, stem, width, embedding_dim, conv, dtype) -> module``, whose call is
        ``(x, train, mask) -> embeddings``; see :func:`build_module`.

    Raises:
      UserError: the name is taken.
    """
    if name in names():
        raise UserError(f"there is a network {name!r} already")
    _IMAGE_NETWORKS[name] = make


def forget(name: str) -> None:
    """Take back what :func:`register` did for ``name``."""
    del _IMAGE_NETWORKS[name]


def names() -> tuple[str, ...]:
    """The networks that :func:`build` knows."""
    return (*_IMAGE_NETWORKS, *_FEATURE_NETWORKS)


def build(name: str, **options: Any) -> Model:
    """Build a clustering network; the options are :func:`build_module`'s."""
    return Model(build_module(name, **options))


def build_module(
    name: str,
    *,
    num_clusters: int,
    input_shape: tuple[int, ...],
    stem: Stem | None = None,
    width: int | None = None,
    embedding_dim: int | None = None,
    head: HeadLayout = "relu_first",
    instance_dim: int = 128,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    conv: ConvMethod = "auto",
    dtype: DTypeLike = jnp.float32,
) -> ClusterNet:
    """Build a clustering network: a backbone, an instance head and a cluster head.

    Equal arguments give equal modules, so that a second run compiles nothing anew.

    The variables' collections hold ``backbone``, ``instance_head`` and ``cluster_head``.

    Args:
      name: one of :func:`names`.
      num_clusters: the cluster head's width.
      input_shape: of one input as the network sees it (after the view): ``(h, w, c)`` or ``(d,)``.
      stem: ``"imagenet"`` (7x7 stride 2 and max-pool) or ``"small"`` (3x3 stride 1); None picks
        by ``input_shape``.
      width: of the first stage, or of the MLP's two hidden layers; None for the network's own.
      embedding_dim: width of a last linear layer on the backbone; None for no such layer (an
        MLP's is then 128).
      head: the heads' layout, see :class:`idc_jax.models.heads.Head`.
      instance_dim: the instance head's width.
      mean: per-channel normalisation of the input; empty for none.
      std: likewise.
      conv: how convolutions are computed, see :class:`idc_jax.models.layers.Conv`.
      dtype: the type computed in; parameters, statistics and outputs are float32.

    Raises:
      UserError: an unknown name, head or stem, fewer than one cluster, or an input of the wrong
        rank.
    """
    _check(name, num_clusters, input_shape, head, stem)
    backbone = {**_IMAGE_NETWORKS, **_FEATURE_NETWORKS}[name](
        stem=stem or _stem_for(input_shape),
        width=width,
        embedding_dim=embedding_dim,
        conv=conv,
        dtype=dtype,
    )
    return ClusterNet(backbone, num_clusters, instance_dim, head, mean, std, dtype=dtype)


def _stem_for(input_shape: tuple[int, ...]) -> Stem:
    return "small" if max(input_shape[:2]) <= SMALL_STEM_LIMIT else "imagenet"


def _check(
    name: str, num_clusters: int, shape: tuple[int, ...], head: str, stem: str | None
) -> None:
    if name not in names():
        raise UserError(f"unknown network {name!r}; {choose(names())}")
    if num_clusters < 1:
        raise UserError(f"num_clusters is {num_clusters}; it must be at least 1")
    if head not in HEAD_LAYOUTS:
        raise UserError(f"unknown head layout {head!r}; {choose(HEAD_LAYOUTS)}")
    if stem not in (None, "imagenet", "small"):
        raise UserError(f"unknown stem {stem!r}; choose one of imagenet, small")
    if name in _IMAGE_NETWORKS and len(shape) != 3:
        raise UserError(f"{name} takes images (h, w, c), but the input has shape {shape}; try mlp")
