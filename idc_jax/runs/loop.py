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

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from idc_jax.annotate.annotator import Annotator, collect
from idc_jax.annotate.exchange import answer_records, write_jsonl
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.annotate.store import STOPPED, Store
from idc_jax.train.checkpoint import Checkpoints
from idc_jax.data.base import Dataset
from idc_jax.methods.contract import Method, State
from idc_jax.metrics import cluster_health, clustering_metrics, collapse_warning
from idc_jax.runs.outlook import outlook
from idc_jax.report import count_questions
from idc_jax.runs.workdir import MetricsLog

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


class _Progress(NamedTuple):
    state: State
    initial: np.ndarray
    history: list[dict[str, Any]]
    seconds: dict[str, float]


def run(
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
        progress = _resume(method, checkpoints, log, seconds)
        if progress is None:
            progress = _begin(method, dataset, plan, log, seconds, notify)
            _save(checkpoints, 0, progress, log)
        annotator = make_annotator(progress.initial)
        rounds = [_answered(store, r, annotator) for r in range(1, len(progress.history))]
        for round_ in range(len(progress.history), plan.rounds + 1):
            if (name := store.recall(STOPPED)) is not None:
                logging.warning("%s stopped the run after round %d", name, round_ - 1)
                break
            progress, asked = _round(
                round_, method, dataset, store, annotator, plan, progress, log, notify
            )
            if asked is None:
                logging.warning("nothing is left to ask; the run ends after %d rounds", round_ - 1)
                break
            rounds.append(asked)
            _save(checkpoints, round_, progress, log)
        write_jsonl(workdir / "answers.jsonl", answer_records(store))
    checkpoints.close()
    final = np.asarray(method.predict(progress.state))
    return Outcome(
        rounds=rounds,
        history=progress.history,
        seconds=progress.seconds,
        initial=_widened(progress.initial, final.shape[1]),
        final=final,
        embeddings=np.asarray(method.embed(progress.state)),
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


def _begin(
    method: Method,
    dataset: Dataset,
    plan: Plan,
    log: MetricsLog,
    seconds: dict[str, float],
    notify: Notify,
) -> _Progress:
    notify("init", {})
    with _timed(seconds, "init"):
        state = jax.block_until_ready(method.init(_key(plan, _INIT, 0)))
    initial = np.asarray(method.predict(state))
    progress = _Progress(state, initial, [], seconds)
    return _evaluated(0, 0, {}, method, dataset, progress, log, notify)


def _round(
    round_: int,
    method: Method,
    dataset: Dataset,
    store: Store,
    annotator: Annotator,
    plan: Plan,
    progress: _Progress,
    log: MetricsLog,
    notify: Notify,
) -> tuple[_Progress, tuple[Questions, Answers] | None]:
    seconds = progress.seconds
    with _timed(seconds, "select"):
        questions = store.questions(round_)
        state = progress.state
        if questions is None:
            budget = share_of_budget(plan, round_)
            state, questions = method.ask(_key(plan, _ASK, round_), state, round_, budget)
    if not questions.count:
        return progress, None
    notify("annotate", {"round": round_, "questions": questions.count})
    with _timed(seconds, "annotate"):
        answers = collect(store, questions, annotator)
    notify("learn", {"round": round_})
    with _timed(seconds, "learn"):
        state, info = method.learn(_key(plan, _LEARN, round_), state, answers)
        jax.block_until_ready(state)
    if info:
        log({"phase": "learn", "round": round_, **info})
    total = progress.history[-1]["questions"] + questions.count
    progress = progress._replace(state=state)
    return (
        _evaluated(round_, total, info, method, dataset, progress, log, notify),
        (questions, answers),
    )


def _evaluated(
    round_: int,
    questions: int,
    info: Mapping[str, float],
    method: Method,
    dataset: Dataset,
    progress: _Progress,
    log: MetricsLog,
    notify: Notify,
) -> _Progress:
    """Score the state's predictions and enter them into the history."""
    with _timed(progress.seconds, "evaluate"):
        probs = np.asarray(method.predict(progress.state))
        metrics = evaluate(probs, dataset.labels)
        health = cluster_health(probs)
    warning = collapse_warning(health, probs.shape[1])
    if warning:
        logging.warning("round %d: %s", round_, warning)
    entry = {"round": round_, "questions": questions, "metrics": metrics, "health": health}
    entry["outlook"] = outlook(info)
    log({"phase": "evaluate", "round": round_, "questions": questions, **(metrics or {}), **health})
    notify("evaluated", {**entry, "probabilities": probs})
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


def _resume(
    method: Method, checkpoints: Checkpoints, log: MetricsLog, seconds: dict[str, float]
) -> _Progress | None:
    saved = checkpoints.latest()
    if saved is None:
        return None
    logging.info("going on after round %d", saved.step)
    log.rewind(saved.meta["log_lines"])
    spent = {k: saved.meta["seconds"].get(k, 0.0) + seconds.get(k, 0.0) for k in seconds}
    return _Progress(
        state=method.restore(saved.tree["state"]),
        initial=np.asarray(saved.tree["initial"]),
        history=saved.meta["history"],
        seconds={**saved.meta["seconds"], **spent},
    )


def _save(checkpoints: Checkpoints, round_: int, progress: _Progress, log: MetricsLog) -> None:
    state = flax.serialization.to_state_dict(jax.tree.map(jnp.asarray, progress.state))
    meta = {
        "history": progress.history,
        "seconds": progress.seconds,
        "log_lines": len(log.lines),
    }
    checkpoints.save(round_, {"state": state, "initial": progress.initial}, meta)


def _key(plan: Plan, purpose: int, round_: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(plan.seed), purpose), round_)


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
