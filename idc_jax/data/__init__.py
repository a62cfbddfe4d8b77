"""Data: sources that give a `Dataset`, views that augment it on the device."""

from idc_jax.data.augment import feature_views, image_views
from idc_jax.data.base import Dataset, Skipped
from idc_jax.data.registry import default_cache_dir, load
from idc_jax.data.sources import SOURCES
from idc_jax.data.subset import limit, take
from idc_jax.data.views import View, Views, view_batch

__all__ = [
    "SOURCES",
    "Dataset",
    "Skipped",
    "View",
    "Views",
    "default_cache_dir",
    "feature_views",
    "image_views",
    "limit",
    "load",
    "take",
    "view_batch",
]
