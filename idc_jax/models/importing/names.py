"""What PyTorch projects call the weights that this project keeps.

The map runs from our paths to their names, so that one table serves import and export, and a
weight that nobody thought of shows up as one that was not matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from idc_jax.models.heads import HeadLayout

# ("params" or "batch_stats", module, ..., leaf)
Path = tuple[str, ...]
BackboneNames = Literal[
    "torchvision_resnet",
    "sequential_resnet",
    "torchvision_convnext",
    "timm_convnext",
    "efficientnet_lite",
    "transformers_vit",
    "timm_vit",
]

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
# The index of each of a head's layers within its torch Sequential.
_HEAD_INDICES: dict[HeadLayout, dict[str, int]] = {
    "relu_first": {"dense_0": 1, "dense_1": 3},
    "plain": {"dense_0": 0, "dense_1": 2},
    "batch_norm": {"norm_0": 0, "dense_0": 2, "norm_1": 3, "dense_1": 5},
    "linear": {"dense_0": 0},
}
# PCL's attention has no biases.
ATTENTION_NAMES = {
    "query": "selfAttention.linear_q.weight",
    "key": "selfAttention.linear_k.weight",
    "value": "selfAttention.linear_v.weight",
}


class Naming(NamedTuple):
    """How a checkpoint names its weights.

    Attributes:
      backbone: whose names the backbone's are.
      prefix: before every name of the backbone.
      head: the heads' layout, or None where there are none.
      stem: ``"imagenet"`` or ``"small"``: a Sequential counts the max-pool.
    """

    backbone: BackboneNames
    prefix: str
    head: HeadLayout | None
    stem: str


def torch_name(path: Path, naming: Naming) -> str | None:
    """The name of one of our weights in a checkpoint, or None where it has none."""
    part, *modules, leaf = path[1:]
    if part == "attention":
        return ATTENTION_NAMES[modules[0]]
    if part in ("instance_head", "cluster_head"):
        if naming.head is None:
            return None
        index = _HEAD_INDICES[naming.head].get(modules[0])
        projector = part.replace("head", "projector")
        return None if index is None else f"{projector}.{index}.{_LEAVES[leaf]}"
    name = _BACKBONES[naming.backbone](modules, leaf, naming)
    return None if name is None else naming.prefix + name


def _torchvision_resnet(modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    layer = modules[0]
    if found := re.fullmatch(r"layer(\d+)_(\d+)", layer):
        inner = modules[1].replace("downsample_conv", "downsample.0")
        inner = inner.replace("downsample_bn", "downsample.1")
        return f"layer{found[1]}.{found[2]}.{inner}.{_LEAVES[leaf]}"
    return f"{layer}.{_LEAVES[leaf]}"


def _sequential_resnet(modules: list[str], leaf: str, naming: Naming) -> str | None:
    """ProPos wraps torchvision's layers in a Sequential, which numbers them."""
    name = _torchvision_resnet(modules, leaf, naming)
    if name is None or name.startswith("fc."):
        return None
    first = 4 if naming.stem == "imagenet" else 3
    name = re.sub(r"^layer(\d+)", lambda found: str(int(found[1]) - 1 + first), name)
    return re.sub(r"^bn1", "1", re.sub(r"^conv1", "0", name))


_TORCHVISION_CONVNEXT = {
    "depthwise": "block.0",
    "norm": "block.2",
    "expand": "block.3",
    "project": "block.5",
}
_TIMM_CONVNEXT = {
    "depthwise": "conv_dw",
    "norm": "norm",
    "expand": "mlp.fc1",
    "project": "mlp.fc2",
}


def _torchvision_convnext(modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    layer = modules[0]
    if found := re.fullmatch(r"stage(\d+)_(\d+)", layer):
        block = f"features.{2 * int(found[1]) + 1}.{found[2]}"
        if len(modules) == 1:
            return f"{block}.layer_scale"
        return f"{block}.{_TORCHVISION_CONVNEXT[modules[1]]}.{_LEAVES[leaf]}"
    if found := re.fullmatch(r"down(\d+)_(norm|conv)", layer):
        child = 0 if found[2] == "norm" else 1
        return f"features.{2 * int(found[1])}.{child}.{_LEAVES[leaf]}"
    plain = {"stem_conv": "features.0.0", "stem_norm": "features.0.1", "norm": "classifier.0"}
    return f"{plain[layer]}.{_LEAVES[leaf]}" if layer in plain else None


def _timm_convnext(modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    layer = modules[0]
    if found := re.fullmatch(r"stage(\d+)_(\d+)", layer):
        block = f"stages.{found[1]}.blocks.{found[2]}"
        if len(modules) == 1:
            return f"{block}.gamma"
        return f"{block}.{_TIMM_CONVNEXT[modules[1]]}.{_LEAVES[leaf]}"
    if found := re.fullmatch(r"down(\d+)_(norm|conv)", layer):
        child = 0 if found[2] == "norm" else 1
        return f"stages.{found[1]}.downsample.{child}.{_LEAVES[leaf]}"
    plain = {"stem_conv": "stem.0", "stem_norm": "stem.1", "norm": "head.norm"}
    return f"{plain[layer]}.{_LEAVES[leaf]}" if layer in plain else None


_EFFICIENTNET = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "head_conv": "_conv_head",
    "head_bn": "_bn1",
}
_EFFICIENTNET_BLOCK = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def _efficientnet_lite(modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    layer = modules[0]
    if found := re.fullmatch(r"block(\d+)", layer):
        return f"_blocks.{found[1]}.{_EFFICIENTNET_BLOCK[modules[1]]}.{_LEAVES[leaf]}"
    return f"{_EFFICIENTNET[layer]}.{_LEAVES[leaf]}" if layer in _EFFICIENTNET else None


_TRANSFORMERS_VIT = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed": "embeddings.patch_embeddings.projection",
    "block": "encoder.layer.",
    "query": "attention.attention.query",
    "key": "attention.attention.key",
    "value": "attention.attention.value",
    "project": "attention.output.dense",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "scale1": "layer_scale1.lambda1",
    "scale2": "layer_scale2.lambda1",
    "norm": "layernorm",
}
_TIMM_VIT = {
    "cls_token": "cls_token",
    "pos_embed": "pos_embed",
    "patch_embed": "patch_embed.proj",
    "block": "blocks.",
    "query": "attn.query",
    "key": "attn.key",
    "value": "attn.value",
    "project": "attn.proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "scale1": "ls1.gamma",
    "scale2": "ls2.gamma",
    "norm": "norm",
}


def _vit(words: dict[str, str], modules: list[str], leaf: str) -> str | None:
    if not modules:
        return words[leaf]
    layer, *inner = modules
    if found := re.fullmatch(r"block(\d+)", layer):
        block = f"{words['block']}{found[1]}."
        if not inner:
            return block + words[leaf]
        return f"{block}{words.get(inner[-1], inner[-1])}.{_LEAVES[leaf]}"
    return f"{words[layer]}.{_LEAVES[leaf]}" if layer in words else None


def _transformers_vit(modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    return _vit(_TRANSFORMERS_VIT, modules, leaf)


def _timm_vit(modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    return _vit(_TIMM_VIT, modules, leaf)


_QKV = ("query", "key", "value")


def split_fused(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cut timm's joint ``attn.qkv`` into its three maps; everything else stays."""
    out: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        if ".attn.qkv." in name:
            parts = np.split(value, 3)
            out |= {name.replace(".qkv.", f".{q}."): p for q, p in zip(_QKV, parts, strict=True)}
        else:
            out[name] = value
    return out


def fuse(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of :func:`split_fused`."""
    out = dict(tensors)
    for name in tensors:
        if ".attn.query." in name:
            parts = [out.pop(name.replace(".query.", f".{q}.")) for q in _QKV]
            out[name.replace(".query.", ".qkv.")] = np.concatenate(parts)
    return out


_BACKBONES: dict[BackboneNames, Callable[[list[str], str, Naming], str | None]] = {
    "torchvision_resnet": _torchvision_resnet,
    "sequential_resnet": _sequential_resnet,
    "torchvision_convnext": _torchvision_convnext,
    "timm_convnext": _timm_convnext,
    "efficientnet_lite": _efficientnet_lite,
    "transformers_vit": _transformers_vit,
    "timm_vit": _timm_vit,
}


def from_torch(path: Path, value: np.ndarray) -> np.ndarray:
    """Turn a torch weight into the layout of ``path``: OIHW to HWIO, Linear transposed."""
    if path[-1] == "kernel":
        if value.ndim == 4:
            return value.transpose(2, 3, 1, 0)
        if value.ndim == 2:
            return value.T
    # torchvision's ConvNeXt keeps its scale as [c, 1, 1].
    if path[-1] == "scale" and value.ndim == 3 and value.shape[1:] == (1, 1):
        return value[:, 0, 0]
    return value


def to_torch(path: Path, value: np.ndarray, naming: Naming) -> np.ndarray:
    """The inverse of :func:`from_torch`."""
    if path[-1] == "kernel":
        return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    # The block's own scale has no module of its own below the block.
    is_layer_scale = path[-1] == "scale" and path[-2].startswith("stage")
    if is_layer_scale and naming.backbone == "torchvision_convnext":
        return value[:, None, None]
    return value
