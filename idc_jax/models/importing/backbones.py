"""The backbone that a checkpoint's tensors are of, read from their shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from idc_jax.errors import UserError
from idc_jax.models.convnext import ConvNeXt
from idc_jax.models.efficientnet import EfficientNetLite
from idc_jax.models.importing.names import VIT_WORDS, BackboneNames
from idc_jax.models.importing.notes import Notes
from idc_jax.models.positions import PositionKernel
from idc_jax.models.resnet import ResNet, Stem
from idc_jax.models.vit import Activation, VisionTransformer


class Below(NamedTuple):
    """A checkpoint's tensors whose names begin alike.

    Attributes:
      tensors: all of the checkpoint.
      prefix: how the names begin.
      notes: what lies beside the checkpoint.
    """

    tensors: Mapping[str, np.ndarray]
    prefix: str
    notes: Notes = Notes()

    def find(self, name: str) -> np.ndarray | None:
        """The tensor ``name`` below the prefix, or None."""
        return self.tensors.get(self.prefix + name)

    def need(self, name: str) -> np.ndarray:
        """Likewise.

        Raises:
          UserError: there is none.
        """
        found = self.find(name)
        if found is None:
            raise UserError(f"the checkpoint lacks {self.prefix}{name}")
        return found

    def count(self, pattern: str) -> int:
        """How many names below the prefix match the whole ``pattern``."""
        whole = re.compile(re.escape(self.prefix) + pattern)
        return sum(1 for name in self.tensors if whole.fullmatch(name))


class Found(NamedTuple):
    """A backbone.

    Attributes:
      title: for people.
      module: with what was read from the shapes.
      channels: of the images that it takes.
      side: in pixels that its positions are for, or None: any.
      patch: side of its patches in pixels; 1 where it has none.
      flexible: whether it was trained on images of any sides.
    """

    title: str
    module: nn.Module
    channels: int
    side: int | None = None
    patch: int = 1
    flexible: bool = False


_RESNETS: dict[tuple[tuple[int, ...], bool], int] = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}


def resnet(below: Below, stages: tuple[str, ...], stem: str) -> Found:
    """A ResNet, whose stages and whose first convolution are called so.

    Raises:
      UserError: blocks that are not a ResNet's.
    """
    conv = below.need(f"{stem}.weight")
    blocks = tuple(below.count(rf"{stage}\.\d+\.conv1\.weight") for stage in stages)
    bottleneck = below.find(f"{stages[0]}.0.conv3.weight") is not None
    if (blocks, bottleneck) not in _RESNETS:
        kind = "bottlenecks" if bottleneck else "basic blocks"
        known = ", ".join(map(str, _RESNETS.values()))
        raise UserError(
            f"the checkpoint is a ResNet of {list(blocks)} blocks ({kind}), which is none of "
            f"ResNet-{known}"
        )
    inner = below.need(f"{stages[0]}.0.conv2.weight")
    if inner.shape[:2] != (conv.shape[0], conv.shape[0]):
        raise UserError(
            f"the checkpoint is a ResNet whose inner convolutions are {list(inner.shape)} where "
            f"{[conv.shape[0]] * 2 + [3, 3]} is needed: wide and grouped ones are not known here"
        )
    small: Stem = "small" if conv.shape[-1] == 3 else "imagenet"
    module = ResNet(blocks, int(conv.shape[0]), small, bottleneck=bottleneck)
    return Found(f"ResNet-{_RESNETS[blocks, bottleneck]}", module, int(conv.shape[1]))


def convnext(
    below: Below, stem: str, block: Callable[[int], str], scale: str, down: Callable[[int], str]
) -> Found:
    """A ConvNeXt, whose parts are called so."""
    conv = below.need(f"{stem}.weight")
    widths = [int(conv.shape[0])]
    while (further := below.find(f"{down(len(widths))}.1.weight")) is not None:
        widths.append(int(further.shape[0]))
    stages = range(len(widths))
    blocks = tuple(below.count(rf"{re.escape(block(stage))}\d+\.{scale}") for stage in stages)
    module = ConvNeXt(blocks, tuple(widths), int(conv.shape[-1]))
    names = {(96, 9): "Tiny", (96, 27): "Small", (128, 27): "Base", (192, 27): "Large"}
    name = names.get((widths[0], blocks[2]) if len(blocks) > 2 else (0, 0))
    title = f"ConvNeXt-{name}" if name else f"ConvNeXt of {list(blocks)} blocks"
    return Found(title, module, int(conv.shape[1]))


def efficientnet_lite(below: Below) -> Found:
    """EfficientNet-Lite0.

    Raises:
      UserError: another EfficientNet.
    """
    stem = below.need("_conv_stem.weight")
    squeezed = any("_se_" in name for name in below.tensors)
    if stem.shape[0] != 32 or squeezed or below.find("_blocks.16._bn1.weight") is not None:
        raise UserError("the checkpoint is an EfficientNet, but not Lite0")
    return Found("EfficientNet-Lite0", EfficientNetLite(), int(stem.shape[1]))


class VitFamily(NamedTuple):
    """What the tensors of a vision transformer do not say.

    Attributes:
      epsilon: of the LayerNorms.
      activation: of the MLPs that are not gated.
      head: width of an attention's head, where it is not one of ``heads``.
      heads: heads of networks of other heads, by their width.
      rotary: whether its positions are rotary.
      grid_kernel: of the positions, without registers and with them.
    """

    epsilon: float
    activation: Activation = "gelu"
    head: int = 64
    heads: Mapping[int, int] = {}
    rotary: bool = False
    grid_kernel: tuple[PositionKernel, PositionKernel] = ("cubic", "cubic")


VIT_FAMILIES: dict[BackboneNames, VitFamily] = {
    "transformers_vit": VitFamily(1e-6, grid_kernel=("cubic", "cubic_antialiased")),
    "timm_vit": VitFamily(1e-6, grid_kernel=("cubic", "cubic_antialiased")),
    # The 7B has 32 heads.
    "transformers_dinov3": VitFamily(1e-5, heads={4096: 32}, rotary=True),
    # Those of OpenCLIP's that are larger than L.
    "transformers_clip": VitFamily(1e-5, "quick_gelu", heads={1280: 16, 1408: 16, 1664: 16}),
    "transformers_siglip": VitFamily(1e-6, "gelu_tanh", heads={1152: 16, 1536: 16}),
}
NAMED_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}
# The base period of DINOv3's positions.
_ROTARY = 100.0
# What widths are called.
_LETTERS = {384: "S", 768: "B", 1024: "L", 1152: "So400m", 1280: "H", 1536: "g", 4096: "7B"}


class _Vit(NamedTuple):
    """The parts of a vision transformer, by our words for them."""

    below: Below
    words: Mapping[str, str]

    def part(self, word: str, leaf: str = "") -> np.ndarray | None:
        return self.below.find(self.words[word] + leaf) if word in self.words else None

    def block(self, word: str, leaf: str = "") -> np.ndarray | None:
        """Of the first block, which is like all others."""
        name = f"{self.words['block']}0.{self.words.get(word)}{leaf}"
        return self.below.find(name) if word in self.words else None

    def depth(self) -> int:
        block, norm = (re.escape(self.words[word]) for word in ("block", "norm1"))
        return self.below.count(rf"{block}\d+\.{norm}\.weight")


def vit(below: Below, names: BackboneNames, projected: np.ndarray | None = None) -> Found:
    """A vision transformer.

    Args:
      below: its tensors; the notes beside them say what shapes do not.
      names: whose names they have.
      projected: the weight of a linear map behind it, or None.

    Raises:
      UserError: a width that its heads do not divide, or an MLP that is not known here.
    """
    found, family = _Vit(below, VIT_WORDS[names]), VIT_FAMILIES[names]
    conv = below.need(f"{found.words['patch_embed']}.weight")
    width = int(conv.shape[0])
    # Flexible shapes come with a linear map of patches, of three channels.
    flexible = conv.ndim == 2
    patch = math.isqrt(conv.shape[1] // 3) if flexible else int(conv.shape[-1])
    config = below.notes.config if below.notes.config.get("hidden_size") == width else {}
    positions, registers = found.part("pos_embed"), found.part("registers")
    count = 0 if positions is None else positions.shape[-2]
    grid, hidden = math.isqrt(count), found.block("fc1", ".weight")
    kernel = family.grid_kernel[registers is not None]
    module = VisionTransformer(
        width,
        _heads(width, config, family),
        found.depth(),
        patch,
        grid,
        grid_kernel="linear_antialiased" if flexible else kernel,
        rotary=float(config.get("rope_theta", _ROTARY)) if family.rotary else None,
        class_token=found.part("cls_token") is not None,
        token_position=count > grid**2,
        registers=0 if registers is None else int(registers.shape[-2]),
        pre_norm=found.part("pre_norm", ".weight") is not None,
        hidden=None if hidden is None else int(hidden.shape[0]),
        activation=_activation(found.block("gate", ".weight") is not None, config, family),
        scaled=found.block("scale1") is not None,
        key_bias=found.block("key", ".bias") is not None,
        patch_bias=found.part("patch_embed", ".bias") is not None,
        pool="attention" if found.part("pool.probe") is not None else "token",
        epsilon=float(config.get("layer_norm_eps", family.epsilon)),
        embedding_dim=None if projected is None else int(projected.shape[0]),
        fc_bias=False,
    )
    title = f"ViT-{_LETTERS.get(width, width)}/{patch}"
    channels = 3 if flexible else int(conv.shape[1])
    return Found(title, module, channels, grid * patch or None, patch, flexible)


def _heads(width: int, config: Mapping[str, Any], family: VitFamily) -> int:
    heads = int(config.get("num_attention_heads", family.heads.get(width, width // family.head)))
    if not heads or width % heads:
        raise UserError(
            f"the checkpoint is a vision transformer {width} wide; how many heads it has is said "
            f"by the config.json that comes with it, which has to lie beside it"
        )
    return heads


def _activation(gated: bool, config: Mapping[str, Any], family: VitFamily) -> Activation:
    said = config.get("hidden_act")
    if gated:
        # DINOv2's gated ones say "gelu" and take SiLU; of DINOv3's, those that say so do.
        if family.rotary and said not in (None, "silu"):
            raise UserError(f"the checkpoint's gated MLPs have {said}; only silu is known here")
        return "swiglu"
    if said is None:
        return family.activation
    if said not in NAMED_ACTIVATIONS:
        raise UserError(
            f"the checkpoint's MLPs have {said}; known here: {', '.join(NAMED_ACTIVATIONS)}"
        )
    return NAMED_ACTIVATIONS[said]
