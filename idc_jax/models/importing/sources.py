"""The layouts of published checkpoints: how each is recognised, and what its network is shown.

``FAMILIES`` says how a backbone's names are recognised, ``SOURCES`` whose network it is then, what
that one is shown and what it returns. All that is done with a checkpoint follows from these two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from idc_jax.models.heads import HeadLayout
from idc_jax.models.importing import backbones
from idc_jax.models.importing.backbones import Below, Found
from idc_jax.models.importing.names import PROJECTOR, BackboneNames
from idc_jax.models.importing.shown import BY_DATA_SET, Shown

PROPOS = "ProPos"


class Family(NamedTuple):
    """How a kind of backbone is recognised.

    Attributes:
      names: whose names it has.
      needs: tensors that it has under one prefix, the most telling first.
      find: reads the backbone from the shapes.
      body: matches the names below the prefix that belong to the backbone, all of which must have
        a place in it; what is there besides is another network's, or a variant's.
      spare: matches those of them that nothing needs.
      prefers: matches the prefix to take where there are several.
    """

    names: BackboneNames
    needs: tuple[str, ...]
    find: Callable[[Below], Found]
    body: str
    spare: str = r"$^"
    prefers: str = ""


class Source(NamedTuple):
    """Whose network a backbone is.

    Attributes:
      name: for people.
      names: of the families that it can be.
      shown: what its authors show it; where its stem is for small images, :func:`shown_small`.
      embedding: what is compared and clustered, for people.
      needs: matches a name beside the backbone that it must have.
      head: the layout of its heads, or None.
      prefix: matches the end of the backbone's prefix.
      own_size: whether it is shown the size that its positions are for.
    """

    name: str
    names: tuple[BackboneNames, ...]
    shown: Shown
    embedding: str
    needs: str = ""
    head: HeadLayout | None = None
    prefix: str = ""
    own_size: bool = False


_STAGES = tuple(f"layer{stage}" for stage in range(1, 5))
_VIT_BODY = r"(embeddings|encoder|layer|head|norm|layernorm|(pre|post)_lay\w+)\."
_MASKS = r".*(mask_token|position_ids|inv_freq|periods)$"
_TORCHVISION_CONVNEXT = partial(
    backbones.convnext,
    stem="features.0.0",
    block=lambda stage: f"features.{2 * stage + 1}.",
    scale="layer_scale",
    down=lambda stage: f"features.{2 * stage}",
)
_TIMM_CONVNEXT = partial(
    backbones.convnext,
    stem="stem.0",
    block=lambda stage: f"stages.{stage}.blocks.",
    scale="gamma",
    down=lambda stage: f"stages.{stage}.downsample",
)

FAMILIES = (
    Family(
        "torchvision_resnet",
        ("layer1.0.conv1.weight",),
        partial(backbones.resnet, stages=_STAGES, stem="conv1"),
        r"(conv\d|bn\d|layer\d+|attnpool)\.",
        # PCL's own, which nothing uses.
        spare=r"bn2\.",
    ),
    # A Sequential's max-pool has no weights, but it moves the first layer up by one.
    *(
        Family(
            "sequential_resnet",
            (f"{first}.0.conv1.weight", f"{first + 3}.0.conv1.weight", "0.weight"),
            partial(backbones.resnet, stages=tuple(map(str, range(first, first + 4))), stem="0"),
            r"\d+\.",
            prefers=r"encoder_k\.$",
        )
        for first in (3, 4)
    ),
    Family(
        "torchvision_convnext",
        ("features.1.0.layer_scale",),
        _TORCHVISION_CONVNEXT,
        r"(features|classifier\.0)\.",
    ),
    Family(
        "timm_convnext",
        ("stages.0.blocks.0.conv_dw.weight",),
        _TIMM_CONVNEXT,
        r"(stem|stages|head\.norm)\.",
    ),
    Family(
        "efficientnet_lite",
        ("_blocks.15._project_conv.weight",),
        backbones.efficientnet_lite,
        r"_(blocks|conv\w+|bn\d)\.",
    ),
    Family(
        "transformers_vit",
        (
            "embeddings.patch_embeddings.projection.weight",
            "encoder.layer.0.layer_scale1.lambda1",
        ),
        partial(backbones.vit, names="transformers_vit"),
        _VIT_BODY,
        spare=_MASKS,
    ),
    Family(
        "timm_vit",
        ("patch_embed.proj.weight", "blocks.0.ls1.gamma", "pos_embed"),
        partial(backbones.vit, names="timm_vit"),
        r"(cls_token|pos_embed|\w+_tokens?|patch_embed|blocks|norm)\b",
        spare=_MASKS,
    ),
    Family(
        "transformers_dinov3",
        ("embeddings.patch_embeddings.weight", "layer.0.attention.q_proj.weight"),
        partial(backbones.vit, names="transformers_dinov3"),
        _VIT_BODY,
        spare=_MASKS,
    ),
    Family(
        "transformers_clip",
        ("embeddings.class_embedding", "pre_layrnorm.weight"),
        partial(backbones.vit, names="transformers_clip"),
        _VIT_BODY,
        spare=_MASKS,
    ),
    Family(
        "transformers_siglip",
        ("embeddings.patch_embedding.weight", "head.probe"),
        partial(backbones.vit, names="transformers_siglip"),
        _VIT_BODY,
        spare=_MASKS,
    ),
)

_RESNETS: tuple[BackboneNames, ...] = ("torchvision_resnet",)
# The first that fits.
SOURCES = (
    Source(
        "PCL",
        _RESNETS,
        Shown(128, 128, "stretch", "bilinear", "imagenet"),
        "pooled, attended over the 128 samples of a block",
        needs=r"selfAttention\.",
        head="plain",
    ),
    Source(
        "TCL (published)",
        _RESNETS,
        Shown(224, 256, "stretch", "bicubic", BY_DATA_SET),
        "`resnet.fc`'s output",
        needs=r"cluster_projector\.0\.running_mean$",
        head="batch_norm",
    ),
    Source(
        "TCL (IDC's)",
        _RESNETS,
        Shown(224, 224, "stretch", "bicubic", "none"),
        "`resnet.fc`'s output",
        needs=r"cluster_projector\.1\.weight$",
        head="relu_first",
    ),
    Source(
        "Contrastive Clustering",
        _RESNETS,
        Shown(224, 224, "stretch", "bilinear", "none"),
        "pooled",
        needs=r"cluster_projector\.0\.weight$",
        head="plain",
    ),
    Source(
        PROPOS,
        ("sequential_resnet",),
        Shown(224, 256, "shorter", "bilinear", BY_DATA_SET),
        f"`{PROJECTOR}`'s output, which ProPos clusters",
        prefix=r"encoder_k\.$",
    ),
    Source(
        "ResNet backbone",
        ("torchvision_resnet", "sequential_resnet"),
        Shown(224, 256, "shorter", "bilinear", "imagenet"),
        "pooled",
    ),
    Source(
        "torchvision ConvNeXt backbone",
        ("torchvision_convnext",),
        Shown(224, 236, "shorter", "bilinear", "imagenet"),
        "pooled, normalised",
    ),
    Source(
        "timm ConvNeXt backbone",
        ("timm_convnext",),
        Shown(224, 256, "shorter", "bicubic", "imagenet"),
        "pooled, normalised",
    ),
    Source(
        "EfficientNet-Lite0 backbone",
        ("efficientnet_lite",),
        Shown(224, 256, "shorter", "bicubic", "lite"),
        "pooled",
    ),
    Source(
        "DINOv2",
        ("transformers_vit", "timm_vit"),
        Shown(224, 256, "shorter", "bicubic", "imagenet"),
        "class token",
    ),
    Source(
        "DINOv3",
        ("transformers_dinov3",),
        Shown(224, 224, "stretch", "bilinear", "imagenet"),
        "class token",
    ),
    Source(
        "CLIP",
        ("transformers_clip",),
        Shown(224, 224, "shorter", "bicubic", "clip"),
        "class token, projected where the projection is there",
        own_size=True,
    ),
    # The second's. The first was shown bicubic ones, as its preprocessor_config.json says.
    Source(
        "SigLIP",
        ("transformers_siglip",),
        Shown(224, 224, "stretch", "bilinear", "half"),
        "attention pool",
        own_size=True,
    ),
)
# Side of the images that a stem for small images was trained on: CIFAR's.
SMALL_SIDE = 32


def shown_small(shown: Shown) -> Shown:
    """The same, of a network whose stem is for small images: those of CIFAR as they are."""
    return shown._replace(size=SMALL_SIDE, resize=SMALL_SIDE, rule="stretch", kernel="bicubic")
