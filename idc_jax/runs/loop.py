"""The loop of a run: (ask, answer, learn, evaluate, save) until the budget is spent.

Killed at any moment, the same call goes on: the questions of a round are frozen in the store
before anybody sees them, every answer is there before it counts, and what has been learned is
in a checkpoint. Nothing that was answered is asked again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from idc_jax.annotate.annotator import Annotator, collect, said_so_far
from idc_jax.annotate.questions import Answers, QuestionKind, Questions, some
from idc_jax.annotate.records import export_answers
from idc_jax.annotate.samples import open_store
from idc_jax.annotate.store import Store
from idc_jax.annotate.volunteered import volunteered_rounds
from idc_jax.asking import Budget
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError
from idc_jax.methods.contract import Method, MethodSpec, Round, State, embeddings_of
from idc_jax.metrics import cluster_health, clustering_metrics, collapse_warning
from idc_jax.report import count_questions
from idc_jax.runs.bringing import brought_rounds
from idc_jax.runs.interaction import Interaction
from idc_jax.runs.outlook import outlook
from idc_jax.runs.pace import Pace, Step, answers_within, make_pace, paces
from idc_jax.runs.together import Leading
from idc_jax.runs.workdir import Course, MetricsLog
from idc_jax.train.checkpoint import Checkpoints, read_latest, rebuild

# Room for so many answers that nobody asks for, at first; it doubles.
_UNASKED = 1024
# (probabilities before any answer) -> who answers; called once per process.
MakeAnnotator = Callable[[np.ndarray], Annotator]
# Told what happens, for a page that shows it.
Notify = Callable[[str, Mapping[str, Any]], None]


class Plan(NamedTuple):
    """How much is asked.

    Attributes:
      budget: questions in all, beside answers that were brought from elsewhere.
      rounds: in how many rounds; the earlier ones take what does not divide. Where all of them
        have been asked and the budget was raised, what is left makes one round more.
      seed: fixes everything.
      minutes: that a person has; more than 0 takes the place of the budget, which is then as many
        answers as they hold.
      kinds: of the questions; () for the method's usual one.
    """

    budget: int
    rounds: int
    seed: int
    minutes: float = 0.0
    kinds: tuple[QuestionKind, ...] = ()


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

    interaction: Interaction
    dataset: Dataset
    store: Store
    plan: Plan
    workdir: Path
    course: Course
    log: MetricsLog
    notify: Notify
    # Whether people may say things that nobody asked.
    listens: bool = False


class _Progress(NamedTuple):
    """What moves.

    Attributes:
      initial: probabilities before any answer.
      history: an entry for each round that was scored.
      seconds: by phase.
      learned: :func:`_gist` of each round that was learned.
    """

    initial: np.ndarray
    history: list[dict[str, Any]]
    seconds: dict[str, float]
    learned: list[str]


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
            family=partial(_family, brought_rounds(store), course),
        )
        plan = plan._replace(budget=plan.budget + store.further())
        this = _Run(interaction, dataset, store, plan, workdir, course, log, notify)
        progress = _resume(this, checkpoints, seconds)
        if progress is None:
            progress = _begin(this, seconds)
            _save(this, checkpoints, progress)
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
    this: _Run, checkpoints: Checkpoints, annotator: Annotator, progress: _Progress
) -> tuple[_Progress, list[tuple[Questions, Answers]]]:
    """Go round after round to the end, from wherever the run is."""
    if annotator.refresh is not None:
        annotator.refresh(this.store)
    heard = this.store.version()
    rounds = _heard(this, annotator, max(this.course.start, progress.history[-1]["round"]))
    this.interaction.hear_again(rounds)
    if (since := _unlearned(this, rounds, progress)) is not None:
        progress = _learn_again(this, rounds, progress, since)
        _save(this, checkpoints, progress)
    _show_groups(this, this.interaction.state, heard)
    while True:
        number = len(rounds) + 1
        if (last := _volunteered_until(this, len(rounds))) >= number:
            progress, rounds = _learn_volunteered(this, number, last, annotator, progress)
            _save(this, checkpoints, progress)
            continue
        pace = _pace(this, len(rounds))
        step = pace.step(_costs(this, len(rounds)))
        if step is None:
            break
        if (name := this.store.stopped_by()) is not None:
            logging.warning("%s stopped the run after round %d", name, number - 1)
            break
        round_ = _round_of(progress, number, step, _total(this, pace))
        progress, said = _round(this, round_, annotator, progress)
        if said is None:
            logging.warning("nothing is left to ask; the run ends after %d rounds", number - 1)
            break
        rounds = said
        _save(this, checkpoints, progress)
    return progress, rounds


def _volunteered_until(this: _Run, last: int) -> int:
    """The last of the rounds that nobody asked and that follow ``last`` at once, or ``last``."""
    marks = volunteered_rounds(this.store)
    while last + 1 in marks:
        last += 1
    return last


def _learn_volunteered(
    this: _Run, first: int, last: int, annotator: Annotator, progress: _Progress
) -> tuple[_Progress, list[tuple[Questions, Answers]]]:
    """Learn what people said unasked, in the rounds from ``first`` to ``last``."""
    heard = this.store.version()
    rounds = _heard(this, annotator, last)
    this.interaction.hear_again(rounds)
    counts = _spent(this, last)
    pace = _pace(this, last)
    round_ = Round(
        number=last,
        budget=sum(counts[first - 1 :]),
        asked=progress.history[-1]["questions"],
        total=_total(this, pace),
        last=pace.step(_costs(this, last)) is None,
        since=_unlearned(this, rounds, progress) or first,
    )
    progress = _learned(this, round_, rounds, progress)
    _show_groups(this, this.interaction.state, heard)
    return progress, rounds


def _show_groups(this: _Run, state: State, heard: tuple[int, int]) -> None:
    """Tell what the groups are in ``state``, learned from the store as it was at ``heard``."""
    values = {
        "probabilities": np.asarray(state.probabilities),
        "slots": getattr(state, "slots", None),
        "embeddings": embeddings_of(this.interaction.context, state),
        "heard": heard,
    }
    this.notify("groups", values)


def _foresee(this: _Run, round_: Round, annotator: Annotator, progress: _Progress) -> None:
    """Show what the groups become by all that was said so far, while ``round_`` is open.

    As long as nothing was, prepare for it.
    """
    heard = this.store.version()
    last = max(this.store.rounds())
    rounds = _heard(this, annotator, last, open_=round_.number)
    if not any(questions.count for questions, _ in rounds):
        this.interaction.rehearse(round_)
        return
    this.interaction.hear_again(rounds)
    since = _unlearned(this, rounds, progress) or round_.number
    round_ = round_._replace(number=last, since=since)
    _show_groups(this, this.interaction.foresee(round_), heard)


def _widened(probabilities: np.ndarray, clusters: int) -> np.ndarray:
    """``probabilities`` ``[n, c]`` with empty clusters for groups that were named later."""
    missing = max(0, clusters - probabilities.shape[1])
    return np.pad(probabilities, ((0, 0), (0, missing)))


def question_total(rounds: list[tuple[Questions, Answers]]) -> dict[str, int]:
    """Count what was asked and answered, as ``result.json`` has it."""
    return count_questions(rounds)


def _heard(
    this: _Run, annotator: Annotator, last: int, *, open_: int | None = None
) -> list[tuple[Questions, Answers]]:
    """The rounds up to ``last``, with what was answered about samples that are here.

    Of earlier stages, of what nobody asked, and from a round that is ``open_`` on, only what has
    an answer was ever asked.
    """
    rounds, volunteered = [], volunteered_rounds(this.store)
    for number in range(1, last + 1):
        questions = this.store.questions(number)
        assert questions is not None, f"round {number} was learned but its questions are gone"
        kept, answers = questions.here, said_so_far(this.store, questions, annotator)
        is_open = open_ is not None and number >= open_
        if number <= this.course.start or number in volunteered or is_open:
            there = [row.position for row in this.store.live(number)]
            kept = kept & np.isin(np.arange(questions.count), there)
        rounds.append((some(questions, kept), some(answers, kept)))
    return rounds


def _spent(this: _Run, rounds: int) -> list[int]:
    """How much of the budget each of so many rounds has taken, whatever became of the samples."""
    counts = []
    for number in range(1, rounds + 1):
        questions = this.store.questions(number)
        assert questions is not None
        over = number <= this.course.start
        counts.append(this.store.num_answered(number) if over else questions.count)
    return counts


def _costs(this: _Run, rounds: int) -> list[float]:
    """What each of so many rounds has taken of the budget: of minutes, by how long its kind takes.

    In answers of the usual kind.
    """
    counts = _spent(this, rounds)
    if not this.plan.minutes or not this.plan.kinds:
        return list(map(float, counts))
    seconds, kinds, usual = paces(this.store), this.store.kinds(), this.interaction.spec.asks[0]
    prices = [seconds[kinds[number]] / seconds[usual] for number in range(1, rounds + 1)]
    return [price * count for price, count in zip(prices, counts, strict=True)]


def _unlearned(
    this: _Run, rounds: list[tuple[Questions, Answers]], progress: _Progress
) -> int | None:
    """The first round that says other than what was learned of it, None for none."""
    if progress.history[-1]["round"] < this.course.start:
        return 1
    now = [_gist(said) for said in rounds]
    pairs = enumerate(zip(progress.learned, now, strict=False), start=1)
    return next((number for number, (before, after) in pairs if before != after), None)


def _gist(said: tuple[Questions, Answers]) -> str:
    """A word for what was answered in a round."""
    _, answers = said
    arrays = (answers.indices, answers.choice, np.round(answers.weight, 6))
    return hashlib.blake2b(b"".join(a.tobytes() for a in arrays), digest_size=8).hexdigest()


def _family(brought: Mapping[int, int], course: Course, round_: int) -> int:
    """Whose clusters were shown in a round: 0 for the present stage's."""
    stage = course.stage_of(round_)
    found = brought.get(round_, stage)
    return 0 if found == course.stage else found


def _pace(this: _Run, rounds: int) -> Pace:
    brought = {}
    for number in brought_rounds(this.store):
        questions = this.store.questions(number)
        assert questions is not None
        brought[number] = questions.count
    brought |= volunteered_rounds(this.store)
    # A new stage may have given up a round that nobody had finished.
    more = ("budget", "minutes")
    changes = this.course.changes
    raised = any(c.anew or any(name in c.changed for name in more) for c in changes)
    raised = raised or this.store.further() > 0
    counts = _costs(this, rounds)
    return make_pace(_budget(this), this.plan.rounds, brought, counts, raised=raised)


def _budget(this: _Run) -> int:
    """Questions in all: those of the plan, or what its minutes hold at people's pace so far."""
    if not this.plan.minutes:
        return this.plan.budget
    spec = this.interaction.spec
    seconds = paces(this.store)[spec.asks[0]]
    budget = answers_within(this.plan.minutes, seconds) + this.store.further()
    return min(budget, this.dataset.size) if spec.chooses == "samples" else budget


def _total(this: _Run, pace: Pace) -> int:
    """How many answers there may be, so that no further one compiles the learning anew."""
    unasked = sum(volunteered_rounds(this.store).values())
    if not unasked and not this.listens:
        return pace.total
    return pace.total - unasked + max(_UNASKED, 1 << (max(unasked, 1) - 1).bit_length())


def _round_of(progress: _Progress, number: int, step: Step, total: int) -> Round:
    asked = progress.history[-1]["questions"]
    return Round(number, step.budget, asked, total, step.last, number)


def _learn_again(
    this: _Run, rounds: list[tuple[Questions, Answers]], progress: _Progress, since: int
) -> _Progress:
    """Learn in one go from everything that was said, of which that from ``since`` on is new.

    It is what a new stage begins with, or what corrections come to.
    """
    number, counts = len(rounds), _spent(this, len(rounds))
    pace = _pace(this, number)
    new = sum(counts[since - 1 :])
    last = pace.step(_costs(this, number)) is None
    round_ = Round(number, new, sum(counts) - new, _total(this, pace), last, since)
    # The corrected round takes the place of what it was.
    history = [entry for entry in progress.history if entry["round"] < max(number, 1)]
    return _learned(this, round_, rounds, progress._replace(history=history))


def _begin(this: _Run, seconds: dict[str, float]) -> _Progress:
    this.notify("init", {})
    with _timed(seconds, "init"):
        this.interaction.begin()
    initial = this.interaction.probabilities
    kept = Checkpoints(_context_folder(this))
    kept.save(0, {"context": this.interaction.context, "initial": initial}, {})
    kept.close()
    return _evaluated(this, 0, 0, {}, _Progress(initial, [], seconds, []))


def _round(
    this: _Run, round_: Round, annotator: Annotator, progress: _Progress
) -> tuple[_Progress, list[tuple[Questions, Answers]] | None]:
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
    last = _volunteered_until(this, questions.round) if questions.count else number - 1
    # Earlier rounds, too: somebody may have corrected them meanwhile.
    rounds = _heard(this, annotator, last)
    this.interaction.hear_again(rounds)
    ends = not questions.count or this.store.stopped_by() is not None
    round_ = round_._replace(
        number=max(last, number),
        budget=sum(_spent(this, last)[number - 1 :]),
        last=round_.last or ends,
        since=_unlearned(this, rounds, progress) or number,
    )
    progress = _learned(this, round_, rounds, progress)
    _show_groups(this, this.interaction.state, heard)
    return progress, rounds if questions.count else None


def _collect(
    this: _Run, questions: Questions, round_: Round, annotator: Annotator, progress: _Progress
) -> None:
    """Have ``questions`` answered, and show meanwhile what comes of what nobody had asked."""
    this.notify("annotate", {"round": questions.round, "questions": questions.count})
    if annotator.meanwhile is not None and this.interaction.spec.quick:
        now = round_._replace(number=questions.round)
        annotator.meanwhile(partial(_foresee, this, now, annotator, progress))
    with _timed(progress.seconds, "annotate"):
        collect(this.store, questions, annotator)


def _learned(
    this: _Run, round_: Round, rounds: list[tuple[Questions, Answers]], progress: _Progress
) -> _Progress:
    """What was said is learned and scored; the same as before where there was nothing."""
    this.notify("learn", {"round": round_.number})
    with _timed(progress.seconds, "learn"):
        info = this.interaction.learn(round_)
    if info:
        this.log({"phase": "learn", "round": round_.number, **info})
    progress = progress._replace(learned=[_gist(said) for said in rounds])
    if not round_.budget and not info:
        return progress
    return _evaluated(this, round_.number, round_.asked + round_.budget, info, progress)


def _evaluated(
    this: _Run, number: int, questions: int, info: Mapping[str, float], progress: _Progress
) -> _Progress:
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


def _resume(this: _Run, checkpoints: Checkpoints, seconds: dict[str, float]) -> _Progress | None:
    saved = checkpoints.latest()
    if saved is None:
        return None
    try:
        kept = read_latest(_context_folder(this))
    except UserError as error:
        logging.warning("beginning again, with all answers: %s", error)
        return None
    if kept is None:
        # A run of before the context was kept apart: it begins again, with the answers it has.
        return None
    logging.info("going on after round %d", saved.step)
    this.log.rewind(saved.meta["log_lines"])
    spent = {k: saved.meta["seconds"].get(k, 0.0) + seconds.get(k, 0.0) for k in seconds}
    spec = this.interaction.spec
    this.interaction.go_on(
        rebuild(spec.context, kept.tree["context"]), rebuild(spec.state, saved.tree["state"])
    )
    last = saved.meta["history"][-1]
    this.notify("resumed", {**last, "probabilities": this.interaction.probabilities})
    return _Progress(
        initial=np.asarray(kept.tree["initial"]),
        history=saved.meta["history"],
        seconds={**saved.meta["seconds"], **spent},
        # Checkpoints of before this was kept: what is said now is what was learned.
        learned=saved.meta.get("learned", []),
    )


def _save(this: _Run, checkpoints: Checkpoints, progress: _Progress) -> None:
    """Save as the round that was learned last."""
    meta = {
        "history": progress.history,
        "seconds": progress.seconds,
        "learned": progress.learned,
        "log_lines": len(this.log.lines),
    }
    checkpoints.save(progress.history[-1]["round"], {"state": this.interaction.state}, meta)


def _context_folder(this: _Run) -> Path:
    return this.course.folder(this.workdir) / "context"


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
