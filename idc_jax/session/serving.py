"""A session on its page: it asks, learns, shows, and stays as long as people want."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idc_jax.annotate.annotator import collect
from idc_jax.annotate.page import galleries
from idc_jax.methods.contract import State
from idc_jax.session.composing import ROOM_ON_BOARD
from idc_jax.session.course import Course

if TYPE_CHECKING:  # a web server is loaded only where one is wanted
    from idc_jax.annotate.page import Page


def ask_on(page: Page, course: Course, *, per_round: int, rounds: int | None) -> None:
    """Ask on ``page`` until people stop or ``rounds`` are over, and stay while they are there.

    Args:
      page: is served.
      course: of the session.
      per_round: questions between two learnings.
      rounds: how many; None for as long as somebody answers.
    """
    course.room = ROOM_ON_BOARD
    store = course.book.store
    with course.heard_by(page.progress):
        while rounds is None or rounds > 0:
            if not _round(page, course, per_round):
                break
            rounds = None if rounds is None else rounds - 1
        further = store.further()
        while _stay(page, course):
            course.catch_up()
            wanted, further = store.further() - further, store.further()
            while wanted > 0 and (asked := _round(page, course, min(per_round, wanted))):
                wanted -= asked


def _stay(page: Page, course: Course) -> bool:
    """Show what was reached, and wait for what people want; False once there is nobody."""
    show(page, course, course.interaction.state, course.learned)
    probabilities = course.interaction.probabilities
    page.show_result({"outlook": course.expected, "galleries_after": galleries(probabilities)})
    return page.stay()


def _round(page: Page, course: Course, count: int) -> int:
    """Ask a round of at most ``count`` questions and learn it; how many, 0 for no more."""
    show(page, course, course.interaction.state, course.learned)
    questions = course.ask(count)
    show(page, course, course.interaction.state, course.learned)
    if questions.count:
        if course.interaction.spec.quick and page.annotator.meanwhile is not None:
            page.annotator.meanwhile(lambda: _foresee(page, course))
        collect(course.book.store, questions, page.annotator)
        course.catch_up()
        show(page, course, course.interaction.state, course.learned)
    return 0 if course.book.store.stopped_by() is not None else questions.count


def _foresee(page: Page, course: Course) -> None:
    found = course.foresee()
    if found is not None:
        show(page, course, *found)


def show(page: Page, course: Course, state: State, heard: int) -> None:
    """Put the groups of ``state``, learned from the first ``heard`` rows, on the board."""
    embeddings = course.interaction.embeddings_in(state)
    slots = getattr(state, "slots", None)
    # Rows are numbered from 1, and none is ever deleted.
    page.show_groups(state.probabilities, slots, embeddings, (heard, 0))
