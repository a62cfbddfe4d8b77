"""What the page is doing: which round is open, who is answering what, what has been learned.

The thread that runs the experiment and the server's threads meet here, under one lock.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from idc_jax.annotate.annotator import Annotator, FusionName
from idc_jax.annotate.database import StoreError
from idc_jax.annotate.groups import Group
from idc_jax.annotate.page.asked import Asked, known_sample
from idc_jax.annotate.page.board import Board
from idc_jax.annotate.page.groups import Prediction
from idc_jax.annotate.page.learning import Learning
from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.page.wire import (
    AnswerPost,
    FinishPost,
    GesturePost,
    LeavePost,
    MorePost,
    Post,
    RefusedError,
    RenamePost,
    StopPost,
    UndoPost,
)
from idc_jax.annotate.questions import Questions
from idc_jax.annotate.records import decode_choice
from idc_jax.annotate.stopping import left_out
from idc_jax.annotate.store import Row, Store
from idc_jax.errors import UserError

Phase = Literal["waiting", "asking", "learning", "over", "done"]

# Whoever asked how things are so lately has the page open.
_THERE_SECONDS = 10.0


class Session:
    """One run's page: ask, learn, show, and ask again."""

    def __init__(
        self,
        store: Store,
        pictures: Pictures,
        *,
        title: str,
        max_groups: int,
        votes: int,
        grace_seconds: float,
        class_names: Sequence[str] = (),
        fusion: FusionName = "majority",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pictures = pictures
        self._title = title
        self._max_groups = max_groups
        self._class_names = class_names
        self._votes = votes
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._changed = threading.Condition()
        self._phase: Phase = "waiting"
        self._asked: Asked | None = None
        self._complete_since: float | None = None
        self._finish_now = False
        self._stopped_by = ""
        self._there: dict[str, float] = {}  # when each person's page was last heard of
        self._learns_from = 0
        self._learning = Learning()
        self._learn: Callable[[], None] = _nothing
        self._heard = store.version()  # what the board's last prediction was learned from
        self._gestured = 0
        self._seen, self._ended, self._further = clock(), False, store.further()
        self._foreseeing = False
        self.board = Board(
            store,
            pictures,
            annotator=Annotator("page", lambda *_: None, votes, fusion),
            max_groups=max_groups,
            class_names=class_names,
        )

    @property
    def folder(self) -> Path:
        """Where the run leaves everything."""
        return self._store.path.parent

    # -- called by the experiment ------------------------------------------------------------

    def ask(self, questions: Questions) -> None:
        """Open a round, and return when it is answered and nobody wants to go back.

        Raises:
          UserError: the page was closed before that.
        """
        with self._changed:
            self._check_open()
            self.open(questions)
            fresh = self._learn is not _nothing
        while True:
            with self._changed:
                self._check_open()
                if (left := self._seconds_left()) <= 0:
                    self.close()
                    return
                if not fresh and not self._news():
                    self._changed.wait(min(left, 0.5))
                    continue
                fresh, self._foreseeing = False, self._news()
            # People go on meanwhile.
            self._learn()
            with self._changed:
                self._foreseeing = False

    def meanwhile(self, learn: Callable[[], None]) -> None:
        """Have ``learn`` called by :meth:`ask` whenever something was done on the board.

        Args:
          learn: predicts from all that was said, and has it shown by :meth:`show_groups`.
        """
        with self._changed:
            self._learn = learn

    def show_groups(
        self,
        probabilities: np.ndarray,
        slots: np.ndarray | None,
        embeddings: np.ndarray | None,
        heard: tuple[int, int],
    ) -> None:
        """Put what was learned on the board; see :meth:`Page.show_groups`."""
        arrays = (None if one is None else np.asarray(one) for one in (slots, embeddings))
        with self._changed:
            self._heard = heard
            self.board.show(Prediction(np.asarray(probabilities), *arrays))

    def open(self, questions: Questions) -> None:
        """Open a round for answers."""
        with self._changed:
            self._asked = Asked(
                questions,
                self._store,
                votes=self._votes,
                class_names=self._class_names,
                clock=self._clock,
            )
            self._phase = "asking"
            self._finish_now, self._stopped_by = False, ""
            self._note_completion()

    def close(self) -> None:
        """Take no more answers: they are learned now."""
        with self._changed:
            self._phase = "learning"
            self._learns_from = self._store.num_said()
            self._learning.begin()
            if self._stopped_by:
                self._store.stop(self._stopped_by)

    def progress(self, values: Mapping[str, Any]) -> None:
        """Show scalars of the training, e.g. ``{"step": 20, "steps": 500, "loss": 0.7}``."""
        with self._changed:
            self._learning.progress(values)

    def show_result(self, result: Mapping[str, Any]) -> None:
        """Show what a round has bought; see :meth:`Page.show_result`."""
        with self._changed:
            self._learning.add(result)

    def stay(self, idle_seconds: float) -> bool:
        """Say that all is asked and learned, and wait for what people want next.

        Args:
          idle_seconds: nobody is there who has not been heard of for so long.

        Returns:
          Whether something was said, or more questions are wanted; False once nobody is there, or
          somebody closed the page for good.
        """
        with self._changed:
            self._phase = "over"
            self._ended = False
            while not self._ended and self._clock() - self._seen < idle_seconds:
                if self._store.further() > self._further or self._heard[0] < self._gestured:
                    self._further = self._store.further()
                    self._phase = "learning"
                    return True
                self._changed.wait(0.5)
            return False

    def finish(self) -> None:
        """Say that the run is over."""
        with self._changed:
            self._phase = "done"
            self._changed.notify_all()

    # -- called by the server ----------------------------------------------------------------

    def state(self, annotator: str) -> dict[str, Any]:
        """Everything but the questions."""
        with self._changed:
            now = self._seen = self._clock()
            self._there[annotator] = now
            others = self._there.keys() - {annotator}
            asked = self._asked
            total = asked.questions.count if asked else 0
            # One that nobody means any more, as that of a typing error, is gone until named again.
            used = self._store.used_groups()
            groups = [group for group in self._store.groups() if group.id in used]
            return {
                "phase": self._phase,
                "title": self._title,
                "round": asked.questions.round if asked else 0,
                "kind": asked.questions.kind if asked else None,
                "total": total,
                "mine": asked.mine(annotator) if asked else 0,
                "votes": self._votes,
                "others": sum(now - self._there[name] < _THERE_SECONDS for name in others),
                "learns_from": self._learns_from,
                "given": asked.given if asked else 0,
                "needed": self._votes * total,
                "complete": self._complete_since is not None,
                "closes_in": self._closes_in(),
                "groups": [self._describe_group(group) for group in groups],
                "max_groups": self._max_groups,
                "report": (self.folder / "report.html").exists(),
                **self._learning.told(self.board.names()),
            }

    def board_state(self) -> dict[str, Any]:
        """Where the board stands: its version, and whether what was done on it is learned."""
        with self._changed:
            self._seen = self._clock()
            learned = self._heard[0] >= self._gestured
            return {
                "version": self.board.version(),
                "phase": self._phase,
                "round": self._asked.questions.round if self._asked else 0,
                "learning": not learned and (self._foreseeing or self._phase == "learning"),
                "learned": learned,
            }

    def next_questions(
        self, annotator: str, held: Sequence[int], spare: Sequence[int], count: int
    ) -> dict[str, Any]:
        """Screens for this person, as :meth:`Asked.hand_out` gives them.

        Returns:
          ``questions``, and ``taken``: screens that other people have answered or hold.
        """
        with self._changed:
            if self._phase != "asking" or self._asked is None:
                return {"questions": [], "taken": []}
            found, taken = self._asked.hand_out(annotator, held, spare, count)
            describe, pictures = self._asked.describe, self._pictures
            return {
                "questions": [describe(screen, annotator, pictures) for screen in found],
                "taken": taken,
            }

    def questions(self) -> list[dict[str, Any]]:
        """All screens of the round."""
        with self._changed:
            return list(self._asked.describe_all(self._pictures)) if self._asked else []

    def recent(self, annotator: str) -> list[dict[str, Any]]:
        """This person's latest answers of the open round, oldest first, to go back to."""
        with self._changed:
            if self._asked is None or self._phase != "asking":
                return []
            return self._asked.recent(annotator, self._pictures)

    def write(self, posts: Sequence[Post]) -> list[dict[str, Any] | RefusedError]:
        """Make posts durable, in their order and in one transaction.

        Returns:
          For each post what to reply, or why it was refused. It is on disk when this returns.
        """
        with self._changed:
            replies: list[dict[str, Any] | RefusedError] = []
            rows: list[Row] = []
            for post in posts:
                try:
                    replies.append(self._take(post, rows))
                except RefusedError as refused:
                    replies.append(refused)
                except StoreError as error:
                    replies.append(_unavailable(error))
            try:
                self._store.add(rows)
            except StoreError as error:
                return [_unavailable(error)] * len(posts)
            self._after(rows)
            return replies

    # -- inside the lock ---------------------------------------------------------------------

    def _take(self, post: Post, rows: list[Row]) -> dict[str, Any]:
        if isinstance(post, RenamePost):
            return self._rename(post)
        if isinstance(post, GesturePost):
            return self._gesture(post, rows)
        if isinstance(post, MorePost):
            return self._more(post)
        if isinstance(post, LeavePost):
            return self._leave(post.annotator)
        if isinstance(post, FinishPost):
            if self._asked and post.round < self._asked.questions.round:
                return {"ok": True}  # somebody was quicker
            self._check_round(post.round)
            if self._complete_since is None:
                raise RefusedError(409, "some questions are not answered yet")
            self._finish_now = True
            return {"ok": True}
        if isinstance(post, StopPost):
            self._check_round(post.round)
            assert self._asked is not None
            voters = self._asked.voters
            rows += left_out(post.round, voters, self._votes, rows, post.annotator)
            self._stopped_by, self._finish_now = post.annotator, True
            return {"ok": True}
        pending = {row.client_id: row for row in rows}
        known = pending.get(post.client_id) or self._store.find(post.client_id)
        if known is None:
            known = (
                self._undo_row(post, pending)
                if isinstance(post, UndoPost)
                else self._answer_row(post)
            )
            rows.append(known)
        elif known.annotator != post.annotator:
            raise RefusedError(409, "this client id is somebody else's")
        return {"ok": True, "client_id": post.client_id}

    def _answer_row(self, post: AnswerPost) -> Row:
        questions = self._check_round(post.round)
        if post.position >= questions.count:
            raise RefusedError(422, f"round {post.round} has no question {post.position}")
        return Row(
            client_id=post.client_id,
            round=post.round,
            position=post.position,
            annotator=post.annotator,
            choice=self._choice(questions, post),
            seconds=post.seconds,
        )

    def _choice(self, questions: Questions, post: AnswerPost) -> int:
        if post.group is None:
            try:
                choice = decode_choice(questions, post.position, post.answer)
            except UserError as error:
                raise RefusedError(422, str(error)) from error
            assert isinstance(choice, int)
            return choice
        if questions.kind != "label":
            raise RefusedError(422, "only a label question is answered by a group")
        key, name = post.group
        known = next((group for group in self._store.groups() if group.key == key), None)
        if known:
            return known.id
        sample = int(questions.indices[post.position])
        try:
            return self._store.name_group(
                key, name, sample, limit=self._max_groups, class_names=self._class_names
            ).id
        except StoreError:
            raise
        except UserError as error:
            raise RefusedError(409, str(error)) from error

    def _undo_row(self, post: UndoPost, pending: Mapping[str, Row]) -> Row:
        undone = pending.get(post.undoes) or self._store.find(post.undoes)
        if undone is None or undone.undoes is not None:
            raise RefusedError(422, "there is no such answer to undo")
        if undone.annotator != post.annotator:
            raise RefusedError(422, "only one's own answers can be undone")
        self._check_round(undone.round)
        return undone._replace(
            client_id=post.client_id, choice=0, seconds=0.0, undoes=post.undoes, time=0.0
        )

    def _gesture(self, post: GesturePost, rows: list[Row]) -> dict[str, Any]:
        # What came before it is written before it.
        self._store.add(rows)
        self._after(rows)
        rows.clear()
        reply = self.board.take(post)
        self._gestured = self._store.version()[0]
        self._count_votes()
        return reply

    def _more(self, post: MorePost) -> dict[str, Any]:
        if post.count:
            self._store.ask_further(post.count, post.round)
        else:
            self._ended = True
        return {"ok": True}

    def _news(self) -> bool:
        """Whether something was done on the board since the last prediction."""
        return self._learn is not _nothing and self._heard[0] < self._gestured

    def _rename(self, post: RenamePost) -> dict[str, Any]:
        if all(group.key != post.key for group in self._store.groups()):
            raise RefusedError(422, "there is no such group")
        try:
            self._store.name_group(post.key, post.name, -1)
        except StoreError:
            raise
        except UserError as error:
            raise RefusedError(409, str(error)) from error
        return {"ok": True}

    def _leave(self, annotator: str) -> dict[str, Any]:
        """Whoever has left is there no longer, and holds no questions."""
        self._there.pop(annotator, None)
        if self._asked is not None:
            self._asked.leave(annotator)
        return {"ok": True}

    def _check_open(self) -> None:
        if self._phase == "done":
            raise UserError("the page was closed before all its questions were answered")

    def _check_round(self, round_: int) -> Questions:
        if self._asked is None or round_ > self._asked.questions.round:
            raise RefusedError(503, "the questions of this round are not open yet")
        questions = self._asked.questions
        if round_ < questions.round or self._phase != "asking":
            raise RefusedError(409, f"round {round_} is closed: its answers are being learned")
        return questions

    def _after(self, rows: Sequence[Row]) -> None:
        if any(row.undoes for row in rows):
            self._count_votes()
        if rows and self._asked is not None:
            self._asked.count(rows)
            self._note_completion()
        self._changed.notify_all()

    def _count_votes(self) -> None:
        if self._asked is not None:
            self._asked.count_again()
            self._note_completion()

    def _note_completion(self) -> None:
        assert self._asked is not None
        complete = self._asked.complete
        self._complete_since = self._clock() if complete else None
        self._finish_now = self._finish_now and complete

    def _closes_in(self) -> float | None:
        if self._complete_since is None or self._phase != "asking":
            return None
        return max(0.0, self._complete_since + self._grace_seconds - self._clock())

    def _seconds_left(self) -> float:
        if self._complete_since is None:
            return math.inf
        return 0.0 if self._finish_now else (self._closes_in() or 0.0)

    def _describe_group(self, group: Group) -> dict[str, Any]:
        sample = known_sample(self._pictures, group.exemplar)
        return {"key": group.key, "id": group.id, "name": group.name, "sample": sample}


def _nothing() -> None:
    pass


def _unavailable(error: StoreError) -> RefusedError:
    return RefusedError(503, f"the answer could not be saved yet: {error.__cause__ or error}")
