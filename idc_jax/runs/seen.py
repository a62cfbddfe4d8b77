"""What a run's published network is shown: known before the data are read."""

from __future__ import annotations

from ml_collections import ConfigDict

from idc_jax.errors import UserError
from idc_jax.models.importing import KNOWN, Shown, available, layout_of, usually_shown
from idc_jax.train.start import published_weights

# Sides at which a network of one's own is shown images from files, by its stem.
_OWN_SIDES = {"imagenet": 224}
_OWN_SIDE = 64


def embedders(config: ConfigDict) -> tuple[str, ...]:
    """The networks that ``data.embed_with`` names, by commas; none where it is empty.

    Raises:
      UserError: a comma with nothing before or after it.
    """
    given = config.data.embed_with
    names = tuple(name.strip() for name in given.split(",")) if given else ()
    if not all(names):
        raise UserError(f"data.embed_with is {given!r}; give names with a comma between")
    return names


def shown_to(config: ConfigDict) -> Shown | None:
    """What the config's published network is shown, or None where it has none.

    Of several, the one that is shown most pixels: files are stored as it wants them.

    Args:
      config: with ``data.embed_with`` and ``init`` closed.

    Raises:
      UserError: weights that are not there or not known, or a size that does not suit them.
    """
    found = [_shown(name, config) for name in embedders(config) or (config.init,)]
    return max((shown for shown in found if shown), key=lambda shown: shown.resize, default=None)


def _shown(name: str, config: ConfigDict) -> Shown | None:
    if name in KNOWN and name not in available():
        # To be fetched, once everything else is known to be right.
        return usually_shown(name).at(config.views.size)
    path = published_weights(name)
    if path is not None:
        return layout_of(path).shown.at(config.views.size)
    if config.data.embed_with:
        raise UserError(f"data.embed_with is {config.data.embed_with!r}: no such file")
    return None


def image_side(config: ConfigDict) -> int:
    """Side in pixels at which the images of a folder are stored for the config's network."""
    shown = shown_to(config)
    return _OWN_SIDES.get(config.model.stem, _OWN_SIDE) if shown is None else shown.resize
