"""BADGE: diverse samples of large gradient."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from idc_jax.errors import UserError
from idc_jax.ops import arrays
from idc_jax.ops.inputs import count, flags, floats, key, takes
from idc_jax.ops.shapes import Array, Bool, Num, PRNGKeyArray
from idc_jax.selectors import greedy, masks
from idc_jax.selectors.base import Selection


@takes(
    key=key,
    embeddings=floats("n d"),
    probabilities=floats("n c"),
    budget=count(0),
    labelled=flags("n"),
    allowed=flags("n"),
)
def badge(
    key: PRNGKeyArray,
    embeddings: Num[Array, "n d"],
    probabilities: Num[Array, "n c"],
    budget: int,
    *,
    labelled: Bool[Array, "n"] | None = None,
    allowed: Bool[Array, "n"] | None = None,
) -> Selection:
    """k-means++ seeding on gradient embeddings ``g = (p − e_ŷ) ⊗ x`` (Ash, Zhang, Krishnamurthy,
    Langford and Agarwal, "Deep batch active learning by diverse, uncertain gradient lower
    bounds").

    The first pick has the largest gradient; each later one is drawn with probability
    proportional to the squared distance to the nearest pick. The ``c·d`` gradient is never formed:
    an inner product of two is the product of those of their factors.

    Args:
      key: PRNG key.
      embeddings: ``[n, d]``, inputs of the last layer.
      probabilities: ``[n, c]``, rows summing to one.
      budget: picks wanted; capped at ``n``.
      labelled: bool ``[n]``, keeps later picks away, never picked.
      allowed: bool ``[n]``, the samples that may be picked.

    Returns:
      :class:`~idc_jax.selectors.Selection`; each value is the squared distance of the pick to the
      nearest earlier one, and for a first pick its squared length.

    Raises:
      UserError: arrays not finite or of different lengths, masks of another length.
    """
    x = arrays.check_matrix(embeddings, "embeddings")
    probabilities = arrays.check_matrix(probabilities, "probabilities")
    if probabilities.shape[0] != x.shape[0]:
        raise UserError(f"{probabilities.shape[0]} probabilities for {x.shape[0]} embeddings")
    budget = masks.check_budget(budget, x.shape[0])
    labelled, candidates = masks.masks(x.shape[0], labelled, allowed)
    return _badge(key, x, probabilities, labelled, candidates, budget)


@functools.partial(jax.jit, static_argnames=("budget",))
def _badge(
    key: jax.Array,
    x: jax.Array,
    probabilities: jax.Array,
    labelled: jax.Array,
    candidates: jax.Array,
    budget: int,
) -> Selection:
    likeliest = jax.nn.one_hot(jnp.argmax(probabilities, axis=1), probabilities.shape[1])
    # One matrix of both factors, so that a sample is one row.
    num_classes = probabilities.shape[1]
    rows = jnp.concatenate([probabilities - likeliest, x], axis=1)
    distance = functools.partial(_gradient_distances2, num_classes=num_classes)
    length2 = arrays.squared_norms(rows[:, :num_classes]) * arrays.squared_norms(x)

    def pick(
        i: jax.Array, state: tuple[jax.Array, jax.Array, Selection]
    ) -> tuple[jax.Array, jax.Array, Selection]:
        nearest2, free, selection = state
        empty = jnp.isinf(nearest2[0])
        value = jnp.where(empty, length2, nearest2)
        drawn = _draw(jax.random.fold_in(key, i), value, free)
        chosen = jnp.where(empty, jnp.argmax(jnp.where(free, value, -1.0)), drawn)
        selection = masks.record(selection, i, chosen, value[chosen], free[chosen])
        nearest2 = jnp.minimum(nearest2, distance(rows, rows[chosen][None])[:, 0])
        return nearest2, free.at[chosen].set(False), selection

    nearest2 = greedy.to_labelled(rows, labelled, distance)
    state = (nearest2, candidates, masks.nothing(budget))
    return jax.lax.fori_loop(0, budget, pick, state)[2]


def _draw(key: jax.Array, weights: jax.Array, free: jax.Array) -> jax.Array:
    """One free index, with probability proportional to its weight; uniform if all weigh zero."""
    weights = jnp.where(free, weights, 0.0)
    weights = jnp.where(jnp.max(weights) > 0, weights, free.astype(jnp.float32))
    # With nothing free, any index will do: its mask says that it was not found.
    return jax.random.categorical(key, jnp.log(weights))


def _gradient_distances2(a: jax.Array, b: jax.Array, num_classes: int) -> jax.Array:
    """Squared distances ``[m, k]`` of gradients given by their factors side by side."""
    (a_p, a_x), (b_p, b_x) = ((m[:, :num_classes], m[:, num_classes:]) for m in (a, b))
    a2 = arrays.squared_norms(a_p) * arrays.squared_norms(a_x)
    b2 = arrays.squared_norms(b_p) * arrays.squared_norms(b_x)
    products = arrays.inner(a_p, b_p) * arrays.inner(a_x, b_x)
    return jnp.maximum(a2[:, None] + b2[None] - 2.0 * products, 0.0)
