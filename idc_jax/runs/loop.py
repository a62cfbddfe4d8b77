"""The loop of a run: (ask, answer, learn, evaluate, save) until the budget is spent.

Killed at any moment, the same call goes on: the questions of a round are frozen in the store
before anybody sees them, every answer is there before it counts, and what has been learned is
in a checkpoint. Nothing that was answered is asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from absl import logging

from idc_jax.annotate.annotator import Annotator, collect
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.annotate.records import export_answers
from idc_jax.annotate.samples import open_store
from idc_jax.asking import Budget
from idc_jax.data.base import Dataset
from idc_jax.methods.contract import Method, MethodSpec, Round, State
from idc_jax.metrics import cluster_health, clustering_metrics, collapse_warning
from idc_jax.runs.bringing import brought_rounds
from idc_jax.runs.heard import (
    costs,
    family,
    gist,
    heard_rounds,
    pace_of,
    spent,
    total_of,
    unlearned,
    volunteered_until,
)
from idc_jax.runs.outlook import outlook
from idc_jax.runs.pace import Step, paces
from idc_jax.runs.saved import keep_context, resume, save
from idc_jax.runs.state import Notify, Outcome, Plan, Progress, Run
from idc_jax.runs.together import Leading
from idc_jax.runs.workdir import Course, MetricsLog
from idc_jax.train.checkpoint import Checkpoints

# (probabilities before any answer) -> who answers; called once per process.
MakeAnnotator = Callable[[np.ndarray], Annotator]


def run(
    spec: MethodSpec,
    method: Method,
    dataset: Dataset,
    make_annotator: MakeAnnotator,
    plan: Plan,
    workdir: Path,
    *,
    course: Course,
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
      course: what was changed on the way; in a new stage, the method begins anew and learns from
        all answers that are there.
      log: where metrics go.
      seconds: what has been spent so far, by phase; added to.
      notify: told of each phase, each round's metrics, and the groups as they become.

    Returns:
      The outcome.
    """
    checkpoints = Checkpoints(course.folder(workdir) / "rounds")
    with open_store(workdir) as store:
        store.go_on(len(course.changes))
        interaction = Leading(
            spec,
            method,
            dataset.size,
            plan.seed,
            kinds=plan.kinds,
            family=partial(family, brought_rounds(store), course),
        )
        plan = plan._replace(budget=plan.budget + store.further())
        this = Run(interaction, dataset, store, plan, workdir, course, log, notify)
        progress = resume(this, checkpoints, seconds)
        if progress is None:
            progress = _begin(this, seconds)
            save(this, checkpoints, progress)
        annotator = make_annotator(progress.initial)
        this = this._replace(listens=annotator.meanwhile is not None)
        progress, rounds = _play(this, checkpoints, annotator, progress)
        export_answers(store, workdir / "answers.jsonl")
    checkpoints.close()
    final = interaction.probabilities
    return Outcome(
        rounds=rounds,
        history=progress.history,
        seconds=progress.seconds,
        initial=_widened(progress.initial, final.shape[1]),
        final=final,
        embeddings=interaction.embeddings,
    )


def _play(
    this: Run, checkpoints: Checkpoints, annotator: Annotator, progress: Progress
) -> tuple[Progress, list[tuple[Questions, Answers]]]:
    """Go round after round to the end, from wherever the run is."""
    if annotator.refresh is not None:
        annotator.refresh(this.store)
    heard = this.store.version()
    rounds = heard_rounds(this, annotator, max(this.course.start, progress.history[-1]["round"]))
    this.interaction.hear_again(rounds)
    if (since := unlearned(this, rounds, progress)) is not None:
        progress = _learn_again(this, rounds, progress, since)
        save(this, checkpoints, progress)
    _show_groups(this, this.interaction.state, heard)
    while True:
        number = len(rounds) + 1
        if (last := volunteered_until(this, len(rounds))) >= number:
            progress, rounds = _learn_volunteered(this, number, last, annotator, progress)
            save(this, checkpoints, progress)
            continue
        pace = pace_of(this, len(rounds))
        step = pace.step(costs(this, len(rounds)))
        if step is None:
            break
        if (name := this.store.stopped_by()) is not None:
            logging.warning("%s stopped the run after round %d", name, number - 1)
            break
        round_ = _round_of(progress, number, step, total_of(this, pace))
        progress, said = _round(this, round_, annotator, progress)
        if said is None:
            logging.warning("nothing is left to ask; the run ends after %d rounds", number - 1)
            break
        rounds = said
        save(this, checkpoints, progress)
    return progress, rounds


def _learn_volunteered(
    this: Run, first: int, last: int, annotator: Annotator, progress: Progress
) -> tuple[Progress, list[tuple[Questions, Answers]]]:
    """Learn what people said unasked, in the rounds from ``first`` to ``last``."""
    heard = this.store.version()
    rounds = heard_rounds(this, annotator, last)
    this.interaction.hear_again(rounds)
    counts = spent(this, last)
    pace = pace_of(this, last)
    round_ = Round(
        number=last,
        budget=sum(counts[first - 1 :]),
        asked=progress.history[-1]["questions"],
        total=total_of(this, pace),
        last=pace.step(costs(this, last)) is None,
        since=unlearned(this, rounds, progress) or first,
    )
    progress = _learned(this, round_, rounds, progress)
    _show_groups(this, this.interaction.state, heard)
    return progress, rounds


def _show_groups(this: Run, state: State, heard: tuple[int, int]) -> None:
    """Tell what the groups are in ``state``, learned from the store as it was at ``heard``."""
    values = {
        "probabilities": np.asarray(state.probabilities),
        "slots": getattr(state, "slots", None),
        "embeddings": this.interaction.embeddings_in(state),
        "heard": heard,
    }
    this.notify("groups", values)


def _foresee(this: Run, round_: Round, annotator: Annotator, progress: Progress) -> None:
    """Show what the groups become by all that was said so far, while ``round_`` is open.

    As long as nothing was, prepare for it.
    """
    heard = this.store.version()
    last = max(this.store.rounds())
    rounds = heard_rounds(this, annotator, last, open_=round_.number)
    if not any(questions.count for questions, _ in rounds):
        this.interaction.rehearse(round_)
        return
    this.interaction.hear_again(rounds)
    since = unlearned(this, rounds, progress) or round_.number
    round_ = round_._replace(number=last, since=since)
    _show_groups(this, this.interaction.foresee(round_), heard)


def _widened(probabilities: np.ndarray, clusters: int) -> np.ndarray:
    """``probabilities`` ``[n, c]`` with empty clusters for groups that were named later."""
    missing = max(0, clusters - probabilities.shape[1])
    return np.pad(probabilities, ((0, 0), (0, missing)))


def _round_of(progress: Progress, number: int, step: Step, total: int) -> Round:
    asked = progress.history[-1]["questions"]
    return Round(number, step.budget, asked, total, step.last, number)


def _learn_again(
    this: Run, rounds: list[tuple[Questions, Answers]], progress: Progress, since: int
) -> Progress:
    """Learn in one go from everything that was said, of which that from ``since`` on is new.

    It is what a new stage begins with, or what corrections come to.
    """
    number, counts = len(rounds), spent(this, len(rounds))
    pace = pace_of(this, number)
    new = sum(counts[since - 1 :])
    last = pace.step(costs(this, number)) is None
    round_ = Round(number, new, sum(counts) - new, total_of(this, pace), last, since)
    # The corrected round takes the place of what it was.
    history = [entry for entry in progress.history if entry["round"] < max(number, 1)]
    return _learned(this, round_, rounds, progress._replace(history=history))


def _begin(this: Run, seconds: dict[str, float]) -> Progress:
    this.notify("init", {})
    with _timed(seconds, "init"):
        this.interaction.begin()
    initial = this.interaction.probabilities
    keep_context(this, initial)
    return _evaluated(this, 0, 0, {}, Progress(initial, [], seconds, []))


def _round(
    this: Run, round_: Round, annotator: Annotator, progress: Progress
) -> tuple[Progress, list[tuple[Questions, Answers]] | None]:
    """A round, and all rounds so far; None where nothing was left to ask."""
    seconds, number = progress.seconds, round_.number
    with _timed(seconds, "select"):
        questions = this.store.questions(number)
        if questions is None:
            by_time = this.plan.minutes > 0
            budget = Budget(round_.budget, paces(this.store), by_time)
            questions = this.interaction.ask(round_, budget)
            questions = this.store.append(questions) if questions.count else questions
    if questions.count:
        _collect(this, questions, round_, annotator, progress)
    heard = this.store.version()
    # With what people said unasked meanwhile.
    last = volunteered_until(this, questions.round) if questions.count else number - 1
    # Earlier rounds, too: somebody may have corrected them meanwhile.
    rounds = heard_rounds(this, annotator, last)
    this.interaction.hear_again(rounds)
    ends = not questions.count or this.store.stopped_by() is not None
    round_ = round_._replace(
        number=max(last, number),
        budget=sum(spent(this, last)[number - 1 :]),
        last=round_.last or ends,
        since=unlearned(this, rounds, progress) or number,
    )
    progress = _learned(this, round_, rounds, progress)
    _show_groups(this, this.interaction.state, heard)
    return progress, rounds if questions.count else None


def _collect(
    this: Run, questions: Questions, round_: Round, annotator: Annotator, progress: Progress
) -> None:
    """Have ``questions`` answered, and show meanwhile what comes of what nobody had asked."""
    this.notify("annotate", {"round": questions.round, "questions": questions.count})
    if annotator.meanwhile is not None and this.interaction.spec.quick:
        now = round_._replace(number=questions.round)
        annotator.meanwhile(partial(_foresee, this, now, annotator, progress))
    with _timed(progress.seconds, "annotate"):
        collect(this.store, questions, annotator)


def _learned(
    this: Run, round_: Round, rounds: list[tuple[Questions, Answers]], progress: Progress
) -> Progress:
    """What was said is learned and scored; the same as before where there was nothing."""
    this.notify("learn", {"round": round_.number})
    with _timed(progress.seconds, "learn"):
        info = this.interaction.learn(round_)
    if info:
        this.log({"phase": "learn", "round": round_.number, **info})
    progress = progress._replace(learned=[gist(said) for said in rounds])
    if not round_.budget and not info:
        return progress
    return _evaluated(this, round_.number, round_.asked + round_.budget, info, progress)


def _evaluated(
    this: Run, number: int, questions: int, info: Mapping[str, float], progress: Progress
) -> Progress:
    """Score the state's predictions and enter them into the history."""
    with _timed(progress.seconds, "evaluate"):
        probs = this.interaction.probabilities
        metrics = evaluate(probs, this.dataset.labels)
        health = cluster_health(probs)
    expected = outlook(info, paces(this.store)[this.interaction.spec.asks[0]])
    # Where more clusters were wanted than there are groups, some end empty, and rightly so.
    wanted = min(probs.shape[1], round(expected["groups_low"])) if expected else probs.shape[1]
    warning = collapse_warning(health, wanted)
    if warning:
        logging.warning("round %d: %s", number, warning)
    entry = {"round": number, "questions": questions, "metrics": metrics, "health": health}
    entry["outlook"] = expected
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


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
