"""The board: all groups and their members, and what people do with them.

Every gesture is an answer in the store like any other, written whole before it is acknowledged.
What is seen is folded from the store and the method's last prediction: it is the same for all.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from idc_jax.annotate.annotator import Annotator, all_said
from idc_jax.annotate.database import StoreError
from idc_jax.annotate.evidence import gather
from idc_jax.annotate.page.gestures import SUREST, Gestures, group_of
from idc_jax.annotate.page.groups import Board as Groups
from idc_jax.annotate.page.groups import Places, Prediction, split, stand, typical
from idc_jax.annotate.page.history import done_by, history, note, say_of
from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.page.wire import GesturePost, RefusedError
from idc_jax.annotate.store import Store
from idc_jax.annotate.volunteered import Hand
from idc_jax.errors import UserError

Sort = Literal["doubt", "sure", "typical", "number"]
SORTS, FILTERS = (
    ("doubt", "sure", "typical", "number"),
    ("all", "unsure", "answered", "disagreeing"),
)
# All samples, whatever their group.
EVERYTHING = "everything"
_LEAST_SURE, _PART = 3, 12
# A sample is unsure where another group may as well be.
_UNSURE = 0.5


class _View(NamedTuple):
    """What is seen at one version of everything."""

    version: tuple[int, int, int]
    groups: Groups
    disputed: np.ndarray


class Board:
    """The groups of one run."""

    def __init__(
        self,
        store: Store,
        pictures: Pictures,
        *,
        annotator: Annotator,
        max_groups: int,
        class_names: Sequence[str] = (),
    ) -> None:
        """A board with nothing on it yet.

        Args:
          store: where every gesture goes.
          pictures: of the samples.
          annotator: says how several people's answers become one.
          max_groups: how many groups may have names.
          class_names: what the first class ids are called.
        """
        self._store, self._pictures, self._annotator = store, pictures, annotator
        self._class_names = class_names
        self._lock = threading.RLock()
        # All in one, as long as nothing is known.
        self._prediction = Prediction(np.ones((pictures.size, 1), np.float32), np.array([-1]))
        self._predictions = 0
        self._view: _View | None = None
        self._names: list[str] = []
        self._named_at = (0, 0)
        self._gestures = Gestures(
            store,
            lambda: self._look().groups,
            max_groups=max_groups,
            class_names=class_names,
        )

    def show(self, prediction: Prediction) -> None:
        """Put what the method says now on the board."""
        with self._lock:
            self._prediction = prediction
            self._predictions += 1

    # -- what is seen --------------------------------------------------------------------------

    def overview(self) -> dict[str, Any]:
        """The groups, each with its surest and least sure samples, and what was done last."""
        view = self._look()
        names = {group.id: group.name for group in view.groups.groups if group.id >= 0}
        shown = range(len(view.groups.groups)) if self._predictions else ()
        return {
            "version": list(view.version),
            "clustered": self._predictions > 0,
            "size": self._pictures.size,
            "groups": [self._overview_of(view, at) for at in shown],
            "history": history(self._store, names),
            "splits": self._prediction.embeddings is not None,
        }

    def version(self) -> list[int]:
        """Numbers that change with whatever is seen."""
        return [self._predictions, *self._store.version()]

    def names(self) -> list[str]:
        """What the outputs are called, by their numbers; nothing before anything is clustered."""
        # Asked for often, and by pages that show no board: answers alone change no name.
        now = self._predictions, self._store.version()[1]
        with self._lock:
            if now != self._named_at:
                groups = self._look().groups.groups if self._predictions else ()
                self._names = [group.name for group in groups if group.number >= 0]
                self._named_at = now
            return self._names

    def members(self, ref: str, sort: str, shown: str) -> bytes:
        """The samples of a group in their order.

        Args:
          ref: of the group, or ``EVERYTHING``.
          sort: one of ``SORTS``: the least sure first, the surest first, the most typical first, or
            by number.
          shown: one of ``FILTERS``.

        Returns:
          Their numbers as little-endian uint32 ``[m]``, then for each a byte of its confidence in
          percent ``[m]``, a byte whose bits say answered (1) and disagreeing (2) ``[m]``.

        Raises:
          RefusedError: no such group, order or filter.
        """
        if sort not in SORTS or shown not in FILTERS:
            raise RefusedError(422, f"sort must be one of {SORTS}, filter one of {FILTERS}")
        view = self._look()
        found = self._ordered(view, ref, sort)
        kept: dict[str, Callable[[], np.ndarray]] = {
            "all": lambda: np.ones(len(found), bool),
            "unsure": lambda: self._unsure(view)[found],
            "answered": lambda: view.groups.answered[found],
            "disagreeing": lambda: view.disputed[found],
        }
        found = found[kept[shown]()]
        percent = np.clip(np.round(100 * view.groups.confidence[found]), 0, 100)
        flags = view.groups.answered[found] + 2 * view.disputed[found]
        parts = (found.astype("<u4"), percent.astype(np.uint8), flags.astype(np.uint8))
        return b"".join(part.tobytes() for part in parts)

    def parts(self, ref: str) -> dict[str, Any]:
        """The two clusters within a group, each by its most typical samples.

        Raises:
          RefusedError: no such group, or it can't be split.
        """
        members = group_of(self._look().groups, ref).members
        embeddings = self._prediction.embeddings
        if embeddings is None or len(members) < 2:
            raise RefusedError(409, "there is nothing to split here")
        parts = split(embeddings, members)
        return {
            "parts": [
                {"size": len(part), "samples": [self._shown(i) for i in part[:_PART].tolist()]}
                for part in parts
            ]
        }

    def sample(self, index: int) -> dict[str, Any]:
        """One sample: where it stands, and every answer about it that counts.

        Raises:
          RefusedError: there is no such sample.
        """
        if not 0 <= index < self._pictures.size:
            raise RefusedError(404, "there is no such sample")
        view = self._look()
        groups = view.groups
        names = {group.id: group.name for group in groups.groups if group.id >= 0}
        probs = self._prediction.probabilities[index]
        outputs = {group.number: group.name for group in groups.groups}
        likely = [number for number in np.argsort(-probs)[:3].tolist() if number in outputs]
        at = int(groups.place[index])
        return {
            "sample": self._pictures.describe(index, alone=True),
            "group": groups.groups[at].ref if at < len(groups.groups) else None,
            "likely": [{"name": outputs[n], "share": float(probs[n])} for n in likely],
            "answers": say_of(self._store, index, names),
        }

    # -- what is done --------------------------------------------------------------------------

    def take(self, post: GesturePost) -> dict[str, Any]:
        """Write a gesture, once, all of it or nothing.

        Raises:
          RefusedError: it means nothing here.
          StoreError: it could not be written.
        """
        if post.kind not in self._gestures.kinds:
            raise RefusedError(422, f"'kind' must be one of {', '.join(self._gestures.kinds)}")
        if any(not 0 <= sample < self._pictures.size for sample in post.samples + post.kept):
            raise RefusedError(422, "there is no such sample")
        with self._lock:
            known = done_by(self._store, post.client_id)
            if known not in (None, post.annotator):
                raise RefusedError(409, "this client id is somebody else's")
            if known is None:
                lines = self._store.version()[1]
                hand = Hand(self._store, post.client_id, post.annotator, post.seconds)
                try:
                    with self._store.whole():
                        self._gestures.do(post, hand)
                        hand.end()
                        note(self._store, post.client_id, post.annotator, lines, post.undoes)
                except StoreError:
                    raise
                except UserError as error:
                    raise RefusedError(409, str(error)) from error
        return {"ok": True, "client_id": post.client_id}

    # -- inside --------------------------------------------------------------------------------

    def _look(self) -> _View:
        with self._lock:
            version = (self._predictions, *self._store.version())
            if self._view is None or self._view.version != version:
                self._view = self._folded(version)
            return self._view

    def _folded(self, version: tuple[int, int, int]) -> _View:
        evidence = gather(self._pictures.size, all_said(self._store, self._annotator))
        named = self._store.groups()
        names = dict(enumerate(self._class_names)) | {group.id: group.name for group in named}
        made_of = {group.id: made for group in named if (made := _made_of(group.key)) is not None}
        places = Places(names, self._store.merged(), tuple(g.id for g in named), made_of)
        groups = stand(self._prediction, evidence, places)
        return _View(version, groups, _disputed(self._store, self._pictures.size))

    def _ordered(self, view: _View, ref: str, sort: str) -> np.ndarray:
        if ref == EVERYTHING:
            order = np.argsort(view.groups.confidence, kind="stable")
            found = order[::-1].astype(np.int32)
        else:
            found = group_of(view.groups, ref).members
        if sort == "number":
            return np.sort(found)
        if sort == "typical" and self._prediction.embeddings is not None and len(found):
            return typical(self._prediction.embeddings, found)
        return found[::-1] if sort == "doubt" else found

    def _unsure(self, view: _View) -> np.ndarray:
        return (view.groups.confidence < _UNSURE) & ~view.groups.answered

    def _overview_of(self, view: _View, at: int) -> dict[str, Any]:
        group = view.groups.groups[at]
        members = group.members
        confidence = view.groups.confidence[members]
        return {
            "ref": group.ref,
            "number": group.number,
            "name": group.name,
            "named": group.id >= 0,
            "size": len(members),
            "confidence": float(confidence.mean()) if len(members) else None,
            "answered": int(view.groups.answered[members].sum()),
            "disagreeing": int(view.disputed[members].sum()),
            "surest": [self._shown(i) for i in members[:SUREST].tolist()],
            "least_sure": [self._shown(i) for i in members[SUREST:][::-1][:_LEAST_SURE].tolist()],
        }

    def _shown(self, index: int) -> dict[str, Any]:
        return self._pictures.describe(index)


def _made_of(key: str) -> int | None:
    """The number of the cluster that a group was before it had a name, by :meth:`Board._named`."""
    found = re.fullmatch(r"cluster:([0-9]+) [0-9]+", key)
    return int(found[1]) if found else None


def _disputed(store: Store, size: int) -> np.ndarray:
    """Bool ``[n]``, samples of which people say different things."""
    found = np.zeros(size, bool)
    said: dict[int, int] = {}
    for number in store.rounds():
        questions = store.questions(number)
        assert questions is not None
        if questions.kind not in ("label", "grid"):
            continue
        indices = questions.indices.tolist()
        for row in store.live(number):
            if row.choice >= 0:
                sample = indices[row.position]
                found[sample] |= said.setdefault(sample, row.choice) != row.choice
    return found
