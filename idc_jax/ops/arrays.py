"""Small array operations that everything else stands on."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.errors import UserError
from idc_jax.ops.shapes import Array, Float, Int, Num

# Of JAX or of NumPy.
ArrayT = TypeVar("ArrayT", bound=Any)
# Row numbers quoted in an error message before it says "and n more".
_ROWS_SHOWN = 10
# Rows that are made float32 at a time.
_BLOCK = 4096
# The largest number of a matrix is between these: sums of squares are neither infinite nor nothing.
LEAST, GREATEST = 1e-15, 1e15


def is_concrete(*arrays: jax.Array | float | None) -> bool:
    """Whether none of ``arrays`` is being traced, so that values may be looked at."""
    return not any(isinstance(a, jax.core.Tracer) for a in arrays)


def known() -> AbstractContextManager[None]:
    """Where what is computed of arrays that are concrete is concrete, too.

    While a program is traced that closes over them, it would be part of the program. Elsewhere it
    is so anyway, and JAX would keep arrays that loops close over.
    """
    # Takes no number from the host, which a transfer guard may forbid.
    if isinstance(jax.lax.iota(jnp.int32, 1), jax.core.Tracer):
        return jax.ensure_compile_time_eval()
    return contextlib.nullcontext()


@jax.jit
def normalize(x: Num[Array, "*n d"], eps: float = 1e-12) -> Float[Array, "*n d"]:
    """Scale each row of ``x`` ``[..., d]`` to unit length: ``x / max(|x|, eps)``, in float32."""
    x = jnp.asarray(x).astype(jnp.float32)
    # The root of a maximum, not the maximum of a root: the gradient at a zero row stays finite.
    return x / jnp.sqrt(jnp.maximum(squared_norms(x)[..., None], eps**2))


def center_and_radius(x: ArrayT) -> tuple[ArrayT, ArrayT]:
    """The mean ``[d]`` of ``x`` ``[n, d]``, and the root mean square distance from it."""
    center = x.mean(axis=0)
    # The squares of large numbers are infinite, those of shares are not.
    farthest = abs(x - center).max()
    shares = (x - center) / (farthest + (farthest == 0))
    return center, farthest * (shares**2).sum(axis=1).mean() ** 0.5


def on_sphere(x: ArrayT, center: ArrayT, radius: ArrayT) -> ArrayT:
    """Put ``x`` ``[n, d]`` on the unit sphere of one dimension more, each point on its own place.

    The inverse of the stereographic projection: what is ``radius`` away from the ``center`` comes
    to lie on the equator, what is nearer below it and what is farther above. So where directions
    alone are compared, how far a sample lies from the mean still counts. JAX and NumPy arrays
    alike.

    Args:
      x: points ``[n, d]``.
      center: of them ``[d]``.
      radius: a usual distance from it; 0 where all points are one.

    Returns:
      ``[n, d + 1]``, rows of unit length.
    """
    space = x.__array_namespace__()
    x = (x - center) / (radius + (radius == 0))
    height = (x**2).sum(axis=1, keepdims=True)
    return space.concat([2 * x, height - 1], axis=1) / (height + 1)


def inner(x: Num[Array, "n d"], y: Num[Array, "m d"]) -> Num[Array, "n m"]:
    """Inner products ``[n, m]`` of rows of ``x`` ``[n, d]`` and ``y`` ``[m, d]`` in full float32.

    The highest precision is asked for by name: accelerators otherwise round the factors to
    bfloat16 or TF32, which reorders close neighbours.
    """
    return jax.lax.dot_general(x, y, (((1,), (1,)), ((), ())), precision=jax.lax.Precision.HIGHEST)


def matmul(x: jax.Array, y: jax.Array) -> jax.Array:
    """``x @ y`` of any shapes that multiply, in full float32 for the reason of :func:`inner`."""
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def squared_norms(x: Num[Array, "*n d"]) -> Num[Array, "*n"]:
    """Squared length ``[n]`` of each row of ``x`` ``[n, d]``."""
    return jnp.sum(jnp.square(x), axis=-1)


def squared_distances(x: Num[Array, "n d"], y: Num[Array, "m d"]) -> Num[Array, "n m"]:
    """Squared Euclidean distances ``[n, m]``, never below zero.

    Computed as ``|x|² + |y|² − 2x·y``, so fit for blocks small enough to hold ``[n, m]``.
    """
    products = inner(x, y)
    return jnp.maximum(squared_norms(x)[:, None] + squared_norms(y)[None] - 2.0 * products, 0.0)


@jax.jit
def within_cluster_squared_distances(
    x: Num[Array, "n d"], centers: Num[Array, "c d"], assignments: Int[Array, "n"]
) -> Num[Array, "n"]:
    """Squared Euclidean distance ``[n]`` of each row of ``x`` to the centre of its own cluster.

    Args:
      x: ``[n, d]``.
      centers: ``[c, d]``.
      assignments: int ``[n]``, the cluster of each row.
    """
    return squared_norms(x - centers[assignments])


@jax.jit
def _finite_rows(x: jax.Array) -> jax.Array:
    return jnp.isfinite(x).all(axis=tuple(range(1, x.ndim)))


@jax.jit
def _largest(x: jax.Array) -> jax.Array:
    # XLA's maximum of many numbers passes over NaN on a CPU.
    x = x.astype(jnp.float32)
    return jnp.where(jnp.isfinite(x).all(), jnp.max(jnp.abs(x)), jnp.nan)


@jax.jit
def _largest_by_blocks(x: jax.Array) -> jax.Array:
    # XLA for CPUs would make all of a narrow array wide, or keep a flag for every number.
    block = min(len(x), _BLOCK)

    def step(i: jax.Array, largest: jax.Array) -> jax.Array:
        start = jnp.minimum(i * block, len(x) - block)
        found = _largest(jax.lax.dynamic_slice_in_dim(x, start, block))
        # NaN stays: the maximum of two may pass over it.
        return jnp.where(jnp.isnan(largest) | (found <= largest), largest, found)

    return jax.lax.fori_loop(0, -(-len(x) // block), step, jnp.float32(0.0))


def largest_of(x: Num[Array, "n ..."]) -> float:
    """The largest absolute value of ``x``, which is concrete; NaN if not all are finite."""
    # A block of rows that are spread over devices would be brought to all of them.
    whole = x.ndim == 0 or len(x.devices()) > 1
    return float((_largest if whole else _largest_by_blocks)(x))


@jax.jit
def _large_rows(x: jax.Array) -> jax.Array:
    return (jnp.abs(x) > GREATEST).any(axis=1)


def check_finite(x: Num[Array, "..."], name: str = "x") -> None:
    """Refuse NaN and infinity in ``x`` ``[n, ...]``, naming the rows.

    Does nothing while tracing (under ``jit``, ``vmap``, ``grad``): values are not known there.

    Args:
      x: array whose rows are checked.
      name: what the message calls it.

    Raises:
      UserError: some row holds a NaN or an infinity.
    """
    if not is_concrete(x) or x.size == 0:
        return
    # What a program that is being traced closes over is known, too.
    with known():
        if np.isfinite(largest_of(jnp.asarray(x))):
            return
        finite = _finite_rows(jnp.asarray(x))
    if not finite.is_fully_addressable:
        if not bool(jax.jit(jnp.all)(finite)):
            raise UserError(f"{name} holds NaN or infinity; remove those rows or embed them again")
        return
    rows = np.flatnonzero(~np.asarray(finite))
    if rows.size == 0:
        return
    raise UserError(
        f"{name} holds NaN or infinity in {_shown(rows)}; remove those rows or embed them again"
    )


def _shown(rows: np.ndarray) -> str:
    shown = ", ".join(map(str, rows[:_ROWS_SHOWN]))
    more = f" and {rows.size - _ROWS_SHOWN} more" if rows.size > _ROWS_SHOWN else ""
    return f"row(s) {shown}{more}"


def check_scale(x: Num[Array, "n d"], name: str = "x", least: float = LEAST) -> None:
    """Refuse numbers so large or so small that their squares say nothing in float32.

    Large ones are often what a file holds where a number is missing. Does nothing while tracing.

    Args:
      x: finite ``[n, d]``.
      name: what the message calls it.
      least: the largest number must be so large, if it is not zero.

    Raises:
      UserError: a number beyond 1e15, naming the rows, or none as large as ``least`` but zeros.
    """
    if not is_concrete(x):
        return
    with known():
        largest = largest_of(x)
    if largest > GREATEST:
        with known():
            rows = _large_rows(x)
        where = f" in {_shown(np.flatnonzero(rows))}" if rows.is_fully_addressable else ""
        raise UserError(
            f"{name} holds {largest:.4g}{where}; the most is {GREATEST:g}: leave out rows where "
            "it stands for a missing number, or scale them all"
        )
    if 0 < largest < least:
        raise UserError(
            f"{name} holds nothing larger than {largest:.4g}; the largest must be at least "
            f"{least:g}: scale all rows alike"
        )


def check_matrix(x: Num[Array, "..."], name: str = "x") -> Num[Array, "n d"]:
    """Return ``x`` as float32 ``[n, d]`` after refusing what nothing can be computed from.

    Raises:
      UserError: ``x`` is not a matrix with at least one row and one column, is not finite, or is
        of a scale as :func:`check_scale` refuses it.
    """
    x = x if isinstance(x, jax.Array) else jnp.asarray(x)
    if x.ndim != 2 or 0 in x.shape:
        raise UserError(f"{name} has shape {x.shape}; it must be [n, d] with n, d >= 1")
    check_finite(x, name)
    check_scale(x, name)
    return x if x.dtype == jnp.float32 else x.astype(jnp.float32)


def check_labels(labels: Int[Array, "..."], num_points: int, num_classes: int) -> Int[Array, "n"]:
    """Return ``labels`` as int32 ``[n]`` after refusing a wrong length or an id out of range.

    Raises:
      UserError: not ``[num_points]``, or an id outside ``-1 .. num_classes − 1``.
    """
    labels = jnp.asarray(labels)
    if labels.shape != (num_points,):
        raise UserError(f"labels have shape {labels.shape}; they must be [{num_points}]")
    if is_concrete(labels):
        with known():
            low, high = int(labels.min()), int(labels.max())
        if low < -1 or high >= num_classes:
            raise UserError(
                f"labels are {low} to {high}; they must be from -1 (unknown) to {num_classes - 1}"
            )
    return labels.astype(jnp.int32)
