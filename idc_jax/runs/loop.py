"""The loop of a run: (ask, answer, learn, evaluate, save) until the budget is spent.

Killed at any moment, the same call goes on: the questions of a round are frozen in the store
before anybody sees them, every answer is there before it counts, and what has been learned is
in a checkpoint. Nothing that was answered is asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from idc_jax.annotate.annotator import Annotator, collect
from idc_jax.annotate.evidence import Ledger
from idc_jax.annotate.exchange import answer_records, write_jsonl
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.annotate.store import STOPPED, Store
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError
from idc_jax.methods.contract import Context, Method, MethodSpec, Round, State, embeddings_of
from idc_jax.metrics import cluster_health, clustering_metrics, collapse_warning
from idc_jax.report import count_questions
from idc_jax.runs.outlook import outlook
from idc_jax.runs.workdir import MetricsLog
from idc_jax.train.checkpoint import Checkpoints, read_latest, rebuild

_INIT, _ASK, _LEARN = range(3)

# (probabilities before any answer) -> who answers; called once per process.
MakeAnnotator = Callable[[np.ndarray], Annotator]
# Told what happens, for a page that shows it.
Notify = Callable[[str, Mapping[str, Any]], None]


class Plan(NamedTuple):
    """How much is asked.

    Attributes:
      budget: questions in all.
      rounds: in how many rounds; the earlier ones take what does not divide.
      seed: fixes everything.
    """

    budget: int
    rounds: int
    seed: int


class Outcome(NamedTuple):
    """What a run found.

    Attributes:
      rounds: the questions and answers of every round.
      history: one entry per round from 0, with its questions, metrics, health and outlook.
      seconds: by phase.
      initial: probabilities ``[n, c]`` before any answer, c as in ``final``.
      final: the last probabilities.
      embeddings: the last embeddings ``[n, d]``.
    """

    rounds: list[tuple[Questions, Answers]]
    history: list[dict[str, Any]]
    seconds: dict[str, float]
    initial: np.ndarray
    final: np.ndarray
    embeddings: np.ndarray


class _Run(NamedTuple):
    """What stays the same through a run."""

    spec: MethodSpec
    method: Method
    dataset: Dataset
    store: Store
    plan: Plan
    workdir: Path
    log: MetricsLog
    notify: Notify


class _Progress(NamedTuple):
    """What moves."""

    context: Context
    state: State
    initial: np.ndarray
    history: list[dict[str, Any]]
    seconds: dict[str, float]


def run(
    spec: MethodSpec,
    method: Method,
    dataset: Dataset,
    make_annotator: MakeAnnotator,
    plan: Plan,
    workdir: Path,
    *,
    log: MetricsLog,
    seconds: dict[str, float],
    notify: Notify,
) -> Outcome:
    """Run ``method`` to the end of ``plan``, or go on where ``workdir`` says it stopped.

    Args:
      spec: says what the method is.
      method: what asks and learns.
      dataset: scored against its labels where it has any.
      make_annotator: called with the initial probabilities.
      plan: budget, rounds, seed.
      workdir: holds ``answers.db`` and ``checkpoints/``.
      log: where metrics go.
      seconds: what has been spent so far, by phase; added to.
      notify: told of each phase and each round's metrics.

    Returns:
      The outcome.
    """
    checkpoints = Checkpoints(workdir / "checkpoints" / "rounds")
    with Store(workdir / "answers.db") as store:
        this = _Run(spec, method, dataset, store, plan, workdir, log, notify)
        progress = _resume(this, checkpoints, seconds)
        if progress is None:
            progress = _begin(this, seconds)
            _save(checkpoints, 0, progress, log)
        annotator = make_annotator(progress.initial)
        rounds = [_answered(store, r, annotator) for r in range(1, len(progress.history))]
        # Methods that ask about clusters mean their own; others read what people were shown.
        ledger = Ledger(dataset.size, shown="cluster" not in spec.asks)
        for asked in rounds:
            ledger.add(*asked)
        for number in range(len(progress.history), plan.rounds + 1):
            if (name := store.recall(STOPPED)) is not None:
                logging.warning("%s stopped the run after round %d", name, number - 1)
                break
            progress, said = _round(this, number, ledger, annotator, progress)
            if said is None:
                logging.warning("nothing is left to ask; the run ends after %d rounds", number - 1)
                break
            rounds.append(said)
            _save(checkpoints, number, progress, log)
        write_jsonl(workdir / "answers.jsonl", answer_records(store))
    checkpoints.close()
    final = np.asarray(progress.state.probabilities)
    return Outcome(
        rounds=rounds,
        history=progress.history,
        seconds=progress.seconds,
        initial=_widened(progress.initial, final.shape[1]),
        final=final,
        embeddings=np.asarray(embeddings_of(progress.context, progress.state)),
    )


def _widened(probabilities: np.ndarray, clusters: int) -> np.ndarray:
    """``probabilities`` ``[n, c]`` with empty clusters for groups that were named later."""
    missing = max(0, clusters - probabilities.shape[1])
    return np.pad(probabilities, ((0, 0), (0, missing)))


def question_total(rounds: list[tuple[Questions, Answers]]) -> dict[str, int]:
    """Count what was asked and answered, as ``result.json`` has it."""
    return count_questions(rounds)


def share_of_budget(plan: Plan, round_: int) -> int:
    """Questions of ``round_`` (from 1)."""
    return plan.budget // plan.rounds + (round_ <= plan.budget % plan.rounds)


def _begin(this: _Run, seconds: dict[str, float]) -> _Progress:
    this.notify("init", {})
    with _timed(seconds, "init"):
        context, state = this.method.init(_key(this.plan, _INIT, 0))
        jax.block_until_ready((context, state))
    initial = np.asarray(state.probabilities)
    kept = Checkpoints(_context_folder(this.workdir))
    kept.save(0, {"context": context, "initial": initial}, {})
    kept.close()
    return _evaluated(this, 0, 0, {}, _Progress(context, state, initial, [], seconds))


def _round(
    this: _Run, number: int, ledger: Ledger, annotator: Annotator, progress: _Progress
) -> tuple[_Progress, tuple[Questions, Answers] | None]:
    """A round, or its questions and answers None where nothing was left to ask."""
    seconds, plan, method = progress.seconds, this.plan, this.method
    asked = progress.history[-1]["questions"]
    budget = share_of_budget(plan, number)
    round_ = Round(number, budget, asked, plan.budget, number == plan.rounds)
    with _timed(seconds, "select"):
        questions = this.store.questions(number)
        if questions is None:
            key, evidence = _key(plan, _ASK, number), ledger.evidence()
            questions = method.ask(key, progress.context, progress.state, evidence, round_)
    said: tuple[Questions, Answers] | None = None
    if questions.count:
        this.notify("annotate", {"round": number, "questions": questions.count})
        with _timed(seconds, "annotate"):
            said = questions, collect(this.store, questions, annotator)
        ledger.add(*said)
    ends = said is None or this.store.recall(STOPPED) is not None
    round_ = round_._replace(budget=questions.count, last=round_.last or ends)
    this.notify("learn", {"round": number})
    with _timed(seconds, "learn"):
        state, info = method.learn(
            _key(plan, _LEARN, number), progress.context, progress.state, ledger.evidence(), round_
        )
        jax.block_until_ready(state)
    _check_finite(this.spec.name, number, state)
    if info:
        this.log({"phase": "learn", "round": number, **info})
    progress = progress._replace(state=state)
    if said is None and not info:
        return progress, None
    return _evaluated(this, number, asked + questions.count, info, progress), said


def _check_finite(name: str, number: int, state: State) -> None:
    """Refuse a prediction that means nothing; the answers are kept all the same."""
    if not np.isfinite(np.asarray(state.probabilities)).all():
        raise UserError(
            f"round {number}: {name} predicts numbers that are not finite; the answers are kept: "
            "try a lower learning rate or weaker options in another --workdir"
        )


def _evaluated(
    this: _Run, number: int, questions: int, info: Mapping[str, float], progress: _Progress
) -> _Progress:
    """Score the state's predictions and enter them into the history."""
    with _timed(progress.seconds, "evaluate"):
        probs = np.asarray(progress.state.probabilities)
        metrics = evaluate(probs, this.dataset.labels)
        health = cluster_health(probs)
    warning = collapse_warning(health, probs.shape[1])
    if warning:
        logging.warning("round %d: %s", number, warning)
    entry = {"round": number, "questions": questions, "metrics": metrics, "health": health}
    entry["outlook"] = outlook(info)
    scores = {**(metrics or {}), **health}
    this.log({"phase": "evaluate", "round": number, "questions": questions, **scores})
    this.notify("evaluated", {**entry, "probabilities": probs})
    return progress._replace(history=[*progress.history, entry])


def evaluate(probabilities: np.ndarray, labels: np.ndarray | None) -> dict[str, float] | None:
    """Score ``probabilities`` ``[n, c]`` against ``labels``; None where nothing is labelled."""
    if labels is None or not np.any(labels >= 0):
        return None
    known = labels >= 0
    return clustering_metrics(probabilities[known].argmax(1), labels[known], probabilities.shape[1])


def _answered(store: Store, round_: int, annotator: Annotator) -> tuple[Questions, Answers]:
    questions = store.questions(round_)
    assert questions is not None, f"round {round_} was learned but its questions are gone"
    return questions, collect(store, questions, annotator)


def _resume(this: _Run, checkpoints: Checkpoints, seconds: dict[str, float]) -> _Progress | None:
    saved = checkpoints.latest()
    if saved is None:
        return None
    kept = read_latest(_context_folder(this.workdir))
    if kept is None:
        # A run of before the context was kept apart: it begins again, with the answers it has.
        return None
    logging.info("going on after round %d", saved.step)
    this.log.rewind(saved.meta["log_lines"])
    spent = {k: saved.meta["seconds"].get(k, 0.0) + seconds.get(k, 0.0) for k in seconds}
    return _Progress(
        context=rebuild(this.spec.context, kept.tree["context"]),
        state=rebuild(this.spec.state, saved.tree["state"]),
        initial=np.asarray(kept.tree["initial"]),
        history=saved.meta["history"],
        seconds={**saved.meta["seconds"], **spent},
    )


def _save(checkpoints: Checkpoints, number: int, progress: _Progress, log: MetricsLog) -> None:
    meta = {
        "history": progress.history,
        "seconds": progress.seconds,
        "log_lines": len(log.lines),
    }
    checkpoints.save(number, {"state": progress.state}, meta)


def _context_folder(workdir: Path) -> Path:
    return workdir / "checkpoints" / "context"


def _key(plan: Plan, purpose: int, round_: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(plan.seed), purpose), round_)


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
