"""The contract of an annotator, and the one way in which answers are collected."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from idc_jax.annotate.fusion import agreement, fuse
from idc_jax.annotate.questions import SKIP, Answers, Questions, answered, some
from idc_jax.annotate.store import Store
from idc_jax.errors import UserError

FusionName = Literal["majority", "dawid_skene"]


class Annotator(NamedTuple):
    """Whoever answers: a simulation, a file, or people at a page.

    Attributes:
      name: what the store calls it.
      answer: ``(store, questions) -> None``: returns once every question has ``votes`` answers
        in the store. It finds in the store what an earlier process already answered, and writes
        every further answer there as it comes.
      votes: how many people answer each question.
      fusion: how their answers become one; see :func:`idc_jax.annotate.fusion.fuse`.
      refresh: ``(store) -> None``: brings into the store what was said or corrected elsewhere about
        rounds that are over, before a run goes on; None where nobody says anything elsewhere.
      meanwhile: ``(learn) -> None``: has ``learn`` called by ``answer``, when it begins and
        whenever people said something that nobody had asked; None where they cannot.
    """

    name: str
    answer: Callable[[Store, Questions], None]
    votes: int = 1
    fusion: FusionName = "majority"
    refresh: Callable[[Store], None] | None = None
    meanwhile: Callable[[Callable[[], None]], None] | None = None


def collect(store: Store, questions: Questions, annotator: Annotator) -> Answers:
    """Answer all of ``questions``, asking the store before asking anybody.

    The questions are frozen in the store first. When the store already holds questions of this
    round they are the ones that count, so pass what :meth:`Store.freeze` returned.

    Args:
      store: keeps the questions and every answer.
      questions: those of one round.
      annotator: asked only for what the store does not hold.

    Returns:
      One answer a question, votes fused.

    Raises:
      UserError: the store holds other questions of the round, or answers are still missing.
    """
    frozen = store.freeze(questions)
    if not np.array_equal(frozen.indices, questions.indices):
        raise UserError(
            f"round {questions.round}: the store {store.path} holds other questions than those "
            "asked now; go on from its frozen questions, or use another workdir"
        )
    if store.missing(frozen.round, annotator.votes).size:
        annotator.answer(store, frozen)
    missing = store.missing(frozen.round, annotator.votes)
    if missing.size:
        raise UserError(
            f"round {frozen.round}: {missing.size} of {frozen.count} questions are unanswered, "
            f"the first at position {missing[0]}"
        )
    return said_so_far(store, frozen, annotator)


def all_said(store: Store, annotator: Annotator) -> list[tuple[Questions, Answers]]:
    """What the store holds of all rounds: the questions that somebody answered, votes fused."""
    found = []
    for number in store.rounds():
        there = sorted({row.position for row in store.live(number)})
        if there:
            questions = store.questions(number)
            assert questions is not None
            answers = said_so_far(store, questions, annotator)
            found.append((some(questions, there), some(answers, there)))
    return found


def said_so_far(store: Store, questions: Questions, annotator: Annotator) -> Answers:
    """What the store holds of the answers to ``questions``, votes fused; skips where it has none.

    Args:
      store: holds the questions.
      questions: those of one round.
      annotator: says how votes are fused.
    """
    live = store.live(questions.round)
    choice = fuse(live, questions.count, annotator.fusion)
    opinions = [row for row in live if row.choice != SKIP]
    return answered(questions, choice, agreement(opinions, choice).share)
