"""The data sources, by name."""

from idc_jax.data.sources.base import USUAL_SPLITS, Request, Source
from idc_jax.data.sources.digits import load_digits
from idc_jax.data.sources.features import load_features
from idc_jax.data.sources.folder import load_folder
from idc_jax.data.sources.idx import load_idx
from idc_jax.data.sources.tfds import load_tfds
from idc_jax.data.sources.wnids import CLASS_LISTS

SOURCES: dict[str, Source] = {
    "digits": load_digits,
    "tfds": load_tfds,
    "idx": load_idx,
    "folder": load_folder,
    "features": load_features,
}
"""The data sources by their names in ``config.data.source``; more may be added."""

__all__ = ["CLASS_LISTS", "SOURCES", "USUAL_SPLITS", "Request", "Source"]
