"""Augmentation on the device: jittable, to be vmapped, ``(key, sample) -> network input``."""

from idc_jax.data.augment.features import feature_views
from idc_jax.data.augment.images import image_views, pcl_views
from idc_jax.data.augment.strong import StrongOptions
from idc_jax.data.augment.warped import WarpOptions
from idc_jax.data.augment.weak import WeakOptions

__all__ = [
    "StrongOptions",
    "WarpOptions",
    "WeakOptions",
    "feature_views",
    "image_views",
    "pcl_views",
]
