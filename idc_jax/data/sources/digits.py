"""The 1,797 handwritten digits that scikit-learn ships: 8x8 pixels, no download."""

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.data.decode import fit_all
from idc_jax.data.sources.base import Request
from idc_jax.data.subset import choose

# scikit-learn counts the inked pixels of 4x4 blocks: 0 to 16.
_DARKEST = 16.0


def load_digits(request: Request) -> Dataset:
    """Read the digits as uint8 ``[1797, 8, 8, 1]``; every one counts as training data."""
    from sklearn.datasets import load_digits as read

    bunch = read()
    kept = choose(request.limit, len(bunch.target), bunch.target)
    images = np.round(bunch.images[kept] * (255.0 / _DARKEST)).astype(np.uint8)[..., None]
    return Dataset(
        name="digits",
        kind="images",
        inputs=fit_all(images, request.image_size),
        labels=bunch.target[kept].astype(np.int32),
        class_names=tuple(str(name) for name in bunch.target_names),
        names=(),
        train=np.ones(len(images), bool),
        skipped=(),
    )
