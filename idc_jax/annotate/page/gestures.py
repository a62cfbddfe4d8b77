"""What people do on the board, each gesture as what it says of samples and of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from idc_jax.annotate.page.groups import Board as Groups
from idc_jax.annotate.page.groups import Standing
from idc_jax.annotate.page.history import undo
from idc_jax.annotate.page.wire import GesturePost, RefusedError
from idc_jax.annotate.questions import Questions, label_questions
from idc_jax.annotate.store import Store
from idc_jax.annotate.volunteered import Hand

# Samples that stand for a group on the board.
SUREST = 5


class Gestures:
    """Writes gestures by the groups as they are seen."""

    def __init__(
        self,
        store: Store,
        look: Callable[[], Groups],
        *,
        max_groups: int,
        class_names: Sequence[str],
    ) -> None:
        """Prepare.

        Args:
          store: where groups get their names.
          look: returns the groups as they are seen now.
          max_groups: how many may have names.
          class_names: what the first class ids are called.
        """
        self._store, self._look = store, look
        self._max_groups, self._class_names = max_groups, class_names
        self._do: Mapping[str, Callable[[GesturePost, Hand], None]] = {
            "move": self._move,
            "right": self._right,
            "not": self._not,
            "rename": self._rename,
            "merge": self._merge,
            "delete": self._delete,
            "split": self._split,
            "undo": lambda post, hand: undo(self._store, hand, post.undoes or ""),
            "withdraw": lambda post, hand: hand.withdraw(post.answers),
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be done."""
        return tuple(self._do)

    def do(self, post: GesturePost, hand: Hand) -> None:
        """Have ``hand`` say what ``post`` means.

        Raises:
          RefusedError: it means nothing here.
          UserError: likewise, by the store's word.
        """
        self._do[post.kind](post, hand)

    def _move(self, post: GesturePost, hand: Hand) -> None:
        hand.say(_some(post.samples), self._target(post, hand))

    def _right(self, post: GesturePost, hand: Hand) -> None:
        seen = self._look()
        samples = np.asarray(_some(post.samples))
        for at in np.unique(seen.place[samples]).tolist():
            ref = post.group or seen.groups[at].ref
            hand.say(samples[seen.place[samples] == at].tolist(), self._named(ref, hand))

    def _not(self, post: GesturePost, hand: Hand) -> None:
        group = group_of(self._look(), post.group or "")
        if group.id >= 0:
            hand.rule_out(_some(post.samples), group.id)
        else:
            hand.rule_out_cluster(_some(post.samples), group.number, self._exemplars())

    def _rename(self, post: GesturePost, hand: Hand) -> None:
        if not post.name or not post.name.strip():
            raise RefusedError(422, "a group needs a name")
        id_ = self._named(post.group or "", hand, post.name)
        self._store.enter_group(self._key(id_), id_, post.name.strip())

    def _merge(self, post: GesturePost, hand: Hand) -> None:
        group, into = group_of(self._look(), post.group or ""), self._target(post, hand)
        if group.id == into:
            raise RefusedError(422, "that is the group itself")
        if group.id >= 0:
            name = next(row.name for row in self._store.groups() if row.id == into)
            self._store.enter_group(self._key(group.id), into, name)
        else:  # it has no name: what stood for it on the board is said to be of the other
            hand.say(group.members[:SUREST].tolist(), into)

    def _delete(self, post: GesturePost, hand: Hand) -> None:
        del hand
        group = group_of(self._look(), post.group or "")
        if group.id < 0 or len(group.members):
            raise RefusedError(409, "only an empty group that somebody named can be deleted")
        self._store.enter_group(self._key(group.id), -1, group.name)

    def _split(self, post: GesturePost, hand: Hand) -> None:
        stay = self._named(post.group or "", hand)
        hand.say(_some(post.kept), stay)
        hand.say(_some(post.samples), self._target(post, hand))

    def _target(self, post: GesturePost, hand: Hand) -> int:
        """The class id of the group that a gesture leads to."""
        if post.new is None:
            return self._named(post.to or "", hand)
        key, name = post.new
        exemplar = post.samples[0] if post.samples else -1
        return self._name(key, name, exemplar)

    def _named(self, ref: str, hand: Hand, name: str | None = None) -> int:
        """The class id of a group; one without a name gets ``name``, or what it is called anyway.

        Its surest sample is then said to be of it, by which the method knows which one it is.
        """
        group = group_of(self._look(), ref)
        if group.id >= 0:
            return group.id
        if not len(group.members):
            raise RefusedError(409, f"{group.name} is empty")
        surest = int(group.members[0])
        id_ = self._name(f"{ref} {self._store.version()[1]}", name or group.name, surest)
        hand.say([surest], id_)
        return id_

    def _name(self, key: str, name: str, exemplar: int) -> int:
        named = self._store.name_group(
            key, name, exemplar, limit=self._max_groups, class_names=self._class_names
        )
        return named.id

    def _key(self, id_: int) -> str:
        """By which the store knows the group of a class id; a class of the data set gets one."""
        found = next((group.key for group in self._store.groups() if group.id == id_), None)
        if found is None:
            name = self._class_names[id_] if id_ < len(self._class_names) else f"class {id_}"
            found = self._store.name_group(
                f"class {id_}", name, -1, class_names=self._class_names
            ).key
        return found

    def _exemplars(self) -> Questions:
        """What stands for the outputs on the board."""
        outputs = [group for group in self._look().groups if group.number >= 0]
        rows = [np.resize(g.members[:SUREST], SUREST) if len(g.members) else None for g in outputs]
        nobody = np.full(SUREST, -1, np.int32)
        shown = np.asarray([nobody if row is None else row for row in rows], np.int32)
        blank = label_questions(0, np.zeros(0, np.int32), np.zeros(0))
        return blank._replace(exemplars=shown[:, 0], members=shown[:, 1:])


def group_of(seen: Groups, ref: str) -> Standing:
    """The group that ``ref`` means, by the name that it has now.

    Raises:
      RefusedError: there is none.
    """
    # A cluster may have got a name since somebody saw it without one.
    cluster = ref.removeprefix("cluster:")
    found = next((group for group in seen.groups if group.ref == ref), None)
    if found is None and ref != cluster:
        found = next((g for g in seen.groups if str(g.number) == cluster), None)
    if found is None:
        raise RefusedError(409, "that group is no more")
    return found


def _some(samples: tuple[int, ...]) -> tuple[int, ...]:
    if not samples:
        raise RefusedError(422, "no sample is selected")
    return samples
