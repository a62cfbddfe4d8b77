"""Selectors that cover all samples well: facility location, MaxHerding, UHerding, ProbCover."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError, check_above
from idc_jax.ops import arrays
from idc_jax.ops.inputs import count, flags, floats, ints, takes
from idc_jax.ops.shapes import Array, Bool, Float, Int, Num
from idc_jax.selectors import coverage, kernels, masks
from idc_jax.selectors.base import Selection
from idc_jax.selectors.uncertainty import margin_values

# Beyond this many samples, coverage is measured on as many of them, evenly spaced.
TARGETS = 8192
# Cluster ids are not bounded here.
_ANY_ID = 2**31 - 1


@takes(
    embeddings=floats("n d"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    num_targets=count(1),
)
def facility_location(
    embeddings: Num[Array, "n d"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    num_targets: int | None = TARGETS,
) -> Selection:
    """Pick greedily for ``Σⱼ max_{s ∈ S} (1 + cos(xⱼ, s)) / 2`` (Nemhauser, Wolsey and Fisher, "An
    analysis of approximations for maximizing submodular set functions"; as a data selector, Wei,
    Iyer and Bilmes, "Submodularity in data subset selection and active learning").

    Args:
      embeddings: ``[n, d]``; only their directions count.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, covering already, never picked.
      allowed: bool ``[n]``, the samples that may be picked.
      num_targets: samples on which coverage is measured; None for all, which makes each pick
        exact at a cost that grows as ``n²``.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value is the gain of the pick.

    Raises:
      UserError: embeddings that are not finite, masks of another length.
    """
    z = arrays.normalize(arrays.check_matrix(embeddings, "embeddings"))
    ones = jnp.ones((z.shape[0],), jnp.float32)
    return _cover("cosine", z, ones, 1.0, budget, labelled, allowed, num_targets)


@takes(
    embeddings=floats("n d"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    num_targets=count(1),
)
def max_herding(
    embeddings: Num[Array, "n d"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    bandwidth: float = 1.0,
    num_targets: int | None = TARGETS,
) -> Selection:
    """Pick greedily for the generalised coverage ``Σⱼ max_{s ∈ S} exp(−|xⱼ − s|² / σ²)`` of
    unit-length rows (Bae, Noh and Sutherland, "Generalized coverage for more robust low-budget
    active learning").

    Args:
      embeddings: ``[n, d]``; only their directions count.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, covering already, never picked.
      allowed: bool ``[n]``, the samples that may be picked.
      bandwidth: σ, positive.
      num_targets: see :func:`facility_location`.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value is the gain of the pick.

    Raises:
      UserError: a bandwidth not above 0, embeddings not finite, masks of another length.
    """
    _check_positive("bandwidth", bandwidth)
    z = arrays.normalize(arrays.check_matrix(embeddings, "embeddings"))
    ones = jnp.ones((z.shape[0],), jnp.float32)
    return _cover("gaussian", z, ones, bandwidth, budget, labelled, allowed, num_targets)


@takes(
    embeddings=floats("n d"),
    probabilities=floats("n c"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
    num_targets=count(1),
)
def u_herding(
    embeddings: Num[Array, "n d"],
    probabilities: Num[Array, "n c"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    bandwidth: float = 1.0,
    adaptive: bool = True,
    num_targets: int | None = TARGETS,
) -> Selection:
    """MaxHerding with each sample weighted by the uncertainty of its prediction, 1 − margin (Bae,
    Noh and Sutherland, "Uncertainty herding: one active learning method for all label budgets").

    Args:
      embeddings: ``[n, d]``; only their directions count.
      probabilities: ``[n, c]``, rows summing to one; the paper calibrates them first.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, covering already, never picked.
      allowed: bool ``[n]``, the samples that may be picked.
      bandwidth: σ, positive; an upper limit where ``adaptive``.
      adaptive: shrink σ to the least distance between two labelled samples, as the paper does.
      num_targets: see :func:`facility_location`.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value is the gain of the pick.

    Raises:
      UserError: a bandwidth not above 0, arrays not finite or of different lengths.
    """
    _check_positive("bandwidth", bandwidth)
    z = arrays.normalize(arrays.check_matrix(embeddings, "embeddings"))
    probabilities = arrays.check_matrix(probabilities, "probabilities")
    if probabilities.shape[0] != z.shape[0]:
        raise UserError(f"{probabilities.shape[0]} probabilities for {z.shape[0]} embeddings")
    weights = 1.0 + margin_values(probabilities)
    sigma = jnp.float32(bandwidth)
    if adaptive and labelled is not None:
        labelled, _ = masks.masks(z.shape[0], labelled, None)
        sigma = jnp.minimum(sigma, least_distance(z, labelled))
    return _cover("gaussian", z, weights, sigma, budget, labelled, allowed, num_targets)


@takes(
    embeddings=floats("n d"),
    budget=count(0),
    assignments=ints("n"),
    labelled=flags("n"),
    allowed=flags("n"),
    num_targets=count(1),
)
def probcover(
    embeddings: Num[Array, "n d"],
    budget: int,
    *,
    radius: jax.Array | float | None = None,
    assignments: Int[Array, "n"] | None = None,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
    purity: float = 0.95,
    num_targets: int | None = None,
) -> Selection:
    """Pick greedily the sample whose ball of radius δ holds most uncovered samples (Yehuda,
    Dekel, Hacohen and Weinshall, "Active learning through a covering lens").

    Args:
      embeddings: ``[n, d]``; only their directions count.
      budget: picks wanted; capped at ``n``.
      radius: δ; by default, :func:`pure_radius` of the ``assignments``.
      assignments: int ``[n]``, clusters (of k-means, in the paper) that say which δ is pure.
      labelled: bool ``[n]``, covering already, never picked.
      allowed: bool ``[n]``, the samples that may be picked.
      purity: share of balls that must hold a single cluster.
      num_targets: see :func:`facility_location`; all by default, since balls overlap little.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value counts what the pick newly covers.

    Raises:
      UserError: neither radius nor assignments, embeddings not finite, masks of another length.
    """
    z = arrays.normalize(arrays.check_matrix(embeddings, "embeddings"))
    if radius is None:
        if assignments is None:
            raise UserError("probcover has neither a radius nor assignments; give one of them")
        assignments = arrays.check_labels(assignments, z.shape[0], _ANY_ID)
        radius = pure_radius(z, assignments, purity)
    ones = jnp.ones((z.shape[0],), jnp.float32)
    return _cover("ball", z, ones, radius, budget, labelled, allowed, num_targets)


@functools.partial(jax.jit, static_argnames=("num_queries",))
def pure_radius(
    z: Float[Array, "n d"],
    assignments: Int[Array, "n"],
    purity: float = 0.95,
    num_queries: int = 1024,
) -> Float[Array, ""]:
    """The largest radius at which a share ``purity`` of balls holds one cluster only.

    Measured on up to ``num_queries`` evenly spaced samples of ``z`` ``[n, d]``.
    """
    n = z.shape[0]
    rows = jnp.asarray([i * n // min(n, num_queries) for i in range(min(n, num_queries))])
    distances2 = arrays.squared_distances(z[rows], z)
    foreign = assignments[rows][:, None] != assignments[None]
    limits = jnp.min(jnp.where(foreign, distances2, jnp.inf), axis=1)
    # A single cluster: every ball is pure, and the longest distance there is covers all.
    limits = jnp.where(jnp.isfinite(limits), limits, 4.0)
    return jnp.sqrt(jnp.quantile(limits, 1.0 - purity, method="lower")) * (1.0 - 1e-6)


@jax.jit
def least_distance(z: Float[Array, "n d"], members: Bool[Array, "n"]) -> Float[Array, ""]:
    """Least distance between two ``members`` of ``z`` ``[n, d]``; infinite for fewer than two.

    Duplicates are passed over: a bandwidth of zero would make every kernel vanish.
    """
    n = z.shape[0]
    order = jnp.argsort(~members, stable=True)

    def step(i: jax.Array, least: jax.Array) -> jax.Array:
        distances2 = jnp.sum(jnp.square(z - z[order[i]]), axis=1)
        others = members & (distances2 > 1e-6)
        return jnp.minimum(least, jnp.min(jnp.where(others, distances2, jnp.inf)))

    start = jnp.float32(jnp.inf)
    total = jnp.minimum(jnp.sum(members), n)
    return jnp.sqrt(jax.lax.fori_loop(0, total, step, start))


def _check_positive(name: str, value: float) -> None:
    if arrays.is_concrete(value):
        with arrays.known():
            check_above(name, value, 0)


def _cover(
    kind: str,
    z: jax.Array,
    weights: jax.Array,
    scale: jax.Array | float,
    budget: int,
    labelled: jax.Array | None,
    allowed: jax.Array | None,
    num_targets: int | None,
) -> Selection:
    budget = masks.check_budget(budget, z.shape[0])
    labelled, candidates = masks.masks(z.shape[0], labelled, allowed)
    return _greedy(z, weights, labelled, candidates, scale, kind, budget, num_targets)


@functools.partial(jax.jit, static_argnames=("kind", "budget", "num_targets"))
def _greedy(
    z: jax.Array,
    weights: jax.Array,
    labelled: jax.Array,
    candidates: jax.Array,
    scale: jax.Array,
    kind: str,
    budget: int,
    num_targets: int | None,
) -> Selection:
    named: dict[str, coverage.Kernel] = {
        "cosine": kernels.cosine,
        "gaussian": functools.partial(kernels.gaussian, bandwidth=scale),
        "ball": functools.partial(kernels.ball, radius=scale),
    }
    targets = coverage.targets_of(z, weights, num_targets)
    return coverage.greedy(z, targets, budget, labelled, candidates, named[kind])
