"""Other people's packages on the same data, with questions of their own.

    pip install '.[benchmarks]'
    python -m benchmarks answers --learner "graphlearning: laplace" --task digits

``graphlearning`` learns along the graph (Laplace and Poisson learning) and asks by its own
acquisition functions, first about TypiClust's picks, one for each class, since it cannot begin
with nothing; its graph is of the plain features, since one of averaged features falls apart and
its solvers fail. ``scikit-activeml`` picks for a logistic regression on what the scripted baselines
get, plain features averaged over ten neighbours three times. Both ask in the committee's rounds.
The report counts them among the baselines.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from benchmarks.answers.course import BUDGETS, PLAIN, ROUNDS, Row, Stage
from idc_jax import ops, selectors
from idc_jax.annotate.questions import label_questions
from idc_jax.metrics import clustering_metrics

# Of the graph that graphlearning learns on, and of the spectrum that its criteria look at.
_NEIGHBORS, _EIGENVECTORS = 15, 100
# Inverse strength of scikit-learn's penalty, as the baselines have it.
_PENALTY = 10.0


class Known(NamedTuple):
    """What a rival sees.

    Attributes:
      x: ``[n, d]``.
      classes: how many.
      indices, labels: of the answered samples.
      seed: of its own draws.
    """

    x: np.ndarray
    classes: int
    indices: np.ndarray
    labels: np.ndarray
    seed: int


class Rival(Protocol):
    """Asks, and predicts.

    Attributes:
      hops: how often features are averaged over their neighbours first.
    """

    hops: int

    def ask(self, known: Known, count: int) -> np.ndarray:
        """So many samples that nobody has answered."""

    def predict(self, known: Known) -> np.ndarray:
        """The class ``[n]`` of every sample."""


class _Graph:
    """graphlearning's ``model`` with its acquisition function ``criterion``."""

    hops = 0

    def __init__(self, model: str, criterion: str) -> None:
        self._name, self._criterion = model, criterion
        self._learner: Any = None

    def _model(self, known: Known) -> Any:
        import graphlearning

        found = ops.knn(known.x, _NEIGHBORS)
        # It counts a sample among its own neighbours, and wants distances.
        own = np.arange(len(known.x))[:, None]
        indices = np.concatenate([own, np.asarray(found.indices)], axis=1)
        distances = np.linalg.norm(known.x[indices] - known.x[:, None], axis=2)
        weights = graphlearning.weightmatrix.knn(known.x, _NEIGHBORS, knn_data=(indices, distances))
        return getattr(graphlearning.ssl, self._name)(weights)

    def _active(self, known: Known) -> Any:
        import graphlearning

        model, given = self._model(known), {}
        if self._criterion != "unc_sampling":
            values, vectors = model.graph.eigen_decomp(normalization="normalized", k=_EIGENVECTORS)
            given = {"C": np.diag(1.0 / (values + 1e-11)), "V": vectors}
        criterion = getattr(graphlearning.active_learning, self._criterion)
        return graphlearning.active_learning.active_learner(
            model, criterion, known.indices, _numbered(known.labels)[1], **given
        )

    def ask(self, known: Known, count: int) -> np.ndarray:
        if not len(known.indices):
            return np.asarray(
                selectors.typiclust(jax.random.key(known.seed), known.x, count).indices
            )
        self._hear(known)
        picks = self._learner.select_queries(batch_size=count)
        self._learner.acq_function.update(picks, None)
        return picks

    def predict(self, known: Known) -> np.ndarray:
        return self._hear(known)[self._learner.model.predict()]

    def _hear(self, known: Known) -> np.ndarray:
        """Learn all answers anew, since classes are numbered as they come; the numbers' classes."""
        names, numbers = _numbered(known.labels)
        if self._learner is None:
            self._learner = self._active(known)
        learner = self._learner
        learner.labeled_ind, learner.labels = known.indices, numbers
        learner.u = learner.model.fit(known.indices, numbers)
        return names


class _Pool:
    """scikit-activeml's strategy ``name`` with a logistic regression."""

    hops = 3

    def __init__(self, name: str) -> None:
        self._name = name

    def _classifier(self, known: Known) -> Any:
        from skactiveml.classifier import SklearnClassifier
        from sklearn.linear_model import LogisticRegression

        regression = LogisticRegression(C=_PENALTY, max_iter=1000)
        return SklearnClassifier(regression, classes=range(known.classes), random_state=known.seed)

    def _labels(self, known: Known) -> np.ndarray:
        labels = np.full(len(known.x), np.nan)
        labels[known.indices] = known.labels
        return labels

    def ask(self, known: Known, count: int) -> np.ndarray:
        from skactiveml import pool

        strategy = getattr(pool, self._name)(random_state=known.seed)
        given = {} if self._name == "TypiClust" else {"clf": self._classifier(known)}
        return strategy.query(known.x, self._labels(known), batch_size=count, **given)

    def predict(self, known: Known) -> np.ndarray:
        return (
            self._classifier(known).fit(known.x, self._labels(known)).predict(known.x).astype(int)
        )


RIVALS: dict[tuple[str, str], Callable[[], Rival]] = {
    **{
        (f"graphlearning: {model}", criterion): lambda m=model, c=criterion: _Graph(m, c)
        for model, criterion in (
            ("laplace", "unc_sampling"),
            ("laplace", "var_opt"),
            ("laplace", "sigma_opt"),
            ("laplace", "model_change_var_opt"),
            ("poisson", "unc_sampling"),
            ("poisson", "var_opt"),
        )
    },
    **{
        ("scikit-activeml: regression", name): lambda n=name: _Pool(n)
        for name in ("DropQuery", "Falcun", "Badge", "TypiClust")
    },
}


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes that there are, and each label's number among them."""
    return np.unique(labels, return_inverse=True)


def play(stage: Stage, rival: Rival) -> Iterator[tuple[int, Row]]:
    """Play; yields each budget, in answers per class, with what was reached."""
    context, _ = stage.start(**PLAIN, hops=rival.hops)
    task, x = stage.task, np.asarray(context.embeddings)
    none = np.zeros(0, np.int64)
    known = Known(x, task.classes, none, none, stage.seed)
    begun = time.perf_counter()
    for number, (before, after) in enumerate(itertools.pairwise((0, *ROUNDS)), start=1):
        picks = rival.ask(known, (after - before) * task.classes)
        said = stage.answer(label_questions(number, picks, np.zeros(len(picks)))).choice
        known = known._replace(
            indices=np.append(known.indices, picks), labels=np.append(known.labels, said)
        )
        if after in BUDGETS:
            predicted = rival.predict(known)
            # As everywhere: a label that was given stays.
            predicted[known.indices] = known.labels
            found = clustering_metrics(predicted, task.labels, task.classes)
            reached = {name: found[name] for name in ("acc", "nmi", "ari")}
            yield after, {**reached, "seconds": time.perf_counter() - begun}
