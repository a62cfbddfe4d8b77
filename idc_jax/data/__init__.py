"""Data: sources that return a `Dataset`, views that augment it, and where it resides."""

from idc_jax.data.augment import (
    StrongOptions,
    WeakOptions,
    feature_views,
    image_views,
    pcl_views,
)
from idc_jax.data.base import Dataset, Skipped
from idc_jax.data.fit import Fit
from idc_jax.data.registry import default_cache_dir, expanded, load
from idc_jax.data.residency import Chunk, Samples, Streamed, chunks, place, slabs
from idc_jax.data.sources import CLASS_LISTS, SOURCES
from idc_jax.data.subset import limit, take
from idc_jax.data.views import View, Views, view_batch

__all__ = [
    "CLASS_LISTS",
    "SOURCES",
    "Chunk",
    "Dataset",
    "Fit",
    "Samples",
    "Skipped",
    "Streamed",
    "StrongOptions",
    "View",
    "Views",
    "WeakOptions",
    "chunks",
    "default_cache_dir",
    "expanded",
    "feature_views",
    "image_views",
    "limit",
    "load",
    "pcl_views",
    "place",
    "slabs",
    "take",
    "view_batch",
]
