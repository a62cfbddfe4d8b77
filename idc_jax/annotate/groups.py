"""What groups are called, and which became which: the part of a store that is about names."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from idc_jax.annotate.database import Database
from idc_jax.annotate.naming import folded
from idc_jax.errors import UserError

# Class ids that answers to label questions give, and those that some have ever given.
_GROUPS = "SELECT DISTINCT choice FROM {} JOIN rounds USING (round) WHERE kind = 'label'"
_LIVE_GROUPS = _GROUPS.format("live") + " AND choice >= 0"
_EVER_GROUPS = _GROUPS.format("answers") + " AND undoes IS NULL AND choice >= 0"
# In place of its id, what stands for a group that is no more.
_GONE = -1


class Group(NamedTuple):
    """A group that a person named while answering label questions.

    Attributes:
      key: made by the client that named it first.
      id: the class id, as in ``Answers.choice``.
      name: the latest name.
      exemplar: the sample that it was named for, -1 for none.
    """

    key: str
    id: int
    name: str
    exemplar: int


class GroupRow(NamedTuple):
    """One line of what was written of groups.

    Attributes:
      sequence: grows with every line.
      key: made by the client that named it first.
      id: its class id from then on; that of another group where it was merged, -1 once deleted.
      name: its name from then on.
      exemplar: the sample that it was named for, -1 for none.
      time: seconds since the epoch (UTC).
    """

    sequence: int
    key: str
    id: int
    name: str
    exemplar: int
    time: float


class NamedGroups(Database):
    """The groups that people named, append-only as all else."""

    def name_group(
        self,
        key: str,
        name: str,
        exemplar: int,
        *,
        limit: int | None = None,
        class_names: Sequence[str] = (),
        taken: Iterable[int] = (),
        rename: bool = True,
    ) -> Group:
        """Name a group, or rename the one that ``key`` named first.

        A name that a group or a class has already, :func:`~idc_jax.annotate.naming.folded`, means
        that one.

        Args:
          key: made by the client; the same key is the same group.
          name: what to call it from now on.
          exemplar: the sample it was named for.
          limit: how many groups there may be; None for any number.
          class_names: what the first ids are called.
          taken: further ids that stand for something else.
          rename: otherwise, a group that ``key`` has named keeps the name that it has by now: for
            sources that may be read again.

        Raises:
          UserError: there are ``limit`` groups already and this would be one more, or a group is
            renamed to what another one that counts is called.
        """
        name = name.strip()
        with self._write() as db:
            groups, counted = self.groups(), self.used_groups()
            named = next((group.id for group in groups if group.key == key), None)
            called = [group for group in groups if folded(group.name) == folded(name)]
            called.sort(key=lambda group: group.id not in counted)
            bearer = called[0] if called and called[0].id in counted else None
            if named is not None and not rename:
                return bearer or next(group for group in groups if group.key == key)
            if named is None and (was := self._was(key)) is not None:
                named = self.merged()[was]
                if named != _GONE:  # it was merged: the name is the other's
                    return next(group for group in groups if group.id == named)
                if bearer:
                    return bearer
                named = was
            if named is not None and bearer and bearer.id != named:
                raise UserError(f"another group is called {called[0].name!r} already")
            if named is None:
                if called:
                    return called[0]
                if limit is not None and len(counted) >= limit:
                    raise UserError(f"there are {len(counted)} groups already; the most is {limit}")
                named = self._id_of(name, class_names, taken)
            db.execute(
                'INSERT INTO "groups" (key, id, name, exemplar, time) VALUES (?, ?, ?, ?, ?)',
                (key, named, name, exemplar, time.time()),
            )
        return next(found for found in self.groups() if found.key == key)

    def used_groups(self) -> frozenset[int]:
        """Ids of groups that count: with an answer, or named and never used so far."""
        merged = self.merged()
        live = {merged.get(row[0], row[0]) for row in self._all(_LIVE_GROUPS)} - {_GONE}
        ever = {row[0] for row in self._all(_EVER_GROUPS)}
        # One whose answers were all corrected, as those of a typing error, is no more.
        return frozenset(live | ({group.id for group in self.groups()} - ever))

    def _id_of(
        self,
        name: str,
        class_names: Sequence[str],
        taken: Iterable[int],
    ) -> int:
        """The id of a new group: its class's, else one that nothing else has."""
        classes = {folded(one): number for number, one in reversed(list(enumerate(class_names)))}
        if folded(name) in classes:
            return classes[folded(name)]
        live = (row[0] for row in self._all(_LIVE_GROUPS))
        # Also by groups that are no more: their numbers may be given back.
        used = (row[0] for row in self._all('SELECT id FROM "groups"'))
        return 1 + max((len(class_names) - 1, *used, *live, *taken))

    def enter_group(self, key: str, id_: int, name: str) -> bool:
        """Write what the group that ``key`` named first is from now on, unless it is that already.

        With the id of another group it is merged into that one; with -1 it is no more. What it was
        before stays written, and entering that again undoes it.

        Returns:
          Whether it was something else.

        Raises:
          UserError: no group was named by ``key``, another group has the name, or it would be gone
            while answers name it.
        """
        with self._write() as db:
            rows = [row for row in self.group_rows() if row.key == key]
            if not rows:
                raise UserError(f"there is no group {key!r}")
            if (rows[-1].id, rows[-1].name) == (id_, name):
                return False
            others = {folded(g.name): g for g in self.groups() if g.key != key and g.id != id_}
            if id_ != _GONE and (other := others.get(folded(name))) is not None:
                raise UserError(f"another group is called {other.name!r} already: merge the two")
            if id_ == _GONE and self._is_named(rows[-1].id):
                raise UserError(f"{rows[-1].name!r} is not empty: move or withdraw its answers")
            db.execute(
                'INSERT INTO "groups" (key, id, name, exemplar, time) VALUES (?, ?, ?, ?, ?)',
                (key, id_, name, -1, time.time()),
            )
        return True

    def _is_named(self, id_: int) -> bool:
        merged = self.merged()
        return any(merged.get(row[0], row[0]) == id_ for row in self._all(_LIVE_GROUPS))

    def group_rows(self) -> tuple[GroupRow, ...]:
        """All that was ever written of groups, in the order of writing."""
        return tuple(
            GroupRow(*row) for row in self._all('SELECT * FROM "groups" ORDER BY sequence')
        )

    def merged(self) -> dict[int, int]:
        """The ids of groups that are no more, each with that of the group that it is now."""
        first: dict[str, int] = {}
        now: dict[str, int] = {}
        for row in self.group_rows():
            first.setdefault(row.key, row.id)
            now[row.key] = row.id
        into = {first[key]: id_ for key, id_ in now.items() if id_ != first[key]}
        return {id_: _followed(into, id_) for id_ in into}

    def _was(self, key: str) -> int | None:
        """The id of the group that ``key`` named first and that is no more; None for no such."""
        id_ = next((row.id for row in self.group_rows() if row.key == key), None)
        return id_ if id_ in self.merged() else None

    def groups(self) -> tuple[Group, ...]:
        """The named groups by id, each with its latest name and first exemplar."""
        found: dict[str, Group] = {}
        first: dict[str, GroupRow] = {}
        for row in self.group_rows():
            first.setdefault(row.key, row)
            found[row.key] = Group(row.key, row.id, row.name, first[row.key].exemplar)
        there = (group for key, group in found.items() if group.id == first[key].id)
        return tuple(sorted(there, key=lambda group: group.id))


def _followed(into: Mapping[int, int], id_: int) -> int:
    """Where ``id_`` leads, through all that was merged one after the other."""
    seen = {id_}
    while (id_ := into[id_]) in into and id_ not in seen:
        seen.add(id_)
    return id_
