"""A round that is open on the page: who has answered what, and who holds which of its screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.questions import Questions, screens
from idc_jax.annotate.records import encode_choice
from idc_jax.annotate.store import Row, Store

# What was handed out waits this long for its answer before others may get it too.
_LEASE_SECONDS = 60.0
_LEASES = 8
_RECENT = 60
_MEMBERS = 6


class Asked:
    """The questions of a round, by the screens that show them.

    A screen is one question, or those of a grid about one group; it is called by the first of its
    positions.

    Attributes:
      questions: of the round.
      voters: who has answered each of them.
    """

    def __init__(
        self,
        questions: Questions,
        store: Store,
        *,
        votes: int,
        class_names: Sequence[str],
        clock: Callable[[], float],
    ) -> None:
        self._class_names = class_names
        self.questions, self._store, self._votes, self._clock = questions, store, votes, clock
        self._leases: dict[int, dict[str, float]] = {}  # screen -> {name: until}
        self._screens = {int(screen[0]): screen.tolist() for screen in screens(questions)}
        self._screen_of = {at: first for first, every in self._screens.items() for at in every}
        self.voters: list[set[str]] = []
        self.count_again()

    def count_again(self) -> None:
        """Read from the store who has answered what."""
        self.voters = [set() for _ in range(self.questions.count)]
        for row in self._store.live(self.questions.round):
            self.voters[row.position].add(row.annotator)

    def count(self, rows: Sequence[Row]) -> None:
        """Enter new answers."""
        for row in rows:
            self._leases.get(self._screen_of[row.position], {}).pop(row.annotator, None)
            if not row.undoes:
                self.voters[row.position].add(row.annotator)

    def leave(self, annotator: str) -> None:
        """Nothing is kept for ``annotator`` any more."""
        for holders in self._leases.values():
            holders.pop(annotator, None)

    @property
    def complete(self) -> bool:
        """Whether every question has its votes."""
        return all(len(voters) >= self._votes for voters in self.voters)

    @property
    def given(self) -> int:
        """How many of the wanted answers there are."""
        return sum(min(len(voters), self._votes) for voters in self.voters)

    def mine(self, annotator: str) -> int:
        """How many of them ``annotator`` gave."""
        return sum(annotator in voters for voters in self.voters)

    def hand_out(
        self, annotator: str, held: Sequence[int], spare: Sequence[int], count: int
    ) -> tuple[list[int], list[int]]:
        """Screens for this person, and a lease on those that they will come to soon.

        Args:
          annotator: who asks for them.
          held: positions that their page has already and will come to soon.
          spare: positions that it has for later; other people may get them first.
          count: how many screens more it would like.

        Returns:
          New screens, and those of ``held`` and ``spare`` that other people have answered or hold.
        """
        known = self._screen_of
        had = dict.fromkeys(known[at] for at in (*held, *spare) if at in known)
        fresh = (one for one in self._screens if one not in had and self._is_open(one, annotator))
        found = list(islice(fresh, count))
        taken = [one for one in had if self._is_taken(one, annotator)]
        soon = {known[at] for at in held if at in known}.difference(taken)
        until = self._clock() + _LEASE_SECONDS
        for screen in (*soon, *found[: max(0, _LEASES - len(soon))]):
            self._leases.setdefault(screen, {})[annotator] = until
        return found, sorted(taken)

    def _is_open(self, screen: int, annotator: str) -> bool:
        answered = all(annotator in self.voters[at] for at in self._screens[screen])
        return not answered and not self._is_taken(screen, annotator)

    def _is_taken(self, screen: int, annotator: str) -> bool:
        now = self._clock()
        leases = self._leases.get(screen, {})
        holders = {name for name, until in leases.items() if until > now}
        others = (self.voters[at] | holders for at in self._screens[screen])
        return all(len(people - {annotator}) >= self._votes for people in others)

    def recent(self, annotator: str, pictures: Pictures) -> list[dict[str, Any]]:
        """This person's latest answers, oldest first, those of a screen together."""
        rows: dict[int, list[Row]] = {}
        for row in self._store.live(self.questions.round):
            if row.annotator == annotator:
                rows.setdefault(self._screen_of[row.position], []).append(row)
        kind = self.questions.kind
        return [
            {
                "client_ids": [row.client_id for row in given],
                "answers": [encode_choice(kind, row.choice) for row in given],
                "question": self._describe(screen, [row.position for row in given], pictures),
            }
            for screen, given in list(rows.items())[-_RECENT:]
        ]

    def describe_all(self, pictures: Pictures) -> Iterator[dict[str, Any]]:
        """Every screen, as :meth:`describe` has it."""
        return (self._describe(one, every, pictures) for one, every in self._screens.items())

    def describe(self, screen: int, annotator: str, pictures: Pictures) -> dict[str, Any]:
        """A screen as the page draws it, with what ``annotator`` has not answered of it."""
        left = [at for at in self._screens[screen] if annotator not in self.voters[at]]
        return self._describe(screen, left, pictures)

    def _describe(
        self, screen: int, positions: Sequence[int], pictures: Pictures
    ) -> dict[str, Any]:
        questions, describe = self.questions, pictures.describe
        samples = questions.indices[list(positions)].reshape(-1).tolist()
        grid = questions.kind == "grid"
        return {
            "round": questions.round,
            "position": screen,
            "positions": list(positions),
            "kind": questions.kind,
            "samples": [describe(sample, alone=True) for sample in samples],
            "group": self._group_of(screen, pictures) if grid else None,
            "candidates": [] if grid else self._candidates(screen, pictures),
        }

    def _group_of(self, screen: int, pictures: Pictures) -> dict[str, Any]:
        """The group that a grid is about: its id, its name, and the sample that stands for it."""
        id_ = int(self.questions.candidates[screen, 0])
        known = {group.id: group for group in self._store.groups()}
        named = known.get(id_)
        class_name = self._class_names[id_] if id_ < len(self._class_names) else str(id_)
        return {
            "id": id_,
            "name": named.name if named else class_name,
            "sample": known_sample(pictures, named.exemplar if named else -1),
        }

    def _candidates(self, position: int, pictures: Pictures) -> list[dict[str, Any]]:
        questions, describe = self.questions, pictures.describe
        return [
            {
                "cluster": cluster,
                "exemplar": known_sample(pictures, int(questions.exemplars[cluster])),
                "members": [describe(int(i)) for i in questions.members[cluster] if i >= 0][
                    :_MEMBERS
                ],
            }
            for cluster in questions.candidates[position].tolist()
            if cluster >= 0
        ]


def known_sample(pictures: Pictures, index: int) -> dict[str, Any] | None:
    """A sample as the page draws it, None for no sample."""
    return pictures.describe(index) if index >= 0 else None
