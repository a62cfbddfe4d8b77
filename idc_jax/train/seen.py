"""The views of a network that somebody else trained: what its authors showed it."""

from __future__ import annotations

from typing import Any

from idc_jax.data import Fit, image_views
from idc_jax.data.views import Views
from idc_jax.models.importing import Shown


def views_for(shape: tuple[int, ...], shown: Shown, **options: Any) -> Views:
    """The views of images of ``shape``, without the normalisation, which is the network's.

    Args:
      shape: (h, w, c) of a raw image.
      shown: what the network is shown.
      options: of :func:`idc_jax.data.image_views`, for the views that are augmented.
    """
    fit = Fit(shown.size, shown.resize, shown.rule, shown.kernel)
    return image_views(shape, shown.size, val=fit, **options)
