"""What lies beside a checkpoint: ``config.json``, ``preprocessor_config.json`` and the like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from idc_jax.errors import UserError
from idc_jax.models.importing.shown import Kernel, Normalisation, Shown

# Pillow's numbers, which transformers writes, and timm's words.
_KERNELS: dict[Any, Kernel] = {
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    "lanczos": "lanczos",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
}
_LEVELS = 255.0


class Notes(NamedTuple):
    """What the authors wrote down beside the weights.

    Attributes:
      config: of the network; the vision tower's, where there are several.
      preprocessor: of its images.
    """

    config: Mapping[str, Any] = {}
    preprocessor: Mapping[str, Any] = {}


def read_notes(path: Path) -> Notes:
    """Read what lies beside ``path``, a checkpoint's file or folder; nothing is needed.

    Raises:
      UserError: a file that is there and damaged.
    """
    folder = path if path.is_dir() else path.parent
    config, processor = (_json(folder / f"{name}.json") for name in ("config", "processor_config"))
    preprocessor = _json(folder / "preprocessor_config.json")
    return Notes(
        config=cast(Mapping[str, Any], config.get("vision_config") or config),
        preprocessor=preprocessor or cast(Mapping[str, Any], processor.get("image_processor", {})),
    )


def shown_by(notes: Notes, usual: Shown) -> Shown:
    """What the notes say of the images, and what they leave out as ``usual``.

    Raises:
      UserError: they ask for what is not done here.
    """
    if "pretrained_cfg" in notes.config:
        return _by_timm(notes.config["pretrained_cfg"], usual)
    said = notes.preprocessor
    # SigLIP 2 of flexible shapes says how many patches an image may become, and no size.
    if not said or "max_num_patches" in said:
        return usual
    resize, stretched = usual.resize, usual.rule == "stretch"
    if said.get("do_resize", True) and "size" in said:
        resize, stretched = _sides(said["size"])
    size = resize
    if said.get("do_center_crop", False):
        size, _ = _sides(said.get("crop_size", size))
    return usual._replace(
        size=size,
        resize=resize,
        rule="stretch" if stretched else "shorter",
        kernel=_kernel(said.get("resample", usual.kernel)),
        normalisation=_normalisation(said, usual),
    )


def _by_timm(said: Mapping[str, Any], usual: Shown) -> Shown:
    size = int(said.get("input_size", (3, usual.size))[-1])
    return usual._replace(
        size=size,
        resize=int(size / said.get("crop_pct", 0.875)),
        rule="stretch" if said.get("crop_mode") == "squash" else "shorter",
        kernel=_kernel(said.get("interpolation", usual.kernel)),
        normalisation=(tuple(said["mean"]), tuple(said["std"]))
        if "mean" in said
        else usual.normalisation,
    )


def _sides(said: Any) -> tuple[int, bool]:
    """A side in pixels, and whether it is both sides'."""
    if isinstance(said, int):
        return said, False
    if "shortest_edge" in said:
        return int(said["shortest_edge"]), False
    if said.get("height") is None or said.get("height") != said.get("width"):
        raise UserError(
            f"preprocessor_config.json asks for images of {json.dumps(said)}; they must be square"
        )
    return int(said["height"]), True


def _kernel(said: Any) -> Kernel:
    if said not in _KERNELS:
        raise UserError(
            f"preprocessor_config.json asks for resampling {said!r}; "
            f"it must be 1 (lanczos), 2 (bilinear) or 3 (bicubic)"
        )
    return _KERNELS[said]


def _normalisation(said: Mapping[str, Any], usual: Shown) -> str | Normalisation:
    factor = said.get("rescale_factor", 1 / _LEVELS) if said.get("do_rescale", True) else 1.0
    scale = factor * _LEVELS
    if not said.get("do_normalize", True):
        return ((0.0,) * 3, (1 / scale,) * 3) if abs(scale - 1) > 1e-6 else "none"
    if "image_mean" not in said or "image_std" not in said:
        return usual.normalisation
    # The network here sees values from 0 to 1.
    mean, std = (tuple(v / scale for v in said[f"image_{part}"]) for part in ("mean", "std"))
    return tuple(round(v, 12) for v in mean), tuple(round(v, 12) for v in std)


def _json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return found if isinstance(found, dict) else {}
