"""The contract of augmentation: three views of one raw sample."""

from collections.abc import Callable
from typing import NamedTuple

import jax

View = Callable[[jax.Array, jax.Array], jax.Array]
"""``(key, raw sample) -> network input``, for one sample, to be vmapped."""


class Views(NamedTuple):
    """Jittable views of one raw sample (uint8 ``[h, w, c]`` or float32 ``[d]``).

    Attributes:
      weak: the contrastive view of pre-training (crop, flip, colour), float32 in [0, 1].
      strong: RandAugment's listed ops and Cutout.
      val: resize only; the key is ignored.
    """

    weak: View
    strong: View
    val: View


def view_batch(view: View, key: jax.Array, raw: jax.Array) -> jax.Array:
    """Apply ``view`` to ``raw`` ``[b, ...]`` with one key per sample."""
    return jax.vmap(view)(jax.random.split(key, raw.shape[0]), raw)
