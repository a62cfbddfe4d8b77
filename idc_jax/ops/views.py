"""How a search looks at rows: less their mean, and along the few directions in which they differ.

Embeddings of a network lie near a subspace. Inner products within it take a fraction of the work,
and order the points as well, if what is left out is small beside the distances of neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.ops import arrays

# The number of directions is a multiple of this; of more than this share of all, all are kept.
_STEP, _MOST = 16, 0.75
# Rows from which the mean and the directions are taken.
SAMPLE = 16384
# What is left out of a squared distance, on average, as a share of that to the k-th neighbour:
# what to try, one after the other.
_LEFT = (0.08, 0.02)


class View(NamedTuple):
    """What is taken off each row, and the directions along which it is looked at.

    Attributes:
      mean: ``[d]``.
      axes: ``[d, m]``, orthonormal columns; None for the row itself.
    """

    mean: jax.Array
    axes: jax.Array | None = None

    def of(self, rows: jax.Array) -> jax.Array:
        """``rows`` ``[..., d]`` of any precision as float32 ``[..., m]``."""
        # Distances do not change when the mean is taken off, and rounding errors shrink with it.
        centred = rows.astype(jnp.float32) - self.mean
        return centred if self.axes is None else arrays.matmul(centred, self.axes)


def principal(view: View, sample: jax.Array, near2: float) -> Iterator[View]:
    """The view along the first principal axes: of few, and of more, as far as they are few.

    Args:
      view: without axes.
      sample: rows ``[m, d]``.
      near2: usual squared distance of a neighbour.
    """
    variances, axes = _spectrum(view, sample)
    return along_few(view, variances, axes, near2)


def along_few(view: View, variances: jax.Array, axes: jax.Array, near2: float) -> Iterator[View]:
    """:func:`principal` by the ``variances`` ``[d]``, ascending, along the ``axes`` ``[d, d]``."""
    # Of a difference of two rows, on average.
    left = 2.0 * np.cumsum(np.maximum(np.asarray(variances, np.float64), 0.0))
    d = len(left)
    needed = d - np.searchsorted(left, np.multiply(_LEFT, near2), side="right")
    for kept in sorted({-(-max(int(axis), 1) // _STEP) * _STEP for axis in needed}):
        if kept <= _MOST * d:
            yield view._replace(axes=axes[:, d - kept :])


@jax.jit
def _spectrum(view: View, sample: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Variances ``[d]``, ascending, and the axes ``[d, d]``."""
    return spectrum(scatter(view, sample) / len(sample))


def scatter(view: View, sample: jax.Array) -> jax.Array:
    """The products ``[d, d]`` of the columns of the rows ``sample`` ``[m, d]`` as they are seen."""
    centred = view.of(sample)
    return arrays.matmul(centred.T, centred)


def spectrum(covariance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The variances ``[d]``, ascending, and the axes ``[d, d]`` of a ``covariance`` ``[d, d]``."""
    variances, axes = jnp.linalg.eigh(covariance)
    return variances, axes
