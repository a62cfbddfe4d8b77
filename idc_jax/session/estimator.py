"""A scikit-learn estimator: clusters, or learns from few labels, and says what to ask."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from idc_jax.annotate.questions import answered, label_questions
from idc_jax.data.finite import checked_features
from idc_jax.errors import UserError, check_at_least
from idc_jax.methods import registry
from idc_jax.methods.common.class_space import by_prediction
from idc_jax.methods.contract import Round
from idc_jax.runs.interaction import Interaction
from idc_jax.session.composing import compose, room
from idc_jax.session.induction import settle, vote
from idc_jax.session.targets import UNKNOWN, Targets, read_targets
from idc_jax.train.log import silent

# Seeds that may be drawn.
_SEEDS = np.iinfo(np.int32).max
_TINY = 1e-12


class _Basis(NamedTuple):
    """What a method is begun with, besides X."""

    method: str
    options: dict[str, Any]
    num_clusters: int
    random_state: Any


class _Kept(NamedTuple):
    """A method, as NumPy arrays: what can be pickled, and read where no device is.

    Attributes:
      basis: what it was begun with.
      seed: likewise.
      x: float32 ``[n, d]``, the samples.
      context: the method's.
      state: likewise.
    """

    basis: _Basis
    seed: int
    x: np.ndarray
    context: Any
    state: Any


class InteractiveClusterer(ClassifierMixin, ClusterMixin, BaseEstimator):
    """A clustering steered by few labels, and the samples whose labels would help it most.

    Semi-supervised as scikit-learn has it: ``fit(X, y)`` takes a label for each sample, -1 where it
    is unknown; None, NaN, pandas' NA and masked entries are unknown, too, so that strings can be
    labels. Without any label it clusters. :meth:`query` says which samples to label next, and
    fitting again learns from all labels. What learns and asks is a method of
    :mod:`idc_jax.methods`, as in :class:`~idc_jax.session.Session`.

    Args:
      n_clusters: groups wanted (a session's ``num_clusters``). Classes in y beyond them get groups
        of their own. None for as many as y has classes.
      method: a name of :func:`idc_jax.methods.registry.names`; None for the usual one.
      options: of the method, by their full names, as ``{"graph_committee.hops": 2}``.
      n_neighbors: fitted samples that vote on a new one.
      warm_start: keep what does not depend on y (a graph, a pre-trained network, first clusters)
        for the next fit. Where X, the parameters and the number of groups are the same by then, it
        is not computed again, and the result is that of fitting from nothing. With a
        ``random_state`` that returns other numbers each time, the first stands.
      random_state: an int fixes everything; else as in scikit-learn.

    Attributes:
      classes_: ``[k]``, the labels that y names, in ascending order; the numbers of the clusters
        where it names none. Clusters that no label stands for are not predicted beside classes.
      labels_: ``[n]``, of the fitted samples, a class or a cluster each.
      label_distributions_: float64 ``[n, k]``, how likely each fitted sample is of each.
      n_features_in_: d, columns of X.
      feature_names_in_: their names, where X has any.

    Examples:
      >>> import numpy as np
      >>> from sklearn.datasets import make_blobs
      >>> from idc_jax import InteractiveClusterer
      >>> X, truth = make_blobs(200, random_state=0)
      >>> y = np.full(200, -1)
      >>> model = InteractiveClusterer(n_clusters=3, random_state=0).fit(X, y)
      >>> asked = model.query(6)
      >>> y[asked] = truth[asked]
      >>> model.fit(X, y).score(X, truth) > 0.85
      True
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        method: str | None = None,
        options: Mapping[str, Any] | None = None,
        n_neighbors: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.options = options
        self.n_neighbors = n_neighbors
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Learn from the labels that are known.

        Args:
          X: embeddings or other features ``[n, d]``, at least two samples.
          y: labels ``[n]``, -1 where unknown; None for none known.

        Raises:
          ValueError: what cannot be learned from, in one line.
        """
        # A copy: what was fitted is asked about later.
        X = validate_data(self, X, dtype=np.float32, order="C", copy=True, ensure_min_samples=2)
        checked_features(X, "X")
        targets = read_targets(y, len(X))
        self._check_parameters(targets, len(X))
        begun = self._begin(X, max(int(self.n_clusters or 1), len(targets.classes)))
        interaction = _go_on(begun, targets.codes)
        told = int((targets.codes != UNKNOWN).sum())
        if told:
            interaction.learn(Round(1, told, 0, room(told), False, 1))
        # Nothing can go wrong any more: before, it was as it had been fitted before.
        self._begun = begun if self.warm_start else None
        self._learned = _keep(interaction, begun.basis, begun.seed, X)
        self._codes = targets.codes
        self._set_predictions(targets)
        self._neighborhood = settle(X)
        return self

    def fit_predict(self, X: Any, y: Any = None, **kwargs: Any) -> np.ndarray:  # noqa: N803
        """Fit, and return :attr:`labels_`."""
        return self.fit(X, y, **kwargs).labels_

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The likeliest class, or cluster, of samples that may be new ones, ``[m]``.

        Args:
          X: ``[m, d]``.

        Raises:
          ValueError: other columns than those fitted, or numbers that are not finite.
        """
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """How likely each sample is of each class, or cluster, float64 ``[m, k]``.

        The nearest of the fitted samples vote, each with its own distribution over one over its
        distance, so that a fitted sample is predicted to be what it was found to be. Near is by
        the direction from the fitted samples' mean, and by the distance from it.

        Args:
          X: ``[m, d]``.

        Raises:
          ValueError: as of :meth:`predict`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        checked_features(X, "X", smallest=0.0)
        return vote(self._neighborhood, self.label_distributions_, X, self.n_neighbors)

    def query(self, n: int = 10) -> np.ndarray:
        """The samples whose labels are likely to bring most.

        Args:
          n: how many, at most.

        Returns:
          int ``[m]``, rows of the fitted X, the best first; fewer than ``n`` where less is left to
          ask. A method that asks about pairs returns the samples of its pairs.

        Raises:
          UserError: ``n`` below 1.
        """
        check_is_fitted(self)
        check_at_least("n", n, 1)
        interaction = _go_on(self._learned, self._codes)
        told = int((self._codes != UNKNOWN).sum())
        questions = interaction.ask(Round(2, n, told, room(told + n), False, 2))
        samples = questions.indices.reshape(-1)
        first = np.sort(np.unique(samples, return_index=True)[1])
        samples = samples[first]
        return samples[self._codes[samples] == UNKNOWN][:n].astype(np.int64)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """The accuracy on those samples whose label is known.

        Raises:
          UserError: no label is known, or none was when it was fitted: clusters have no accuracy.
        """
        predicted = self.predict(X)
        targets = read_targets(y, len(predicted))
        known = targets.codes != UNKNOWN
        if (self._codes == UNKNOWN).all():
            raise UserError("fitted without labels; use sklearn.metrics.adjusted_rand_score")
        if not known.any():
            raise UserError("y has no known label to compare with; it must have at least one")
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        truth = targets.classes[targets.codes[known]]
        return accuracy_score(truth, predicted[known], sample_weight=weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags

    # -- inside --------------------------------------------------------------------------------

    def _check_parameters(self, targets: Targets, num_samples: int) -> None:
        if self.n_clusters is None and not len(targets.classes):
            raise UserError("n_clusters is None and y names no class; give one of them")
        for name in ("n_clusters", "n_neighbors"):
            value = getattr(self, name)
            if value is None and name == "n_clusters":
                continue
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise UserError(f"{name} is {value!r}; it must be a whole number")
            check_at_least(name, int(value), 1)
        if self.options is not None and not isinstance(self.options, Mapping):
            raise UserError(f"options is {self.options!r}; it must be a dict of values by name")
        if (self.n_clusters or 1) > num_samples:
            raise UserError(
                f"n_clusters is {self.n_clusters} for {num_samples} samples; it must be at most "
                "that many"
            )

    def _begin(self, X: np.ndarray, num_clusters: int) -> _Kept:  # noqa: N803
        """The method before any answer, as it was kept where it would be the same."""
        name, options = self.method or registry.usual(), dict(self.options or {})
        basis = _Basis(name, options, num_clusters, self.random_state)
        kept = getattr(self, "_begun", None) if self.warm_start else None
        if kept is not None and kept.basis == basis and np.array_equal(kept.x, X):
            return kept
        seed = int(check_random_state(self.random_state).randint(_SEEDS))
        with tempfile.TemporaryDirectory(prefix="idc_jax-") as folder:
            interaction = _prepare(basis, seed, X, Path(folder))
            interaction.begin()
        return _keep(interaction, basis, seed, X)

    def _set_predictions(self, targets: Targets) -> None:
        """Say in classes what the state says in outputs."""
        found = np.asarray(self._learned.state.probabilities, np.float64)
        classes = targets.classes
        if not len(classes):
            classes = np.arange(found.shape[1])
        else:
            slots = getattr(self._learned.state, "slots", None)
            if slots is None:
                slots = _fitting(targets, found)
            column = {int(group): at for at, group in enumerate(slots)}
            # Next to nothing, so that a sample of which no class is likely has a distribution.
            found = _TINY + found[:, [column[code] for code in range(len(classes))]]
        self.classes_ = classes
        self.label_distributions_ = found / found.sum(axis=1, keepdims=True)
        self.labels_ = classes[self.label_distributions_.argmax(axis=1)]


def _prepare(basis: _Basis, seed: int, X: np.ndarray, folder: Path) -> Interaction:  # noqa: N803
    spec = registry.get(basis.method)
    method = compose(
        spec, X, basis.num_clusters, basis.options, folder, wanted=True, log=silent, progress=False
    )
    return Interaction(spec, method, len(X), seed)


def _keep(interaction: Interaction, basis: _Basis, seed: int, X: np.ndarray) -> _Kept:  # noqa: N803
    return _Kept(basis, seed, X, *jax.device_get((interaction.context, interaction.state)))


def _go_on(kept: _Kept, codes: np.ndarray) -> Interaction:
    """The method as it was ``kept``, with all labels heard."""
    # It has begun, so it writes nothing.
    interaction = _prepare(kept.basis, kept.seed, kept.x, Path())
    interaction.go_on(*jax.device_put((kept.context, kept.state)))
    told = np.flatnonzero(codes != UNKNOWN)
    if len(told):
        questions = label_questions(1, told, np.zeros(len(told)))
        interaction.hear(questions, answered(questions, codes[told]))
    return interaction


def _fitting(targets: Targets, probabilities: np.ndarray) -> np.ndarray:
    """The class of each output ``[c]`` of a method that hears links alone; -1 for none."""
    classes = np.arange(len(targets.classes))
    mass = np.stack([probabilities[targets.codes == code].sum(axis=0) for code in classes])
    return by_prediction(np.full(probabilities.shape[1], -1), classes, mass)
