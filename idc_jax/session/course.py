"""How a session asks and learns, wherever the answers come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from idc_jax import asking
from idc_jax.annotate.questions import Answers, Questions
from idc_jax.annotate.store import Row
from idc_jax.methods.contract import Round, State
from idc_jax.runs.interaction import Interaction
from idc_jax.runs.outlook import outlook
from idc_jax.runs.pace import paces
from idc_jax.session.book import Book
from idc_jax.session.composing import ROOM, room
from idc_jax.train.log import Log, silent


class Course:
    """Questions, answers, and what was learned from them so far.

    Attributes:
      interaction: the method at work.
      book: all that was said.
      learned: the rows of the book's store that were learned.
      expected: what the method expects of its clustering, as people are told it; None for nothing.
      room: answers to prepare for, at least.
      hear: hears of the training's losses.
    """

    def __init__(self, interaction: Interaction, book: Book) -> None:
        """Begin; nothing has been learned."""
        self.interaction, self.book = interaction, book
        self.learned, self.room = 0, ROOM
        self.expected: dict[str, Any] | None = None
        self.hear: Log = silent

    @contextmanager
    def heard_by(self, hear: Log) -> Iterator[None]:
        """Have ``hear`` told of losses while the context is open."""
        self.hear = hear
        try:
            yield
        finally:
            self.hear = silent

    def ask(self, count: int) -> Questions:
        """The next round, of at most ``count`` questions; it is frozen unless it has none."""
        self.catch_up()
        store = self.book.store
        number = max(store.rounds(), default=0) + 1
        asked = sum(questions.count for questions, _ in self.book.rounds())
        round_ = Round(number, count, asked, room(asked + count, self.room), False, number)
        questions = self.interaction.ask(round_, asking.Budget(count, paces(store)))
        return store.append(questions) if questions.count else questions

    def catch_up(self) -> None:
        """Learn what was said since the last time."""
        rows = self.book.store.rows()
        new = rows[self.learned :]
        if not new:
            return
        rounds = self.book.rounds()
        self.interaction.hear_again(rounds)
        self.learned = len(rows)
        if not rounds:
            # Everything was taken back.
            self.interaction.begin()
            self.expected = None
            return
        try:
            info = self.interaction.learn(self._round_with(rounds, new))
            seconds = paces(self.book.store)[self.interaction.spec.asks[0]]
            self.expected = outlook(info, seconds) or self.expected
        except KeyboardInterrupt:
            self.learned = len(rows) - len(new)  # when somebody asks again
            raise

    def foresee(self) -> tuple[State, int] | None:
        """What comes of all that was said so far, and of how many rows; nothing of it is kept.

        None where that is known. As long as nothing was said, prepare for it.
        """
        rows, rounds = self.book.store.rows(), self.book.rounds()
        if not rounds:
            self.interaction.rehearse(Round(1, 1, 0, room(1, self.room), False, 1))
        elif len(rows) > self.learned:
            self.interaction.hear_again(rounds)
            round_ = self._round_with(rounds, rows[self.learned :])
            return self.interaction.foresee(round_), len(rows)
        return None

    def _round_with(self, rounds: Sequence[tuple[Questions, Answers]], new: Sequence[Row]) -> Round:
        """The round that learns ``rounds``, of which the rows ``new`` were not known before."""
        since = min(row.round for row in new)
        counts = {questions.round: questions.count for questions, _ in rounds}
        told = sum(count for number, count in counts.items() if number >= since)
        asked, last = sum(counts.values()), max(counts, default=since)
        total = room(asked, self.room)
        return Round(max(last, since), told, asked - told, total, False, since)
