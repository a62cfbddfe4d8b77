"""Learning a few answers on fixed features: a committee of learners that err differently.

Label spreading follows the neighbour graph and knows nothing of directions, Poisson learning
carries further along the same graph, regression draws planes and knows nothing of gaps, and a
student on features that were not averaged learns from the others' opinions of many samples. Their
mean beats each of them, once there are answers enough to draw planes by.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from idc_jax.annotate.questions import SKIP
from idc_jax.methods.committee.options import CommitteeOptions
from idc_jax.methods.committee.poisson import poisson
from idc_jax.methods.committee.prior import class_prior, share_factors, with_factors
from idc_jax.methods.committee.regression import Planes, fit_planes, opinions
from idc_jax.methods.committee.space import CommitteeSpace, View
from idc_jax.methods.committee.spreading import spreading
from idc_jax.methods.committee.stacking import folds, sharpened, stack
from idc_jax.methods.common.choosing import again
from idc_jax.ops import blocks, sharded

# Answered samples are padded to a multiple of so many, so that rounds share programs.
_ROWS = 128
# The usual weights of the further views' regressions, where the others' are 1 together.
_FURTHER = (0.25, 0.2, 0.1)
# Opinions ``[n, c]``, and ``[m, c]`` of answered samples without the own answers.
Flows = tuple[list[jax.Array], list[jax.Array]]
# Samples up to which all is one program.
_AT_ONCE = 200_000
# Rows of which all members are heard at a time.
_BLOCK = 16_384
# Of the answered samples, for the tests of what members know without an answer.
_FOLDS = 5


def decide(
    space: CommitteeSpace,
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
      space: where samples are compared, with the largest k of ``options.reaches``.
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
    # One program is compiled soonest; of many samples, parts of it hold less.
    whole = _decide_at_once if len(space.features) <= _AT_ONCE else _decide
    return whole(space, (probabilities, choice, rejected, rows, weights), belief, options)


def _decide(
    space: CommitteeSpace,
    given: tuple[Any, ...],
    belief: jax.Array | np.ndarray,
    options: CommitteeOptions,
) -> jax.Array:
    lesson = _lesson(*given, num_rows=len(space.features))
    tests = options.stacking and sum(map(len, _kinds(space, options))) > 1
    flows = _flows(space, lesson, options, tests)
    return _weighed(space, lesson, flows, belief, options, len(belief), tests)


_decide_at_once = jax.jit(_decide, static_argnames="options")


def _lesson(
    probabilities: jax.Array,
    choice: jax.Array,
    rejected: jax.Array,
    rows: jax.Array,
    weights: jax.Array,
    *,
    num_rows: int,
) -> Lesson:
    """What there is to learn of ``num_rows`` rows, the last of which may be repeats."""
    more = num_rows - len(probabilities)
    said, named = _said(choice, rows, weights, probabilities.shape[1])
    if more:
        probabilities, choice, rejected = _repeated(probabilities, choice, rejected, more)
    # As they came: a compiled function would give back copies.
    return Lesson(probabilities, choice, rejected, rows, said, weights, named)


@partial(jax.jit, static_argnames="more")
def _repeated(
    probabilities: jax.Array, choice: jax.Array, rejected: jax.Array, more: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The same with the first ``more`` samples again, of which nothing more was said."""
    choice = jnp.pad(choice, (0, more), constant_values=SKIP)
    return again(probabilities, more), choice, jnp.pad(rejected, ((0, more), (0, 0)))


@partial(jax.jit, static_argnames="classes")
def _said(
    choice: jax.Array, rows: jax.Array, weights: jax.Array, classes: int
) -> tuple[jax.Array, jax.Array]:
    """What was said of the ``rows`` ``[m, c]``, and which classes were named ``[c]``."""
    named = jnp.zeros(classes, bool).at[jnp.maximum(choice, 0)].max(choice >= 0)
    return weights[:, None] * jax.nn.one_hot(choice[rows], classes), named


@partial(jax.jit, static_argnames=("options", "size", "tests"))
def _weighed(
    space: CommitteeSpace,
    lesson: Lesson,
    flows: Flows,
    belief: jax.Array | np.ndarray,
    options: CommitteeOptions,
    size: int,
    tests: bool,
) -> jax.Array:
    """:func:`decide`, once what flows along the graph has come to rest."""
    belief = jnp.pad(belief, (0, len(lesson.choice) - size), constant_values=1.0)
    trust = options.trust * belief
    opinion, settled = _joined(space, lesson, flows, options, tests)

    def weigh(opinion: jax.Array, *said: jax.Array) -> jax.Array:
        return _weigh(settled(opinion), *said)

    found = _by_rows(weigh, (opinion, lesson.choice, lesson.rejected, trust))
    return sharded.whole(found)[:size]


class Lesson(NamedTuple):
    """What there is to learn from.

    Attributes:
      probabilities: ``[n, c]``, the present prediction.
      choice: int ``[n]``.
      rejected: bool ``[n, c]``.
      rows: int ``[m]``, the answered samples, padded.
      said: ``[m, c]``, their classes one-hot; rows of zeros are padding.
      weights: ``[m]``, 0 for padding.
      named: bool ``[c]``, the classes that there are.
    """

    probabilities: jax.Array
    choice: jax.Array
    rejected: jax.Array
    rows: jax.Array
    said: jax.Array
    weights: jax.Array
    named: jax.Array


def _joined(
    space: CommitteeSpace, lesson: Lesson, heard: Flows, options: CommitteeOptions, tests: bool
) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
    """The members' opinion ``[n, c]``, the regressions counting by how many answers there are.

    With it comes what brings rows of it to the classes' shares: of all rows, that would be a copy.
    """
    prior = None
    if options.prior:
        prior = class_prior(space.features, lesson.rows, lesson.said, lesson.named)

    def settle(opinion: jax.Array) -> Callable[[jax.Array], jax.Array]:
        if prior is None:
            return lambda rows: rows
        return partial(with_factors, factors=share_factors(opinion, prior))

    shares, draws_planes = _usual(space, lesson, options)
    flows, flows_held_out = heard
    planes, planes_held_out = _planes(space, lesson, options, tests)
    powers = None
    if tests:
        held_out = jnp.stack([*flows_held_out, *planes_held_out])
        powers, shares = stack(held_out, lesson.said, lesson.named, shares)
        powers = powers[:, None, None]
    pooled = _pooled(space, lesson.named, flows, planes, powers, shares)
    settled = settle(pooled)
    if not options.regression or not options.student or not space.plain.shape[1]:
        return pooled, settled
    # It is of the regressions' kind.
    weight = shares @ draws_planes
    student = _student(space, lesson, settled(sharded.take(pooled, space.students)), options)
    view = View(space.plain, space.look)

    def both(pooled: jax.Array, rows: jax.Array) -> jax.Array:
        own = opinions(view.of(rows), student, lesson.named)
        return (pooled + weight * own) / (1.0 + weight)

    joined = _by_rows(both, (pooled, view.rows))
    return joined, settle(joined)


def _pooled(
    space: CommitteeSpace,
    named: jax.Array,
    flows: list[jax.Array],
    planes: list[Planes],
    powers: jax.Array | None,
    shares: jax.Array,
) -> jax.Array:
    """The members' opinions ``[n, c]``, each to its power ``[j, 1, 1]``, added up by their shares.

    By blocks of rows: the members' opinions of all rows would be the most that there is.
    """
    views = _views(space)[: len(planes)]

    def pool(*parts: jax.Array) -> jax.Array:
        looked = [view.of(rows) for view, rows in zip(views, parts[len(flows) :], strict=True)]
        drawn = [opinions(x, own, named) for x, own in zip(looked, planes, strict=True)]
        heard = jnp.stack([*parts[: len(flows)], *drawn])
        heard = heard if powers is None else sharpened(heard, named, powers)
        return jnp.tensordot(shares, heard, 1)

    return _by_rows(pool, (*flows, *(view.rows for view in views)))


def _by_rows(function: Callable[..., jax.Array], arrays: tuple[jax.Array, ...]) -> jax.Array:
    return blocks.map_rows(function, arrays, _BLOCK)


def _usual(
    space: CommitteeSpace, lesson: Lesson, options: CommitteeOptions
) -> tuple[jax.Array, jax.Array]:
    """The members' weights before any is tested ``[j]``, and which of them draw planes ``[j]``."""
    flows, planes = _kinds(space, options)
    weight = jnp.minimum(lesson.weights.sum() / lesson.named.sum() / options.regression_from, 1.0)
    drawn = weight * jnp.asarray(planes) / max(sum(planes), 1e-9)
    usual = jnp.concatenate([jnp.asarray(flows), drawn])
    return usual / usual.sum(), jnp.arange(len(usual)) >= len(flows)


def _kinds(space: CommitteeSpace, options: CommitteeOptions) -> tuple[list[float], list[float]]:
    """The usual weights of what flows, one in all, and those of what draws planes."""
    flowing = bool(options.reaches) + bool(options.poisson and space.widest is not None)
    flows = [1.0 / max(flowing, 1)] * flowing
    if not options.regression:
        return flows, []
    known, further = len(space.known_views()), len(space.further_views())
    return flows, [1.0 / known] * known + [*_FURTHER[:further]]


def _flows(
    space: CommitteeSpace, lesson: Lesson, options: CommitteeOptions, held_out: bool
) -> Flows:
    """What flows along the graph: opinions ``[n, c]``, and ``[m, c]`` without the own answers."""
    found = []
    if options.reaches:
        told = (lesson.probabilities, lesson.choice, lesson.rejected)
        given = (lesson.rows, lesson.said, lesson.named)
        how = (tuple(alpha for _, alpha in options.reaches), options.iterations)
        found.append(spreading(space.graphs, told, *given, *how, held_out=held_out))
    if options.poisson and space.widest is not None:
        given = (lesson.rows, lesson.said, lesson.named)
        found.append(poisson(space.widest, *given, options.poisson, held_out=held_out))
    return [all_ for all_, _ in found], [own for _, own in found if own is not None]


def _planes(
    space: CommitteeSpace, lesson: Lesson, options: CommitteeOptions, held_out: bool
) -> tuple[list[Planes], list[jax.Array]]:
    """Regressions on all views, and what they say ``[m, c]`` without the own answers."""
    if not options.regression:
        return [], []
    views = _views(space)
    width = max(view.rows.shape[1] for view in views)
    # Columns of zeros change no plane, and all views and folds are fitted as one.
    rows = jnp.stack([_padded(view.at(lesson.rows), width) for view in views])
    fold = folds(lesson.said, _FOLDS)
    others = (fold != jnp.arange(_FOLDS)[:, None]) * lesson.weights
    weights = jnp.concatenate([lesson.weights[None], others[: _FOLDS * held_out]])

    def fit(rows: jax.Array, weights: jax.Array) -> Planes:
        how = (lesson.named, options.regression, options.steps)
        return fit_planes(rows, lesson.said, weights, *how)

    def own(rows: jax.Array, planes: Planes) -> jax.Array:
        """Of each row ``[m, c]``, by the planes of its fold ``[f, d, c]``."""
        said = jax.vmap(opinions, in_axes=(None, 0, None))(rows, planes, lesson.named)
        return jnp.einsum("fm,fmc->mc", fold == jnp.arange(_FOLDS)[:, None], said)

    planes = jax.vmap(jax.vmap(fit, in_axes=(None, 0)), in_axes=(0, None))(rows, weights)
    found = [
        Planes(slopes[: view.rows.shape[1]], offsets)
        for view, slopes, offsets in zip(
            views, planes.slopes[:, 0], planes.offsets[:, 0], strict=True
        )
    ]
    if not held_out:
        return found, []
    return found, list(jax.vmap(own)(rows, jax.tree.map(lambda a: a[:, 1:], planes)))


def _padded(rows: jax.Array, width: int) -> jax.Array:
    return jnp.pad(rows, ((0, 0), (0, width - rows.shape[1])))


def _views(space: CommitteeSpace) -> list[View]:
    return [*space.known_views(), *space.further_views()]


def _student(
    space: CommitteeSpace, lesson: Lesson, told: jax.Array, options: CommitteeOptions
) -> Planes:
    """A regression on features as they are, from the answers and the students' opinions ``told``.

    Of these ``[s, c]`` the squares are taught: what is sure counts for more. Together they weigh
    as much as the answers.
    """
    taught = jnp.square(told)
    taught /= taught.sum(1, keepdims=True)
    share = lesson.weights.sum() / len(space.students)
    return fit_planes(
        View(space.plain, space.look).at(jnp.concatenate([lesson.rows, space.students])),
        jnp.concatenate([lesson.said, taught]),
        jnp.concatenate([lesson.weights, jnp.full(len(space.students), share)]),
        lesson.named,
        options.regression,
        options.steps,
    )


def _answered(choice: jax.Array | np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the samples with a class, padded, and their weights: 1, or 0 for padding."""
    rows = np.flatnonzero(np.asarray(choice) >= 0)
    size = -(-max(len(rows), capacity) // _ROWS) * _ROWS
    padded = np.zeros(size, np.int32)
    padded[: len(rows)] = rows
    return padded, (np.arange(size) < len(rows)).astype(np.float32)


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
    # No class is ruled out for good: the opinion may have been certain, and wrong.
    posterior = (opinion + 1e-6) * likelihood
    return posterior / posterior.sum(1, keepdims=True)
