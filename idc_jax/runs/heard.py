"""What people said in a run so far, what it cost, and how much may still be asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from idc_jax.annotate.annotator import Annotator, said_so_far
from idc_jax.annotate.questions import Answers, Questions, some
from idc_jax.annotate.volunteered import volunteered_rounds
from idc_jax.runs.bringing import brought_rounds
from idc_jax.runs.pace import Pace, answers_within, make_pace, paces
from idc_jax.runs.state import Progress, Run
from idc_jax.runs.workdir import Course

# Room for so many answers that nobody asks for, at first; it doubles.
_UNASKED = 1024


def volunteered_until(this: Run, last: int) -> int:
    """The last of the rounds that nobody asked and that follow ``last`` at once, or ``last``."""
    marks = volunteered_rounds(this.store)
    while last + 1 in marks:
        last += 1
    return last


def heard_rounds(
    this: Run, annotator: Annotator, last: int, *, open_: int | None = None
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


def spent(this: Run, rounds: int) -> list[int]:
    """How much of the budget each of so many rounds has taken, whatever became of the samples."""
    counts = []
    for number in range(1, rounds + 1):
        questions = this.store.questions(number)
        assert questions is not None
        over = number <= this.course.start
        counts.append(this.store.num_answered(number) if over else questions.count)
    return counts


def costs(this: Run, rounds: int) -> list[float]:
    """What each of so many rounds has taken of the budget: of minutes, by how long its kind takes.

    In answers of the usual kind.
    """
    counts = spent(this, rounds)
    if not this.plan.minutes or not this.plan.kinds:
        return list(map(float, counts))
    seconds, kinds, usual = paces(this.store), this.store.kinds(), this.interaction.spec.asks[0]
    prices = [seconds[kinds[number]] / seconds[usual] for number in range(1, rounds + 1)]
    return [price * count for price, count in zip(prices, counts, strict=True)]


def unlearned(this: Run, rounds: list[tuple[Questions, Answers]], progress: Progress) -> int | None:
    """The first round that says other than what was learned of it, None for none."""
    if progress.history[-1]["round"] < this.course.start:
        return 1
    now = [gist(said) for said in rounds]
    pairs = enumerate(zip(progress.learned, now, strict=False), start=1)
    return next((number for number, (before, after) in pairs if before != after), None)


def gist(said: tuple[Questions, Answers]) -> str:
    """A word for what was answered in a round."""
    _, answers = said
    arrays = (answers.indices, answers.choice, np.round(answers.weight, 6))
    return hashlib.blake2b(b"".join(a.tobytes() for a in arrays), digest_size=8).hexdigest()


def family(brought: Mapping[int, int], course: Course, round_: int) -> int:
    """Whose clusters were shown in a round: 0 for the present stage's."""
    stage = course.stage_of(round_)
    found = brought.get(round_, stage)
    return 0 if found == course.stage else found


def pace_of(this: Run, rounds: int) -> Pace:
    """How the rest of the budget is divided after so many rounds."""
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
    counts = costs(this, rounds)
    return make_pace(budget_of(this), this.plan.rounds, brought, counts, raised=raised)


def budget_of(this: Run) -> int:
    """Questions in all: those of the plan, or what its minutes hold at people's pace so far."""
    if not this.plan.minutes:
        return this.plan.budget
    spec = this.interaction.spec
    seconds = paces(this.store)[spec.asks[0]]
    budget = answers_within(this.plan.minutes, seconds) + this.store.further()
    return min(budget, this.dataset.size) if spec.chooses == "samples" else budget


def total_of(this: Run, pace: Pace) -> int:
    """How many answers there may be, so that no further one compiles the learning anew."""
    unasked = sum(volunteered_rounds(this.store).values())
    if not unasked and not this.listens:
        return pace.total
    return pace.total - unasked + max(_UNASKED, 1 << (max(unasked, 1) - 1).bit_length())
