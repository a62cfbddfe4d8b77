"""One learner with one selector on one data set, from the first answer to the last budget."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.answers.tasks import Task
from idc_jax.annotate.evidence import Ledger, gather
from idc_jax.annotate.questions import Answers, Questions, answered, label_questions
from idc_jax.methods.committee import method as graph_committee
from idc_jax.methods.committee.options import GraphCommitteeOptions
from idc_jax.methods.committee.space import compare
from idc_jax.methods.committee.state import GraphCommitteeContext, GraphCommitteeState
from idc_jax.methods.contract import Method, Parts, Round
from idc_jax.metrics import clustering_metrics

# Answers per class at which accuracy is told.
BUDGETS = (1, 2, 5, 10, 25)
# Answers per class after each round of those that ask in rounds.
ROUNDS = (1, 2, 3, 5, 7, 10, 15, 20, 25)
# What the committee has and an hour of scripting has not.
PLAIN: dict[str, Any] = {
    "decorrelate": False,
    "opening": 0.0,
    "coordinates": 0,
    "poisson": 0,
    "stacking": False,
    "views": False,
    "prior": False,
    "student": False,
}
LEARNERS: dict[str, dict[str, Any]] = {
    "regression": {**PLAIN, "reaches": ()},
    "spreading": {**PLAIN, "reaches": ((15, 0.95),), "regression": 0.0},
    "graph_committee": {},
    "without decorrelation": {"decorrelate": False},
    "without the opening": {"opening": 0.0},
    "without coordinates": {"coordinates": 0},
    "without Poisson learning": {"poisson": 0},
    "without stacking": {"stacking": False},
    "without further views": {"views": False},
    "without the prior": {"prior": False},
    "without the student": {"student": False},
    "without regression": {"regression": 0.0},
    "without spreading": {"reaches": ()},
    "regression in full from the start": {"regression_from": 1e-3},
    "one reach": {"reaches": ((15, 0.95),)},
    "answers taken as law": {"trust": 0.9999},
}
ABLATIONS = tuple(LEARNERS)[3:]
# The options that change where samples are compared, and so what is shared.
SPACES = (
    "decorrelate",
    "coordinates",
    "poisson",
    "stacking",
    "views",
    "regression",
    "student",
    "reaches",
)
# These look at predictions, so they ask in rounds; the others spend their budget at once.
IN_ROUNDS = ("value", "margin", "u_herding")
# One after the other: the picks of a smaller budget are the first of a larger one.
GREEDY = ("random", "k_center", "probcover", "max_herding", "idc")
SELECTORS = (*IN_ROUNDS, *GREEDY, "medoids", "typiclust", "dsac")

Row = dict[str, Any]


def agreement(probabilities: jax.typing.ArrayLike, labels: np.ndarray) -> dict[str, float]:
    """ACC, NMI and ARI of the likeliest groups ``[n]`` of ``[n, k]``."""
    probs = np.asarray(probabilities)
    found = clustering_metrics(probs.argmax(1), labels, probs.shape[1])
    return {name: found[name] for name in ("acc", "nmi", "ari")}


class Stage:
    """What all courses on one data set share: spaces, graphs, starts and picks.

    Args:
      task: the data set.
      seed: of its starts and picks.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed
        self._begin, self._ask, self._learn = jax.random.split(jax.random.key(seed), 3)
        self.start = cache(self._start)
        self.picks = cache(self._picks)

    def _start(self, **options: Any) -> tuple[GraphCommitteeContext, GraphCommitteeState]:
        """Of the options, those that change where samples are compared."""
        options = GraphCommitteeOptions(**options)
        begin, cluster = jax.random.split(self._begin)
        context = GraphCommitteeContext({}, compare(begin, jnp.asarray(self.task.inputs), options))
        embeddings, clusters = context.embeddings, self.task.clusters
        return context, graph_committee.first_state(cluster, embeddings, clusters, restarts=3)

    def _picks(self, selector: str, answers: int, **options: Any) -> tuple[Questions, float]:
        """What a selector asks that spends its whole budget at once, and its seconds."""
        begun = time.perf_counter()
        method = self.method(options, selector)
        nothing = gather(len(self.task.labels), [])
        round_ = self._round(1, answers, 0)
        questions = method.ask(self._ask, *self.start(**options), nothing, round_)
        return questions, time.perf_counter() - begun

    def _round(self, number: int, budget: int, asked: int) -> Round:
        return Round(
            number, budget, asked, BUDGETS[-1] * self.task.classes, last=False, since=number
        )

    def method(self, learner: dict[str, Any], selector: str) -> Method:
        """The method that learns as ``learner`` says and asks by ``selector``."""
        parts = Parts(
            None,  # type: ignore[arg-type]  # features need no network, and no views of it
            None,  # type: ignore[arg-type]
            jnp.asarray(self.task.inputs),
            num_clusters=self.task.clusters,
            begin=lambda key: {},
        )
        options = GraphCommitteeOptions(**{**learner, "picks": selector})
        return graph_committee.build(parts, {"graph_committee": options})

    def answer(self, questions: Questions) -> Answers:
        """Labels, a share of them wrong; a sample's answer depends on it and the seed alone."""
        said = []
        for sample in questions.indices.tolist():
            rng = np.random.default_rng([self.seed, sample])
            label, errs = int(self.task.labels[sample]), rng.random() < self.task.error_rate
            others = np.delete(np.arange(self.task.classes), label)
            said.append(int(rng.choice(others)) if errs else label)
        return answered(questions, np.asarray(said, np.int32))

    def accuracy(self, state: GraphCommitteeState) -> dict[str, float]:
        """How well the prediction agrees with the labels."""
        return agreement(state.probabilities, self.task.labels)

    def course(self, learner: str, selector: str) -> Iterator[tuple[int, Row]]:
        """Play; yields each budget, in answers per class, with what was reached."""
        options = LEARNERS[learner]
        spaces = {name: options[name] for name in SPACES if name in options}
        method, (context, state) = self.method(options, selector), self.start(**spaces)
        if selector in IN_ROUNDS:
            yield from self._in_rounds(method, context, state)
        else:
            yield from self._at_once(method, context, state, selector, spaces)

    def _in_rounds(
        self, method: Method, context: GraphCommitteeContext, state: GraphCommitteeState
    ) -> Iterator[tuple[int, Row]]:
        ledger = Ledger(len(self.task.labels))
        begun = time.perf_counter()
        for number, (before, after) in enumerate(itertools.pairwise((0, *ROUNDS)), start=1):
            budget = (after - before) * self.task.classes
            round_ = self._round(number, budget, before * self.task.classes)
            ask, learn = jax.random.split(jax.random.fold_in(self._ask, number))
            questions = method.ask(ask, context, state, ledger.evidence(), round_)
            ledger.add(questions, self.answer(questions))
            state, _ = method.learn(learn, context, state, ledger.evidence(), round_)
            if after in BUDGETS:
                yield after, {**self.accuracy(state), "seconds": time.perf_counter() - begun}

    def _at_once(
        self,
        method: Method,
        context: GraphCommitteeContext,
        first: GraphCommitteeState,
        selector: str,
        spaces: Row,
    ) -> Iterator[tuple[int, Row]]:
        for budget in BUDGETS:
            wanted = budget * self.task.classes
            largest = BUDGETS[-1] * self.task.classes if selector in GREEDY else wanted
            picked, seconds = self.picks(selector, largest, **spaces)
            asked = label_questions(1, picked.indices[:wanted], picked.values[:wanted])
            begun = time.perf_counter()
            said = gather(len(self.task.labels), [(asked, self.answer(asked))])
            round_ = self._round(1, asked.count, 0)
            state, _ = method.learn(self._learn, context, first, said, round_)
            yield budget, {**self.accuracy(state), "seconds": time.perf_counter() - begun + seconds}
