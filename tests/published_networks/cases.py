"""The published networks rebuilt in PyTorch with random weights, and what their authors show them.

The clustering papers' are built from their description (:mod:`.rebuilt`), the
vision transformers are those of transformers; what they are shown is done by Pillow, or by the
processors that transformers has for them. Nothing here uses idc_jax.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from PIL import Image
from torch import nn

from tests.published_networks import rebuilt

CLUSTERS = 5
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC

See = Callable[[Image.Image], torch.Tensor]
Outputs = dict[str, np.ndarray]


class Case(NamedTuple):
    """A published network.

    Attributes:
      title: whose it is.
      make: ``(small) -> network``: as published, or narrow and shallow for a test.
      save: writes it as its authors do, into a folder; returns what ``init`` would name.
      see: what its authors show it of an image, ``[3, h, w]``.
      run: its outputs for a batch.
      reference: what it was rebuilt with.
      compared: the outputs, for people.
      cifar: whether it sees CIFAR-10's images, or photographs.
    """

    title: str
    make: Callable[[bool], nn.Module]
    save: Callable[[nn.Module, Path], Path]
    see: See
    run: Callable[[nn.Module, torch.Tensor], Outputs]
    reference: str
    compared: str
    cifar: bool = False


def seen(
    image: Image.Image,
    size: int,
    *,
    kernel: Image.Resampling,
    resize: int = 0,
    shorter: bool = False,
    normalised: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> torch.Tensor:
    """Resize, cut out the middle, divide by 255, normalise: torchvision's usual transforms."""
    resize = resize or size
    sides = (resize, resize)
    if shorter:
        short = min(image.size)
        sides = tuple(
            resize if side == short else int(resize * side / short) for side in image.size
        )
    if image.size != sides:
        image = image.resize(sides, kernel)
    left, top = (round((side - size) / 2) for side in sides)
    image = image.crop((left, top, left + size, top + size))
    x = torch.from_numpy(np.asarray(image).transpose(2, 0, 1) / np.float32(255))
    if normalised:
        mean, std = (torch.tensor(part)[:, None, None] for part in normalised)
        x = (x - mean) / std
    return x


def processed(processor: Any) -> See:
    """What a processor of transformers makes of an image."""
    return lambda image: processor(images=[image], return_tensors="pt")["pixel_values"][0]


def clustering(x: tuple[torch.Tensor, ...]) -> Outputs:
    """Of the networks with two heads."""
    names = ("embedding", "instance", "probabilities")
    return dict(zip(names, (*x[:2], torch.softmax(x[2], dim=1)), strict=True))


def run_clustering(network: nn.Module, x: torch.Tensor) -> Outputs:
    """All three outputs."""
    return clustering(network(x))


def run_embedding(network: nn.Module, x: torch.Tensor) -> Outputs:
    """Of a network that gives one tensor, or transformers' outputs."""
    out = network(x)
    if isinstance(out, tuple):
        return {"embedding": out[0]}
    for name in ("image_embeds", "pooler_output"):
        if getattr(out, name, None) is not None:
            return {"embedding": getattr(out, name)}
    return {"embedding": out}


def _run_flexible(network: nn.Module, x: torch.Tensor) -> Outputs:
    """SigLIP 2 of flexible shapes, which sees patches."""
    patch = network.config.patch_size
    side = x.shape[-1] // patch
    patches = x.reshape(len(x), 3, side, patch, side, patch).permute(0, 2, 4, 3, 5, 1)
    mask = torch.ones(len(x), side**2, dtype=torch.int32)
    shapes = torch.full((len(x), 2), side)
    out = network(patches.reshape(len(x), side**2, -1), mask, shapes)
    return {"embedding": out.pooler_output}


def _fewer(depth: int) -> int:
    """ResNet-34 has the blocks of ResNet-18, only more of them."""
    return 18 if depth == 34 else depth


def _clustering(depth: int, layout: str, **options: Any) -> Callable[[bool], nn.Module]:
    def make(small: bool) -> nn.Module:
        width, number = (8, _fewer(depth)) if small else (64, depth)
        named = dict(options)
        if "fc" in named:
            named["fc"] = width * 8
        return rebuilt.randomised(
            rebuilt.Clustering(number, layout, CLUSTERS, width=width, **named)
        )

    return make


def _propos(depth: int, stem: str) -> Callable[[bool], nn.Module]:
    def make(small: bool) -> nn.Module:
        sizes = {"width": 8, "hidden": 32, "out": 16} if small else {}
        number = _fewer(depth) if small else depth
        return rebuilt.randomised(rebuilt.ProPos(number, stem, **sizes))

    return make


def _saved(wrap: Callable[[dict[str, torch.Tensor]], Any], name: str) -> Callable[..., Path]:
    def save(network: nn.Module, folder: Path) -> Path:
        torch.save(wrap(network.state_dict()), folder / name)
        return folder / name

    return save


def _tcl(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    settings = argparse.Namespace(lr=1e-3, data_path="data")
    return {"model": state, "optimizer": {"state": {}}, "epoch": 3, "args": settings}


def _wrapped(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"net": {f"module.{key}": value for key, value in state.items()}, "epoch": 1000}


def _see_tcl(image: Image.Image) -> torch.Tensor:
    return seen(image, 224, resize=256, kernel=BICUBIC, normalised=CIFAR10)


def _see_idc(image: Image.Image) -> torch.Tensor:
    return seen(image, 224, kernel=BICUBIC)


def _see_cc(image: Image.Image) -> torch.Tensor:
    return seen(image, 224, kernel=BILINEAR)


def _see_pcl(image: Image.Image) -> torch.Tensor:
    return seen(image, 128, kernel=BILINEAR, normalised=IMAGENET)


def _see_cifar(image: Image.Image) -> torch.Tensor:
    return seen(image, 32, kernel=BICUBIC, normalised=CIFAR10)


def _see_imagenet(image: Image.Image) -> torch.Tensor:
    return seen(image, 224, resize=256, shorter=True, kernel=BILINEAR, normalised=IMAGENET)


_OWN = "PyTorch, from the paper's code"
_BOTH = "embedding, instance head, probabilities"


def _rows(
    title: str,
    depths: tuple[int, ...],
    layout: str,
    save: Callable[..., Path],
    see: See,
    *,
    cifar: bool,
    **options: Any,
) -> list[Case]:
    return [
        Case(
            f"{title}, ResNet-{depth}",
            _clustering(depth, layout, **options),
            save,
            see,
            run_clustering,
            _OWN,
            _BOTH,
            cifar,
        )
        for depth in depths
    ]


def _vit(make: Callable[[bool], nn.Module]) -> Callable[[bool], nn.Module]:
    return lambda small: spread(make(small).eval())


def spread(network: nn.Module) -> nn.Module:
    """Random weights that the output depends on: initial ones hardly look at the image."""
    generator = torch.Generator().manual_seed(0)

    def normal(value: torch.Tensor, scale: float) -> torch.Tensor:
        return scale * torch.randn(value.shape, generator=generator)

    for name, value in network.named_parameters():
        if name.endswith("bias") or ("embedding" in name and value.ndim < 4) or "token" in name:
            value.data = normal(value, 0.3)
        elif value.ndim > 1:
            value.data = normal(value, value[0].numel() ** -0.5)
        else:
            value.data = 1 + normal(value, 0.3)
    return network


def _sizes(small: bool, **published: int) -> dict[str, int]:
    tiny = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    return tiny | {"num_attention_heads": 2} if small else published


_S = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6}
_B = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}


def _dinov2(small: bool) -> nn.Module:
    sizes = _sizes(small, **_S)
    sizes.pop("intermediate_size", None)
    config = transformers.Dinov2Config(**sizes, image_size=518, patch_size=14)
    return transformers.Dinov2Model(config)


def _dinov2_gated(small: bool) -> nn.Module:
    sizes = _sizes(small, **_S)
    sizes.pop("intermediate_size", None)
    config = transformers.Dinov2Config(**sizes, image_size=518, patch_size=14, use_swiglu_ffn=True)
    return transformers.Dinov2Model(config)


def _dinov2_registers(small: bool) -> nn.Module:
    sizes = _sizes(small, **_S)
    sizes.pop("intermediate_size", None)
    config = transformers.Dinov2WithRegistersConfig(
        **sizes, image_size=518, patch_size=14, num_register_tokens=4
    )
    return transformers.Dinov2WithRegistersModel(config)


def _dinov3(small: bool) -> nn.Module:
    sizes = _sizes(small, **_S, intermediate_size=1536)
    return transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**sizes, num_register_tokens=4))


def _dinov3_gated(small: bool) -> nn.Module:
    sizes = _sizes(small, **_S, intermediate_size=1536)
    config = transformers.DINOv3ViTConfig(
        **sizes, num_register_tokens=4, use_gated_mlp=True, hidden_act="silu"
    )
    return transformers.DINOv3ViTModel(config)


def _clip_config(small: bool) -> transformers.CLIPVisionConfig:
    sizes = _sizes(small, **_B, intermediate_size=3072)
    return transformers.CLIPVisionConfig(
        **sizes, patch_size=32, image_size=224, projection_dim=24 if small else 512
    )


def _clip(small: bool) -> nn.Module:
    return transformers.CLIPVisionModel(_clip_config(small))


def _clip_projected(small: bool) -> nn.Module:
    return transformers.CLIPVisionModelWithProjection(_clip_config(small))


def _in_parts(network: nn.Module, folder: Path) -> Path:
    """In three files or more, of bfloat16; the network that is left has what they hold."""
    size = sum(value.numel() for value in network.parameters()) * 2
    network.bfloat16().save_pretrained(folder, max_shard_size=size // 3)
    network.float()
    return folder


def _siglip(small: bool) -> nn.Module:
    sizes = _sizes(small, **_B, intermediate_size=3072)
    return transformers.SiglipVisionModel(
        transformers.SiglipVisionConfig(**sizes, patch_size=16, image_size=224)
    )


def _siglip2_flexible(small: bool) -> nn.Module:
    sizes = _sizes(small, **_B, intermediate_size=3072)
    return transformers.Siglip2VisionModel(
        transformers.Siglip2VisionConfig(**sizes, patch_size=16, num_patches=256)
    )


def _pretrained(processor: Any = None, **options: Any) -> Callable[..., Path]:
    """As transformers writes it; with the processor's settings beside it, or without."""

    def save(network: nn.Module, folder: Path) -> Path:
        network.save_pretrained(folder, **options)
        if processor is not None:
            processor.save_pretrained(folder)
        return folder

    return save


_DINOV2 = transformers.BitImageProcessorPil(
    size={"shortest_edge": 256},
    crop_size={"height": 224, "width": 224},
    resample=3,
    image_mean=list(IMAGENET[0]),
    image_std=list(IMAGENET[1]),
)
_CLIP = transformers.CLIPImageProcessorPil()
_SIGLIP = transformers.SiglipImageProcessorPil(resample=2)


def _see_flexible(image: Image.Image) -> torch.Tensor:
    half = ((0.5,) * 3, (0.5,) * 3)
    return seen(image, 256, shorter=True, kernel=BILINEAR, normalised=half)


def _see_dinov3(image: Image.Image) -> torch.Tensor:
    return seen(image, 224, kernel=BILINEAR, normalised=IMAGENET)


def _convnext(names: str) -> Case:
    timm = names == "timm"

    def make(small: bool) -> nn.Module:
        return rebuilt.ConvNeXt(*((8, (1, 1, 2, 1)) if small else ())).eval()

    def see(image: Image.Image) -> torch.Tensor:
        size = {"resize": 256, "kernel": BICUBIC} if timm else {"resize": 236, "kernel": BILINEAR}
        return seen(image, 224, shorter=True, normalised=IMAGENET, **size)

    return Case(
        f"ConvNeXt-Tiny, {names}'s names",
        make,
        _saved(rebuilt.timm_convnext_names if timm else dict, "convnext.pth"),
        see,
        run_embedding,
        "PyTorch",
        "features",
    )


def _lite() -> Case:
    return Case(
        "EfficientNet-Lite0",
        lambda small: rebuilt.randomised(rebuilt.EfficientNetLite0()),
        _saved(dict, "lite0.pth"),
        lambda image: seen(image, 224, resize=256, shorter=True, kernel=BICUBIC, normalised=LITE),
        run_embedding,
        "PyTorch",
        "features",
    )


def _resnet() -> Case:
    return Case(
        "torchvision's ResNet-50",
        lambda small: rebuilt.randomised(rebuilt.ResNet(50, width=8 if small else 64)),
        _saved(dict, "resnet50.pth"),
        _see_imagenet,
        run_embedding,
        "PyTorch",
        "features",
    )


def _of_transformers(
    title: str, make: Callable[[bool], nn.Module], save: Callable[..., Path], see: See, model: str
) -> Case:
    compared = "projected image" if "WithProjection" in model else "pooled output"
    run = _run_flexible if "Siglip2" in model else run_embedding
    return Case(title, _vit(make), save, see, run, f"transformers' {model}", compared)


CASES: tuple[Case, ...] = (
    *_rows(
        "TCL (IDC's)",
        (34, 50),
        "relu_first",
        _saved(lambda s: {"net": s}, "checkpoint_1200.tar"),
        _see_idc,
        cifar=True,
        fc=512,
    ),
    *_rows(
        "TCL (published)",
        (18, 34, 50),
        "batch_norm",
        _saved(_tcl, "checkpoint-999.pth"),
        _see_tcl,
        cifar=True,
        fc=512,
    ),
    *_rows(
        "Contrastive Clustering",
        (18, 34, 50),
        "plain",
        _saved(_wrapped, "checkpoint_1000.tar"),
        _see_cc,
        cifar=False,
    ),
    *_rows(
        "PCL",
        (34, 50),
        "plain",
        _saved(lambda s: {"net": s, "epoch": 500}, "checkpoint.tar"),
        _see_pcl,
        cifar=False,
        attention=True,
    ),
    *(
        Case(
            f"ProPos, {name}, ResNet-{depth}",
            _propos(depth, stem),
            _saved(lambda s: {"byol": s}, "last"),
            see,
            run_embedding,
            _OWN,
            "projector's output",
            cifar=stem == "small",
        )
        for depth, stem, name, see in (
            (18, "small", "CIFAR", _see_cifar),
            (34, "small", "CIFAR", _see_cifar),
            (34, "imagenet", "ImageNet", _see_imagenet),
            (50, "imagenet", "ImageNet", _see_imagenet),
        )
    ),
    _resnet(),
    _convnext("torchvision"),
    _convnext("timm"),
    _lite(),
    _of_transformers(
        "DINOv2 S/14", _dinov2, _pretrained(_DINOV2), processed(_DINOV2), "Dinov2Model"
    ),
    _of_transformers(
        "DINOv2, gated MLPs", _dinov2_gated, _pretrained(), processed(_DINOV2), "Dinov2Model"
    ),
    _of_transformers(
        "DINOv2 S/14 with registers",
        _dinov2_registers,
        _pretrained(),
        processed(_DINOV2),
        "Dinov2WithRegistersModel",
    ),
    _of_transformers("DINOv3 S/16", _dinov3, _pretrained(), _see_dinov3, "DINOv3ViTModel"),
    _of_transformers(
        "DINOv3, gated MLPs", _dinov3_gated, _pretrained(), _see_dinov3, "DINOv3ViTModel"
    ),
    _of_transformers("CLIP B/32", _clip, _pretrained(_CLIP), processed(_CLIP), "CLIPVisionModel"),
    _of_transformers(
        "CLIP B/32, bfloat16 in parts",
        _clip_projected,
        _in_parts,
        processed(_CLIP),
        "CLIPVisionModelWithProjection",
    ),
    _of_transformers(
        "SigLIP 2 B/16", _siglip, _pretrained(_SIGLIP), processed(_SIGLIP), "SiglipVisionModel"
    ),
    _of_transformers(
        "SigLIP 2 B/16 of flexible shapes",
        _siglip2_flexible,
        _pretrained(),
        _see_flexible,
        "Siglip2VisionModel",
    ),
)
