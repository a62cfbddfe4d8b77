"""What PyTorch projects call the weights that this project keeps.

The map runs from our paths to their names, so that one table serves import and export, and a
weight that nobody thought of shows up as one that was not matched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
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
    "transformers_dinov3",
    "transformers_clip",
    "transformers_siglip",
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
_PROJECTOR_INDICES = {"dense_0": 0, "norm_0": 1, "dense_1": 3}
# PCL's attention has no biases.
ATTENTION_NAMES = {
    "query": "selfAttention.linear_q.weight",
    "key": "selfAttention.linear_k.weight",
    "value": "selfAttention.linear_v.weight",
}
# ProPos's projector behind its slowly moving encoder.
PROJECTOR = "projector_k"


class Naming(NamedTuple):
    """How a checkpoint names its weights.

    Attributes:
      backbone: whose names the backbone's are.
      prefix: before every name of the backbone.
      head: the heads' layout, or None where there are none.
      stem: ``"imagenet"`` or ``"small"``: a Sequential counts the max-pool.
      root: before every name of what stands beside the backbone.
    """

    backbone: BackboneNames
    prefix: str
    head: HeadLayout | None
    stem: str
    root: str = ""


def torch_name(path: Path, naming: Naming) -> str | None:
    """The name of one of our weights in a checkpoint, or None where it has none."""
    part, *modules, leaf = path[1:]
    if part != "backbone":
        name = _beside(part, modules, leaf, naming)
        return None if name is None else naming.root + name
    name = _BACKBONES[naming.backbone](modules, leaf, naming)
    if name is None:
        return None
    # What is behind the backbone is beside it in the names.
    return naming.root + name[1:] if name.startswith("^") else naming.prefix + name


def head_layer(naming: Naming, head: Literal["instance", "cluster"], layer: str) -> str:
    """The name of the kernel of a head's ``"dense_0"`` or ``"dense_1"``."""
    path = ("params", f"{head}_head", layer, "kernel")
    return torch_name(path, naming) or ""


def _beside(part: str, modules: list[str], leaf: str, naming: Naming) -> str | None:
    if part == "attention":
        return ATTENTION_NAMES[modules[0]]
    if part == "projector":
        return f"{PROJECTOR}.{_PROJECTOR_INDICES[modules[0]]}.{_LEAVES[leaf]}"
    if naming.head is None:
        return None
    index = _HEAD_INDICES[naming.head].get(modules[0])
    projector = part.replace("head", "projector")
    return None if index is None else f"{projector}.{index}.{_LEAVES[leaf]}"


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


class _ConvNeXtWords(NamedTuple):
    """What a project calls the parts of a ConvNeXt.

    Attributes:
      block: by the stage's and the block's number.
      scale: of a block.
      inner: of a block.
      down: by the stage's number.
      plain: outside of blocks.
    """

    block: Callable[[int, int], str]
    scale: str
    inner: Mapping[str, str]
    down: Callable[[int], str]
    plain: Mapping[str, str]


_TORCHVISION_CONVNEXT = _ConvNeXtWords(
    block=lambda stage, index: f"features.{2 * stage + 1}.{index}",
    scale="layer_scale",
    inner={"depthwise": "block.0", "norm": "block.2", "expand": "block.3", "project": "block.5"},
    down=lambda stage: f"features.{2 * stage}",
    plain={"stem_conv": "features.0.0", "stem_norm": "features.0.1", "norm": "classifier.0"},
)
_TIMM_CONVNEXT = _ConvNeXtWords(
    block=lambda stage, index: f"stages.{stage}.blocks.{index}",
    scale="gamma",
    inner={"depthwise": "conv_dw", "norm": "norm", "expand": "mlp.fc1", "project": "mlp.fc2"},
    down=lambda stage: f"stages.{stage}.downsample",
    plain={"stem_conv": "stem.0", "stem_norm": "stem.1", "norm": "head.norm"},
)


def _convnext(words: _ConvNeXtWords, modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    layer = modules[0]
    if found := re.fullmatch(r"stage(\d+)_(\d+)", layer):
        block = words.block(int(found[1]), int(found[2]))
        if len(modules) == 1:
            return f"{block}.{words.scale}"
        return f"{block}.{words.inner[modules[1]]}.{_LEAVES[leaf]}"
    if found := re.fullmatch(r"down(\d+)_(norm|conv)", layer):
        child = 0 if found[2] == "norm" else 1
        return f"{words.down(int(found[1]))}.{child}.{_LEAVES[leaf]}"
    return f"{words.plain[layer]}.{_LEAVES[leaf]}" if layer in words.plain else None


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


def _tower(attention: str, norm: str) -> dict[str, str]:
    """What transformers calls the parts of a block in the towers of CLIP and SigLIP."""
    block = {part: f"{attention}.{part[0]}_proj" for part in ("query", "key", "value")}
    return block | {
        "block": "encoder.layers.",
        "norm1": f"{norm}1",
        "norm2": f"{norm}2",
        "project": f"{attention}.out_proj",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
        "patch_embed": "embeddings.patch_embedding",
        "pos_embed": "embeddings.position_embedding.weight",
        "norm": "post_layernorm",
    }


# Of the parts of a vision transformer; "block" goes before a block's number, "^" beside the
# backbone. What is not here, no such network has.
VIT_WORDS: dict[BackboneNames, dict[str, str]] = {
    "transformers_vit": {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "registers": "embeddings.register_tokens",
        "patch_embed": "embeddings.patch_embeddings.projection",
        "block": "encoder.layer.",
        "norm1": "norm1",
        "norm2": "norm2",
        "query": "attention.attention.query",
        "key": "attention.attention.key",
        "value": "attention.attention.value",
        "project": "attention.output.dense",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
        "gate": "mlp.gate",
        "scale1": "layer_scale1.lambda1",
        "scale2": "layer_scale2.lambda1",
        "norm": "layernorm",
    },
    "timm_vit": {
        "cls_token": "cls_token",
        "pos_embed": "pos_embed",
        "registers": "reg_token",
        "patch_embed": "patch_embed.proj",
        "block": "blocks.",
        "norm1": "norm1",
        "norm2": "norm2",
        "query": "attn.query",
        "key": "attn.key",
        "value": "attn.value",
        "project": "attn.proj",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
        "gate": "mlp.gate",
        "scale1": "ls1.gamma",
        "scale2": "ls2.gamma",
        "norm": "norm",
    },
    "transformers_dinov3": {
        "cls_token": "embeddings.cls_token",
        "registers": "embeddings.register_tokens",
        "patch_embed": "embeddings.patch_embeddings",
        "block": "layer.",
        "norm1": "norm1",
        "norm2": "norm2",
        "query": "attention.q_proj",
        "key": "attention.k_proj",
        "value": "attention.v_proj",
        "project": "attention.o_proj",
        "fc1": "mlp.up_proj",
        "fc2": "mlp.down_proj",
        "gate": "mlp.gate_proj",
        "scale1": "layer_scale1.lambda1",
        "scale2": "layer_scale2.lambda1",
        "norm": "norm",
    },
    "transformers_clip": _tower("self_attn", "layer_norm")
    | {
        "cls_token": "embeddings.class_embedding",
        "pre_norm": "pre_layrnorm",
        "fc": "^visual_projection",
    },
    "transformers_siglip": _tower("self_attn", "layer_norm")
    | {
        "pool.probe": "head.probe",
        "pool.query": "head.attention.query",
        "pool.key": "head.attention.key",
        "pool.value": "head.attention.value",
        "pool.project": "head.attention.out_proj",
        "pool.norm": "head.layernorm",
        "pool.fc1": "head.mlp.fc1",
        "pool.fc2": "head.mlp.fc2",
    },
}


def _vit(words: dict[str, str], modules: list[str], leaf: str, naming: Naming) -> str | None:
    del naming
    parts, before = [part for part in modules if part != "attention"], ""
    if parts and (found := re.fullmatch(r"block(\d+)", parts[0])):
        before, parts = f"{words['block']}{found[1]}.", parts[1:]
    tail = f".{_LEAVES[leaf]}" if leaf in _LEAVES else ""
    word = words.get(".".join(parts if tail else [*parts, leaf]))
    return None if word is None else f"{before}{word}{tail}"


_Namer = Callable[[list[str], str, Naming], str | None]
_VITS: dict[BackboneNames, _Namer] = {
    names: partial(_vit, words) for names, words in VIT_WORDS.items()
}
_BACKBONES: dict[BackboneNames, _Namer] = {
    "torchvision_resnet": _torchvision_resnet,
    "sequential_resnet": _sequential_resnet,
    "torchvision_convnext": partial(_convnext, _TORCHVISION_CONVNEXT),
    "timm_convnext": partial(_convnext, _TIMM_CONVNEXT),
    "efficientnet_lite": _efficientnet_lite,
    **_VITS,
}


def from_torch(path: Path, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Turn a torch weight into the layout of ``path``: OIHW to HWIO, Linear transposed.

    Args:
      path: ours.
      value: theirs.
      shape: that ours has, for what others keep without its leading ones or its sides.
    """
    if path[-1] == "kernel":
        if value.ndim == 4:
            return value.transpose(2, 3, 1, 0)
        if len(shape) == 4 and value.shape[1:] == (math.prod(shape[:3]),):
            # A linear map of patches in the order of rows, columns and channels.
            return value.reshape(-1, *shape[:3]).transpose(1, 2, 3, 0)
        if value.ndim == 2:
            return value.T
    # torchvision's ConvNeXt keeps its scale as [c, 1, 1].
    if path[-1] == "scale" and value.ndim == 3 and value.shape[1:] == (1, 1):
        return value[:, 0, 0]
    # CLIP's and SigLIP's tokens and positions have no axis of the batch.
    if value.ndim < len(shape) == 3:
        return value.reshape((1,) * (3 - value.ndim) + value.shape)
    return value


def to_torch(path: Path, value: np.ndarray, naming: Naming) -> np.ndarray:
    """The inverse of :func:`from_torch`."""
    if path[-1] == "kernel":
        return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    # The block's own scale has no module of its own below the block.
    is_layer_scale = path[-1] == "scale" and path[-2].startswith("stage")
    if is_layer_scale and naming.backbone == "torchvision_convnext":
        return value[:, None, None]
    if path[-1] == "cls_token" and naming.backbone == "transformers_clip":
        return value[0, 0]
    if path[-1] == "pos_embed" and naming.backbone in ("transformers_clip", "transformers_siglip"):
        return value[0]
    return value
