"""What was said in a session: samples by what they are called, answers by what they mean."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from idc_jax.annotate.annotator import Annotator, all_said
from idc_jax.annotate.questions import (
    Answers,
    QuestionKind,
    Questions,
    label_questions,
    pair_questions,
)
from idc_jax.annotate.store import Row, Store
from idc_jax.errors import UserError
from idc_jax.report.answers import answers_by_sample
from idc_jax.session.words import Said, read_answer

_NOBODY_OFFERED = np.zeros(0, np.int32)


class Book:
    """A store of answers, read and written by the samples' own ids.

    Attributes:
      store: where every answer goes.
    """

    def __init__(self, store: Store, size: int, ids: tuple[Hashable, ...] | None) -> None:
        """Open the book of ``size`` samples, called ``ids`` or by their numbers."""
        self.store, self._size, self._ids = store, size, ids
        self._number = None if ids is None else {one: index for index, one in enumerate(ids)}

    def add(self, answers: Mapping[Any, Any], annotator: str) -> None:
        """Write what was answered, all or nothing; see :meth:`idc_jax.session.Session.answer`."""
        # Read once: an answer may be about any question so far.
        asked = self._asked()
        said = [self._said(asked, key, value) for key, value in answers.items()]
        with self.store.whole():
            said = self._named(said)
            rows = [_row(one, annotator) for one in said if one.round]
            for kind in ("label", "pair"):
                loose = [one for one in said if one.round == 0 and one.kind == kind]
                rows += self._volunteered(loose, kind, annotator)
            self.store.add(rows)

    def withdraw(self, samples: Sequence[Any], annotator: str) -> None:
        """Reverse what ``annotator`` said; see :meth:`idc_jax.session.Session.withdraw`."""
        rows = []
        for key in samples:
            found = self._all_said(self.samples_of(key), annotator)
            if not found:
                raise UserError(f"nothing was said about {key!r} by {annotator!r}")
            rows += [
                row._replace(client_id=uuid.uuid4().hex, undoes=row.client_id, time=0)
                for row in found
            ]
        self.store.add(rows)

    def rounds(self) -> list[tuple[Questions, Answers]]:
        """What was answered so far; questions that nobody has answered may come again."""
        return all_said(self.store, Annotator("anybody", lambda *_: None))

    def told(self, *, groups: Mapping[int, str]) -> tuple[list[str], list[str]]:
        """Who answered about each sample ``[n]`` and what, in words, several joined by "; "."""
        people: list[dict[str, None]] = [{} for _ in range(self._size)]
        rounds = self.rounds()
        for questions, _ in rounds:
            # Positions are those of all the questions, answered or not.
            frozen = self.store.questions(questions.round)
            assert frozen is not None
            for row in self.store.live(questions.round):
                for sample in frozen.indices[row.position].reshape(-1).tolist():
                    people[sample][row.annotator] = None
        names = [groups.get(number, str(number)) for number in range(max(groups, default=-1) + 1)]
        called = [str(self.called(sample)) for sample in range(self._size)]
        said = answers_by_sample(rounds, called, names)
        return ["; ".join(who) for who in people], [
            "; ".join(said.get(sample, [])) for sample in range(self._size)
        ]

    def samples_of(self, key: Any) -> tuple[int, ...]:
        """The sample, or the pair of samples, that ``key`` means."""
        if isinstance(key, tuple) and not (self._number and key in self._number):
            if len(key) != 2 or key[0] == key[1]:
                raise UserError(f"{key!r} is neither a sample nor a pair of samples")
            return tuple(self._one(part) for part in key)
        return (self._one(key),)

    def _one(self, key: Any) -> int:
        if self._number is not None and key in self._number:
            return self._number[key]
        whole = isinstance(key, int | np.integer) and not isinstance(key, bool)
        if self._number is None and whole and 0 <= key < self._size:
            return int(key)
        known = f"0 to {self._size - 1}"
        if self._ids is not None:
            known = f"ids such as {self._ids[0]!r}"
        raise UserError(f"there is no sample {key!r}; use {known}")

    def called(self, row: Any) -> Hashable:
        """What a sample, or each of a pair ``[i, j]``, is called."""
        if isinstance(row, list):
            return tuple(self.called(one) for one in row)
        return row if self._ids is None else self._ids[row]

    def _asked(self) -> dict[int, Questions]:
        """The questions of every round."""
        found = {number: self.store.questions(number) for number in self.store.rounds()}
        return {number: questions for number, questions in found.items() if questions is not None}

    def _said(self, asked: Mapping[int, Questions], key: Any, value: Any) -> Said:
        """What ``key: value`` says, about the latest question that asked about it."""
        samples = self.samples_of(key)
        for number in sorted(asked, reverse=True):
            questions = asked[number]
            rows = questions.indices.reshape(questions.count, -1)
            if rows.shape[1] != len(samples):
                continue
            at = np.flatnonzero((np.sort(rows, axis=1) == sorted(samples)).all(axis=1))
            if len(at):
                offered = questions.candidates[at[0]]
                choice = read_answer(questions.kind, key, value, offered)
                return Said(questions.kind, number, int(at[0]), samples, choice)
        kind: QuestionKind = "pair" if len(samples) == 2 else "label"
        choice = read_answer(kind, key, value, _NOBODY_OFFERED)
        return Said(kind, 0, 0, samples, choice)

    def _named(self, said: Sequence[Said]) -> list[Said]:
        """``said`` with groups by their ids, named now where they are new."""
        labels = [one for one in said if one.kind == "label"]
        numbers = {one.choice for one in labels if isinstance(one.choice, int) and one.choice >= 0}
        known = {group.id: group.name for group in self.store.groups() if group.id in numbers}
        for number, name in known.items():
            raise UserError(
                f"{number} is the number of the group {name!r}; use its name or another number"
            )
        found = []
        for one in said:
            if isinstance(one.choice, str):
                group = self.store.name_group(
                    uuid.uuid4().hex, one.choice, one.samples[0], taken=numbers
                )
                one = one._replace(choice=group.id)
            found.append(one)
        return found

    def _volunteered(self, said: list[Said], kind: str, annotator: str) -> list[Row]:
        """Answers that nobody asked for, as a round of their own."""
        if not said:
            return []
        number = max(self.store.rounds(), default=0) + 1
        samples = np.asarray([one.samples for one in said], np.int32)
        values = np.zeros(len(said), np.float32)
        if kind == "pair":
            questions = pair_questions(number, samples, values)
        else:
            questions = label_questions(number, samples[:, 0], values)
        self.store.freeze(questions)
        placed = [one._replace(round=number, position=at) for at, one in enumerate(said)]
        return [_row(one, annotator) for one in placed]

    def _all_said(self, samples: tuple[int, ...], annotator: str) -> list[Row]:
        """What ``annotator`` said about a sample or a pair and has not taken back."""
        rows = self.store.rows()
        reversed_ = {row.undoes for row in rows if row.undoes}
        asked = self._asked()
        found = []
        for row in rows:
            about = np.sort(asked[row.round].indices[row.position].reshape(-1)).tolist()
            if about == sorted(samples) and row.annotator == annotator and not row.undoes:
                found.append(row)
        return [row for row in found if row.client_id not in reversed_]


def _row(said: Said, annotator: str) -> Row:
    assert isinstance(said.choice, int)
    return Row(uuid.uuid4().hex, said.round, said.position, annotator, said.choice)
