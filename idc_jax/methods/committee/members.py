"""Learning a few answers on fixed features: a committee of label spreading and regression.

The members err differently: spreading follows the neighbour graph and knows nothing of
directions, regression draws planes and knows nothing of gaps. Their mean beats either, once there
are answers enough to draw planes by.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax import ops
from idc_jax.methods.common.spread import seed
from idc_jax.ops.graph import edge_weights, propagate

# Answered samples are padded to a multiple of so many, so that rounds share programs.
_ROWS = 128
_TINY = 1e-12


class CommitteeOptions(NamedTuple):
    """How answers are learned.

    Attributes:
      reaches: pairs (neighbours k, α) of the graphs along which answers spread; () for none.
      iterations: steps of each spreading.
      regression: inverse strength C of the regression's penalty ``|W|² / 2C`` beside the sum of
        the answers' losses; 0 leaves the regression out.
      steps: gradient steps of the regression.
      regression_from: answers per class named from which the regression counts as much as the
        spreading; with fewer it counts in proportion, since planes need more answers.
      trust: the share of answers that are taken to be right.
    """

    reaches: tuple[tuple[int, float], ...] = ((5, 0.99), (15, 0.95))
    iterations: int = 30
    regression: float = 10.0
    steps: int = 400
    regression_from: float = 10.0
    trust: float = 0.9


def decide(
    features: jax.Array,
    neighbors: ops.Neighbors,
    probabilities: jax.Array,
    choice: jax.Array | np.ndarray,
    rejected: jax.Array | np.ndarray,
    options: CommitteeOptions,
    *,
    belief: jax.Array | np.ndarray | None = None,
    capacity: int = 0,
) -> jax.Array:
    """What every sample is, given the answers.

    An answer is evidence, not law: the committee's opinion ``p`` of an answered sample is
    weighed against the chance that somebody errs, ``p · trust`` for what was said and
    ``p · (1 − trust) / (c − 1)`` for each other class.

    Args:
      features: ``[n, d]``, rows of unit length.
      neighbors: the graph, ``[n, k]`` each, with the largest k of ``options.reaches``.
      probabilities: ``[n, c]``, the present prediction.
      choice: int ``[n]``: a class, ``NONE_OF_THESE``, or less where nothing was said. At least
        one sample has a class.
      rejected: bool ``[n, c]``, classes that a sample is known not to be of.
      options: how.
      belief: ``[n]``, how far each answer is believed; None for in full. It scales the trust.
      capacity: as many answered samples as there may ever be: as long as there are no more, no
        number of them compiles anything anew.

    Returns:
      ``[n, c]``, rows summing to one. Classes that nobody has named get next
      to nothing.
    """
    rows, weights = _answered(choice, capacity)
    belief = np.ones(len(choice), np.float32) if belief is None else belief
    return _decide(
        features, neighbors, probabilities, choice, rejected, belief, rows, weights, options
    )


@partial(jax.jit, static_argnames=("options",))
def _decide(
    features: jax.Array,
    neighbors: ops.Neighbors,
    probabilities: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    belief: jax.Array,
    rows: jax.Array,
    weights: jax.Array,
    options: CommitteeOptions,
) -> jax.Array:
    """:func:`decide`, with the answered ``rows`` ``[m]`` and their ``weights``."""
    named = jnp.zeros(probabilities.shape[1], bool).at[jnp.maximum(choice, 0)].max(choice >= 0)
    total, heard = jnp.zeros_like(probabilities), jnp.zeros(())
    if options.reaches:
        total += _spread(
            neighbors,
            probabilities,
            choice,
            rejected,
            named,
            options.reaches,
            options.iterations,
        )
        heard += 1.0
    if options.regression:
        plane = regression(
            features,
            features[rows],
            choice[rows],
            weights,
            named,
            options.regression,
            options.steps,
        )
        weight = jnp.minimum(weights.sum() / named.sum() / options.regression_from, 1.0)
        total += weight * plane
        heard += weight
    return _weigh(total / heard, choice, rejected, options.trust * belief)


@partial(jax.jit, static_argnames=("reaches", "iterations"))
def _spread(
    neighbors: ops.Neighbors,
    probabilities: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    named: jax.Array,
    reaches: tuple[tuple[int, float], ...],
    iterations: int,
) -> jax.Array:
    """The mean of label spreading along several graphs, ``[n, c]``."""
    seeds = jnp.where(named, seed(probabilities, choice, rejected), 0.0)
    even = named / jnp.sum(named)
    total = jnp.zeros_like(probabilities)
    for k, alpha in reaches:
        near = ops.nearest(neighbors, k)
        heard = propagate(seeds, near, edge_weights(near), alpha=alpha, iterations=iterations)
        reached = heard.sum(1, keepdims=True)
        total += jnp.where(reached > _TINY, heard / jnp.maximum(reached, _TINY), even)
    return total / len(reaches)


def _answered(choice: jax.Array | np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the samples with a class, padded, and their weights: 1, or 0 for padding."""
    rows = np.flatnonzero(np.asarray(choice) >= 0)
    size = -(-max(len(rows), capacity) // _ROWS) * _ROWS
    padded = np.zeros(size, np.int32)
    padded[: len(rows)] = rows
    return padded, (np.arange(size) < len(rows)).astype(np.float32)


@partial(jax.jit, static_argnames=("steps",))
def regression(
    features: jax.Array,
    rows: jax.Array,
    classes: jax.Array,
    weights: jax.Array,
    named: jax.Array,
    inverse_penalty: float,
    steps: int,
) -> jax.Array:
    """Multinomial logistic regression by Nesterov's accelerated gradient.

    Args:
      features: ``[n, d]``, of unit length, to predict for.
      rows: ``[m, d]``, of unit length, to fit on.
      classes: int ``[m]``.
      weights: ``[m]``, of the rows.
      named: bool ``[c]``, the classes that there are.
      inverse_penalty: C.
      steps: of the gradient.

    Returns:
      ``[n, c]``, rows summing to one.
    """
    total = jnp.maximum(weights.sum(), 1.0)
    decay = 1.0 / (inverse_penalty * total)
    # Rows (x, 1) have a squared length of 2, so the loss bends by 1 at most, and the planes'
    # penalty by its decay: under a strong one they want short steps.
    rates = (1.0 / (1.0 + decay), 1.0)
    targets = jax.nn.one_hot(classes, named.shape[0])

    def logits(x: jax.Array, plane: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.where(named, ops.matmul(x, plane[0]) + plane[1], -jnp.inf)

    def descend(step: jax.Array, state: tuple) -> tuple:
        plane, before = state
        ahead = jax.tree.map(lambda a, b: a + step / (step + 3.0) * (a - b), plane, before)
        error = (jax.nn.softmax(logits(rows, ahead)) - targets) * (weights / total)[:, None]
        slope = (ops.matmul(rows.T, error) + decay * ahead[0], error.sum(0))
        moved = jax.tree.map(lambda a, down, rate: a - rate * down, ahead, slope, rates)
        return moved, plane

    start = (jnp.zeros((rows.shape[1], named.shape[0])), jnp.zeros(named.shape[0]))
    plane, _ = jax.lax.fori_loop(0, steps, descend, (start, start))
    return jax.nn.softmax(logits(features, plane))


@jax.jit
def _weigh(
    opinion: jax.Array, choice: jax.Array, rejected: jax.Array, trust: jax.Array
) -> jax.Array:
    """The opinion once each answered sample has heard its own answer."""
    others = jnp.maximum(opinion.shape[1] - 1, 1)
    said = jax.nn.one_hot(choice, opinion.shape[1], dtype=bool)
    trust = trust[:, None]
    doubt = (1 - trust) / others
    likelihood = jnp.where((choice >= 0)[:, None], jnp.where(said, trust, doubt), 1.0)
    likelihood = jnp.where(rejected, jnp.minimum(likelihood, doubt), likelihood)
    # Nobody is ruled out for good: the opinion may have been certain, and wrong.
    posterior = (opinion + 1e-6) * likelihood
    return posterior / posterior.sum(1, keepdims=True)
