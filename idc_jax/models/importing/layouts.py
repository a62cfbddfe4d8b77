"""Whose checkpoint is this? Told by the names and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.heads import HeadLayout
from idc_jax.models.importing.names import BackboneNames, Naming

_RESNET_BLOCKS: dict[tuple[int, ...], str] = {(2, 2, 2, 2): "resnet18", (3, 4, 6, 3): "resnet34"}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# EfficientNet-Lite was trained on (x - 127) / 128 of the grey levels.
LITE_MEAN = (127 / 255,) * 3
LITE_STD = (128 / 255,) * 3
PROPOS = "ProPos"
_PREFIXES = ("", "resnet.", "backbone.", "encoder.", "encoder_k.", "encoder_k.module.", "dinov2.")


class Layout(NamedTuple):
    """What a checkpoint holds, in the words of :func:`idc_jax.models.build`.

    Attributes:
      source: whose checkpoint it looks like, for people.
      network: the name of the network to build.
      stem: ``"imagenet"`` or ``"small"``.
      width: of a ResNet's first stage, or None: the network has one width only.
      embedding_dim: of its last linear layer, or None.
      head: the heads' layout, or None where it has none.
      num_clusters: of its cluster head, or None.
      instance_dim: of its instance head, or None.
      channels: of the images it takes.
      attention: whether PCL's attention is in it.
      mean, std: the normalisation that it was trained with; empty for images in [0, 1].
      naming: how its weights are called.
    """

    source: str
    network: str
    stem: str
    width: int | None
    embedding_dim: int | None
    head: HeadLayout | None
    num_clusters: int | None
    instance_dim: int | None
    channels: int
    attention: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    naming: Naming


def recognise(tensors: Mapping[str, np.ndarray]) -> Layout:
    """Tell a checkpoint by its tensors.

    Args:
      tensors: of :func:`idc_jax.models.importing.read_checkpoint`.

    Raises:
      UserError: a network that is not known here; the message names a few of its tensors.
    """
    for prefix in _PREFIXES:
        if prefix + "layer1.0.conv1.weight" in tensors:
            return _resnet(tensors, prefix, "torchvision_resnet")
        for stem, first in (("small", 3), ("imagenet", 4)):
            # A Sequential's max-pool has no weights, but it moves the first layer up by one.
            if f"{prefix}{first}.0.conv1.weight" in tensors:
                return _resnet(tensors, prefix, "sequential_resnet", stem)
        if prefix + "features.1.0.layer_scale" in tensors:
            return _convnext(tensors, prefix, "torchvision_convnext", "features.0.0.weight")
        if prefix + "stages.0.blocks.0.conv_dw.weight" in tensors:
            return _convnext(tensors, prefix, "timm_convnext", "stem.0.weight")
        if prefix + "_blocks.15._project_conv.weight" in tensors:
            return _efficientnet_lite(tensors, prefix)
        if prefix + "embeddings.patch_embeddings.projection.weight" in tensors:
            return _vit(tensors, prefix, "transformers_vit")
        if prefix + "patch_embed.proj.weight" in tensors:
            return _vit(tensors, prefix, "timm_vit")
    raise UserError(
        f"no known network in the checkpoint; its tensors begin with {', '.join(list(tensors)[:4])}"
    )


def _resnet(
    tensors: Mapping[str, np.ndarray], prefix: str, names: BackboneNames, stem: str | None = None
) -> Layout:
    first = "0.weight" if names == "sequential_resnet" else "conv1.weight"
    conv = _need(tensors, prefix + first)
    if stem is None:
        stem = "imagenet" if conv.shape[-1] == 7 else "small"
    naming = Naming(names, prefix, _head_layout(tensors), stem)
    fc = tensors.get(prefix + "fc.weight")
    # Without heads an fc is a classifier of somebody else's classes, not an embedding.
    embedding = None if fc is None or naming.head is None else int(fc.shape[0])
    name = _resnet_name(tensors, naming)
    layout = _with_heads(tensors, naming, name, embedding, conv.shape[1])
    return layout._replace(width=int(conv.shape[0]))


def _resnet_name(tensors: Mapping[str, np.ndarray], naming: Naming) -> str:
    prefix = re.escape(naming.prefix)
    sequential = naming.backbone == "sequential_resnet"
    first = (4 if naming.stem == "imagenet" else 3) if sequential else 1
    counts = []
    for stage in range(4):
        layer = f"{stage + first}" if sequential else f"layer{stage + first}"
        pattern = re.compile(rf"{prefix}{layer}\.(\d+)\.conv1\.weight")
        counts.append(sum(1 for name in tensors if pattern.fullmatch(name)))
    if any(re.match(rf"{prefix}.*\.conv3\.weight", name) for name in tensors):
        raise UserError("the checkpoint is a ResNet of bottlenecks (50 or deeper): not supported")
    if tuple(counts) not in _RESNET_BLOCKS:
        raise UserError(f"the checkpoint is a ResNet of {counts} blocks; 18 and 34 are supported")
    return _RESNET_BLOCKS[tuple(counts)]


def _convnext(
    tensors: Mapping[str, np.ndarray], prefix: str, names: BackboneNames, stem: str
) -> Layout:
    conv = _need(tensors, prefix + stem)
    last = (
        "features.5.8.layer_scale" if names == "torchvision_convnext" else "stages.2.blocks.8.gamma"
    )
    if conv.shape[0] != 96 or prefix + last not in tensors or _deeper(tensors, prefix, names):
        raise UserError(f"a ConvNeXt of width {conv.shape[0]} that is not Tiny: not supported")
    naming = Naming(names, prefix, _head_layout(tensors), "imagenet")
    return _with_heads(tensors, naming, "convnext_tiny", None, conv.shape[1])


def _efficientnet_lite(tensors: Mapping[str, np.ndarray], prefix: str) -> Layout:
    stem = _need(tensors, prefix + "_conv_stem.weight")
    squeezed = any("_se_" in name for name in tensors)
    if stem.shape[0] != 32 or squeezed or prefix + "_blocks.16._bn1.weight" in tensors:
        raise UserError("an EfficientNet that is not Lite0: not supported")
    naming = Naming("efficientnet_lite", prefix, _head_layout(tensors), "imagenet")
    return _with_heads(tensors, naming, "efficientnet_lite0", None, stem.shape[1])._replace(
        mean=LITE_MEAN, std=LITE_STD
    )


_VIT_NAMES: dict[BackboneNames, tuple[str, str, str]] = {
    "transformers_vit": (
        "embeddings.patch_embeddings.projection.weight",
        "encoder.layer.{}.layer_scale1.lambda1",
        "embeddings.register_tokens",
    ),
    "timm_vit": ("patch_embed.proj.weight", "blocks.{}.ls1.gamma", "reg_token"),
}


def _vit(tensors: Mapping[str, np.ndarray], prefix: str, names: BackboneNames) -> Layout:
    patch, scale, registers = _VIT_NAMES[names]
    conv = tensors[prefix + patch]
    depth = sum(prefix + scale.format(index) in tensors for index in range(99))
    network = {384: "vit_small14", 768: "vit_base14"}.get(conv.shape[0])
    if network is None or depth != 12 or conv.shape[-1] != 14 or prefix + registers in tensors:
        raise UserError(
            f"a vision transformer of width {conv.shape[0]}, {depth} scaled blocks and patches of "
            f"{conv.shape[-1]}: DINOv2's ViT-S/14 and ViT-B/14 without registers are supported"
        )
    return _with_heads(
        tensors,
        Naming(names, prefix, _head_layout(tensors), "imagenet"),
        network,
        None,
        conv.shape[1],
    )


def _deeper(tensors: Mapping[str, np.ndarray], prefix: str, names: BackboneNames) -> bool:
    beyond = "features.5.9." if names == "torchvision_convnext" else "stages.2.blocks.9."
    return any(name.startswith(prefix + beyond) for name in tensors)


def _with_heads(
    tensors: Mapping[str, np.ndarray],
    naming: Naming,
    network: str,
    embedding: int | None,
    channels: int,
) -> Layout:
    last = {"plain": 2, "relu_first": 3, "batch_norm": 5}.get(naming.head or "")
    cluster = tensors.get(f"cluster_projector.{last}.weight")
    instance = tensors.get(f"instance_projector.{last}.weight")
    attention = "selfAttention.linear_q.weight" in tensors
    # PCL and the classifiers saw ImageNet's normalisation; the clustering networks none.
    normalised = attention or (naming.head is None and not naming.prefix.startswith("encoder_k"))
    return Layout(
        source=_source(tensors, naming, embedding),
        network=network,
        stem=naming.stem,
        width=None,
        embedding_dim=embedding,
        head=naming.head,
        num_clusters=None if cluster is None else int(cluster.shape[0]),
        instance_dim=None if instance is None else int(instance.shape[0]),
        channels=int(channels),
        attention=attention,
        mean=IMAGENET_MEAN if normalised else (),
        std=IMAGENET_STD if normalised else (),
        naming=naming,
    )


def _head_layout(tensors: Mapping[str, np.ndarray]) -> HeadLayout | None:
    if "cluster_projector.0.running_mean" in tensors:
        return "batch_norm"
    if "cluster_projector.1.weight" in tensors:
        return "relu_first"
    if "cluster_projector.0.weight" in tensors:
        return "plain"
    return None


def _source(tensors: Mapping[str, np.ndarray], naming: Naming, embedding: int | None) -> str:
    if "selfAttention.linear_q.weight" in tensors:
        return "PCL"
    if naming.head == "batch_norm":
        return "TCL (published)"
    if naming.head == "relu_first":
        return "TCL (IDC's)"
    if naming.head == "plain":
        return "Contrastive Clustering" if embedding is None else "Contrastive Clustering with fc"
    if naming.prefix.startswith("encoder_k"):
        return PROPOS
    if naming.backbone == "efficientnet_lite":
        return "EfficientNet-Lite0 backbone"
    if "vit" in naming.backbone:
        return "DINOv2"
    family = "ConvNeXt" if "convnext" in naming.backbone else "ResNet"
    return f"{'timm' if naming.backbone == 'timm_convnext' else 'torchvision'} {family} backbone"


def _need(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in tensors:
        raise UserError(f"the checkpoint lacks {name}")
    return tensors[name]
