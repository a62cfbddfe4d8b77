"""What the page is doing: which round is open, who is answering what, what has been learned.

The thread that runs the experiment and the server's threads meet here, under one lock.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from idc_jax.annotate.annotator import Annotator, FusionName
from idc_jax.annotate.page.board import Board
from idc_jax.annotate.page.groups import Prediction
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
from idc_jax.annotate.records import decode_choice, encode_choice
from idc_jax.annotate.stopping import left_out
from idc_jax.annotate.store import Group, Row, Store, StoreError
from idc_jax.errors import UserError

Phase = Literal["waiting", "asking", "learning", "over", "done"]

# A question that was handed out waits this long for its answer before others may get it too.
_LEASE_SECONDS = 60.0
_LEASES = 8
# Whoever asked how things are so lately has the page open.
_THERE_SECONDS = 10.0
_RECENT = 60
_MOST_LOSSES = 400
_MEMBERS = 6


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
        self._questions: Questions | None = None
        self._voters: list[set[str]] = []
        self._leases: dict[int, dict[str, float]] = {}  # position -> {name: until}
        self._complete_since: float | None = None
        self._finish_now = False
        self._stopped_by = ""
        self._there: dict[str, float] = {}  # when each person's page was last heard of
        self._learns_from = 0
        self._progress: dict[str, Any] = {}
        self._losses: list[float] = []
        self._results: list[dict[str, Any]] = []
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
            self._questions = questions
            self._phase = "asking"
            self._finish_now = False
            self._leases.clear()
            self._count_votes()

    def close(self) -> None:
        """Take no more answers: they are learned now."""
        with self._changed:
            self._phase = "learning"
            self._learns_from = self._store.num_said()
            self._progress, self._losses = {}, []
            if self._stopped_by:
                self._store.stop(self._stopped_by)

    def progress(self, values: Mapping[str, Any]) -> None:
        """Show scalars of the training, e.g. ``{"step": 20, "steps": 500, "loss": 0.7}``."""
        plain = {name.rsplit("/", 1)[-1]: value for name, value in _plain(dict(values)).items()}
        with self._changed:
            if plain.get("phase") != self._progress.get("phase"):
                self._losses = []  # of another kind
            self._progress = plain
            if isinstance(plain.get("loss"), int | float):
                self._losses.append(plain["loss"])
            if len(self._losses) > _MOST_LOSSES:  # halve the resolution, keep the whole curve
                self._losses = self._losses[::2]

    def show_result(self, result: Mapping[str, Any]) -> None:
        """Show what a round has bought; see :meth:`Page.show_result`."""
        with self._changed:
            self._results.append(_plain(dict(result)))

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
            given = sum(min(len(voters), self._votes) for voters in self._voters)
            # One that nobody means any more, as that of a typing error, is gone until named again.
            used = self._store.used_groups()
            groups = [group for group in self._store.groups() if group.id in used]
            return {
                "phase": self._phase,
                "title": self._title,
                "round": self._questions.round if self._questions else 0,
                "kind": self._questions.kind if self._questions else None,
                "total": len(self._voters),
                "mine": sum(annotator in voters for voters in self._voters),
                "votes": self._votes,
                "others": sum(now - self._there[name] < _THERE_SECONDS for name in others),
                "learns_from": self._learns_from,
                "given": given,
                "needed": self._votes * len(self._voters),
                "complete": self._complete_since is not None,
                "closes_in": self._closes_in(),
                "groups": [self._describe_group(group) for group in groups],
                "max_groups": self._max_groups,
                "progress": self._progress,
                "losses": self._losses,
                "results": len(self._results),
                "result": self._result(),
                "report": (self.folder / "report.html").exists(),
            }

    def board_state(self) -> dict[str, Any]:
        """Where the board stands: its version, and whether what was done on it is learned."""
        with self._changed:
            self._seen = self._clock()
            learned = self._heard[0] >= self._gestured
            return {
                "version": self.board.version(),
                "phase": self._phase,
                "round": self._questions.round if self._questions else 0,
                "learning": not learned and (self._foreseeing or self._phase == "learning"),
                "learned": learned,
            }

    def next_questions(
        self, annotator: str, held: Sequence[int], spare: Sequence[int], count: int
    ) -> dict[str, Any]:
        """Questions for this person, and a lease on those that they will come to soon.

        Args:
          annotator: who asks for them.
          held: positions that their page has already and will come to soon.
          spare: positions that it has for later; other people may get them first.
          count: how many more it would like.

        Returns:
          ``questions``, and ``taken``: positions of ``held`` and ``spare`` that other people
          have answered or hold.
        """
        now = self._clock()
        with self._changed:
            if self._phase != "asking":
                return {"questions": [], "taken": []}
            had = {position for position in (*held, *spare) if position < len(self._voters)}
            fresh = (
                position
                for position in range(len(self._voters))
                if position not in had and self._is_open(position, annotator)
            )
            found = list(islice(fresh, count))
            taken = [position for position in had if self._is_taken(position, annotator)]
            soon = had.intersection(held).difference(taken)
            for position in (*soon, *found[: max(0, _LEASES - len(soon))]):
                self._leases.setdefault(position, {})[annotator] = now + _LEASE_SECONDS
            questions = [self._describe(position) for position in found]
            return {"questions": questions, "taken": sorted(taken)}

    def questions(self) -> list[dict[str, Any]]:
        """All questions of the round."""
        with self._changed:
            count = self._questions.count if self._questions else 0
            return [self._describe(position) for position in range(count)]

    def recent(self, annotator: str) -> list[dict[str, Any]]:
        """This person's latest answers of the open round, oldest first, to go back to."""
        with self._changed:
            if self._questions is None or self._phase != "asking":
                return []
            questions = self._questions
            rows = [row for row in self._store.live(questions.round) if row.annotator == annotator]
            return [
                {
                    "client_id": row.client_id,
                    "answer": encode_choice(questions.kind, row.choice),
                    "question": self._describe(row.position),
                }
                for row in rows[-_RECENT:]
            ]

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
            if self._questions and post.round < self._questions.round:
                return {"ok": True}  # somebody was quicker
            self._check_round(post.round)
            if self._complete_since is None:
                raise RefusedError(409, "some questions are not answered yet")
            self._finish_now = True
            return {"ok": True}
        if isinstance(post, StopPost):
            self._check_round(post.round)
            rows += left_out(post.round, self._voters, self._votes, rows, post.annotator)
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
        if self._questions is not None:
            self._count_votes()
        return reply

    def _result(self) -> dict[str, Any] | None:
        """What was bought last, its clusters by the names that they have now."""
        if not self._results:
            return None
        names = self.board.names()
        return self._results[-1] | ({"names": names} if names else {})

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
        for holders in self._leases.values():
            holders.pop(annotator, None)
        return {"ok": True}

    def _check_open(self) -> None:
        if self._phase == "done":
            raise UserError("the page was closed before all its questions were answered")

    def _check_round(self, round_: int) -> Questions:
        questions = self._questions
        if questions is None or round_ > questions.round:
            raise RefusedError(503, "the questions of this round are not open yet")
        if round_ < questions.round or self._phase != "asking":
            raise RefusedError(409, f"round {round_} is closed: its answers are being learned")
        return questions

    def _after(self, rows: Sequence[Row]) -> None:
        if any(row.undoes for row in rows):
            self._count_votes()
        for row in rows:
            self._leases.get(row.position, {}).pop(row.annotator, None)
            if not row.undoes:
                self._voters[row.position].add(row.annotator)
        if rows:
            self._note_completion()
        self._changed.notify_all()

    def _count_votes(self) -> None:
        assert self._questions is not None
        self._voters = [set() for _ in range(self._questions.count)]
        for row in self._store.live(self._questions.round):
            self._voters[row.position].add(row.annotator)
        self._note_completion()

    def _note_completion(self) -> None:
        complete = all(len(voters) >= self._votes for voters in self._voters)
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

    def _is_open(self, position: int, annotator: str) -> bool:
        return annotator not in self._voters[position] and not self._is_taken(position, annotator)

    def _is_taken(self, position: int, annotator: str) -> bool:
        now = self._clock()
        leases = self._leases.get(position, {})
        holders = {name for name, until in leases.items() if until > now}
        return len((self._voters[position] | holders) - {annotator}) >= self._votes

    def _describe_group(self, group: Group) -> dict[str, Any]:
        sample = _known(self._pictures.describe, group.exemplar)
        return {"key": group.key, "id": group.id, "name": group.name, "sample": sample}

    def _describe(self, position: int) -> dict[str, Any]:
        assert self._questions is not None
        questions, describe = self._questions, self._pictures.describe
        return {
            "round": questions.round,
            "position": position,
            "kind": questions.kind,
            "samples": [
                describe(int(i), alone=True) for i in questions.indices[position].reshape(-1)
            ],
            "candidates": [
                {
                    "cluster": cluster,
                    "exemplar": _known(describe, int(questions.exemplars[cluster])),
                    "members": [describe(int(i)) for i in questions.members[cluster] if i >= 0][
                        :_MEMBERS
                    ],
                }
                for cluster in questions.candidates[position].tolist()
                if cluster >= 0
            ],
        }


def _nothing() -> None:
    pass


def _known(describe: Callable[[int], dict[str, Any]], index: int) -> dict[str, Any] | None:
    return describe(index) if index >= 0 else None


def _unavailable(error: StoreError) -> RefusedError:
    return RefusedError(503, f"the answer could not be saved yet: {error.__cause__ or error}")


def _plain(value: Any) -> Any:
    """Arrays and their scalars as JSON can say them; what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
