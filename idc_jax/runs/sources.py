"""Where answers from elsewhere come from, and which sample of the data each is about."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.questions import Questions
from idc_jax.annotate.store import Row, Store
from idc_jax.data.registry import expanded
from idc_jax.errors import UserError
from idc_jax.report import write_atomically

# What a table may call its columns; the first that is there counts.
_SAMPLE = ("path", "sample", "file_name", "filename", "image", "index")
_GROUP = ("group", "label", "class")
# What a run says about its samples.
IDENTITY = "samples.npz"


class Labels(NamedTuple):
    """Samples and their groups.

    Attributes:
      rows: what a sample is called, or its number, and its group's name or class id.
      annotator: who said so.
    """

    rows: tuple[tuple[str | int, str | int], ...]
    annotator: str


class Source(NamedTuple):
    """Answers as they were read.

    Attributes:
      labels: what is no run's.
      rounds: of another run: questions, and the answers that count.
      group_names: of another run's groups, by id.
      names: what another run's samples are called, or empty.
      identity: the digests of another run's samples, ``[n]``, or empty where nobody kept them.
    """

    labels: Labels
    rounds: tuple[tuple[Questions, tuple[Row, ...]], ...]
    group_names: Mapping[int, str]
    names: tuple[str, ...]
    identity: np.ndarray

    def named(self, group: int) -> str | int:
        """The name of a group, or its id without one."""
        return self.group_names.get(group, group)

    def here(self, questions: Questions, matcher: Matcher, missing: dict[str, None]) -> Questions:
        """``questions`` with the samples' numbers here, -1 for those that are not.

        What is asked about and not here is entered into ``missing``.
        """

        def number(sample: int) -> int:
            if sample < 0:
                return -1
            found = self._find(sample, matcher)
            return -1 if found is None else found

        def moved(samples: np.ndarray) -> np.ndarray:
            found = [number(sample) for sample in samples.reshape(-1).tolist()]
            return np.asarray(found, np.int32).reshape(samples.shape)

        indices = moved(questions.indices)
        away = questions.indices[indices < 0].tolist()
        missing |= dict.fromkeys(self.names[s] if self.names else str(s) for s in away)
        exemplars, members = moved(questions.exemplars), moved(questions.members)
        return questions._replace(indices=indices, exemplars=exemplars, members=members)

    def _find(self, sample: int, matcher: Matcher) -> int | None:
        if len(self.identity):
            found = matcher.same(int(self.identity[sample]))
            if found is not None:
                return found
        return matcher.find(self.names[sample] if self.names else sample)


class Matcher:
    """Finds samples of the data by what they are called or what they are."""

    def __init__(self, names: Sequence[str], identity: np.ndarray) -> None:
        """Look among samples with these ``names``, or none, and digests ``identity`` ``[n]``."""
        self._first = next(iter(names), None)
        self._names = _by_tails(names)
        self._identity = identity
        values, first, counts = np.unique(identity, return_index=True, return_counts=True)
        # Of samples that are all alike, nobody can say which was meant.
        single = counts == 1
        self._same = dict(zip(values[single].tolist(), first[single].tolist(), strict=True))

    def find(self, where: str | int) -> int | None:
        """The number of the sample that is called ``where``; None where there is none.

        A path may begin with other folders than the data's names, as long as its end tells.
        """
        if isinstance(where, str) and self._names:
            return next((self._names[tail] for tail in _tails(where) if tail in self._names), None)
        number = int(where) if str(where).strip().isdecimal() else -1
        return number if 0 <= number < len(self._identity) else None

    def same(self, digest: int) -> int | None:
        """The number of the one sample of this content."""
        return self._same.get(digest)

    def digest(self, sample: int) -> int:
        """The digest of a sample."""
        return int(self._identity[sample])

    def told(self) -> str:
        """What samples are called here."""
        if self._first is None:
            return f"numbers from 0 to {len(self._identity) - 1}"
        return f"names such as {self._first!r}"


def _tails(path: str) -> list[str]:
    """A path, and what is left of it without its first folders, longest first."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _by_tails(names: Sequence[str]) -> dict[str, int | None]:
    """Which sample a name or its end means; None where it may mean several."""
    found: dict[str, int | None] = {}
    for index, name in enumerate(names):
        for tail in _tails(name)[1:]:
            found[tail] = None if tail in found else index
    return found | {name: index for index, name in enumerate(names)}


def read_source(path: str | Path) -> Source:
    """Read answers.

    Args:
      path: the folder of a run; a table ``.csv`` with a column ``path`` (or ``index``) and one
        ``group``, empty for samples without one; an ``.npz`` with ``labels``, -1 for unknown; or
        the ``.json`` that Label Studio exports.

    Raises:
      UserError: it is none of these, or cannot be read.
    """
    path = expanded(path)
    if path.is_dir() or path.name in ("answers.db", "answers.jsonl"):
        return _read_run(path if path.is_dir() else path.parent)
    readers = {".csv": _read_table, ".npz": _read_arrays, ".json": _read_label_studio}
    if path.suffix not in readers:
        known = ", ".join(readers)
        raise UserError(f"answers is {str(path)!r}; a run's folder or a {known} file would do")
    try:
        rows = readers[path.suffix](path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    return Source(Labels(tuple(rows), path.name), (), {}, (), np.zeros(0, np.uint64))


def _read_run(folder: Path) -> Source:
    path = folder / "answers.db"
    if not path.is_file():
        raise UserError(f"answers is {str(folder)!r}, which holds no answers.db of a run")
    names, identity = read_identity(folder)
    with Store(path) as store:
        rounds = []
        for number in store.rounds():
            questions = store.questions(number)
            assert questions is not None
            rounds.append((questions, store.live(number)))
        groups = {group.id: group.name for group in store.groups()}
    return Source(Labels((), ""), tuple(rounds), groups, names, identity)


def read_identity(folder: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, or none, and digests ``[n]``, or none, of the samples of a run."""
    path = folder / IDENTITY
    if not path.exists():
        return (), np.zeros(0, np.uint64)
    with np.load(path) as saved:
        return tuple(saved["names"].tolist()), saved["digests"]


def write_identity(folder: Path, names: Sequence[str], identity: np.ndarray) -> None:
    """Write what :func:`read_identity` reads, unless it is there."""
    path = folder / IDENTITY
    if not path.exists():
        content = io.BytesIO()
        np.savez(content, names=np.asarray(names, str), digests=identity)
        write_atomically(path, content.getvalue())


def _read_table(path: Path) -> list[tuple[str | int, str | int]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = list(csv.DictReader(file))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} is no table: {error}") from error
    columns = list(rows[0]) if rows else []
    sample = next((name for name in _SAMPLE if name in columns), None)
    group = next((name for name in _GROUP if name in columns), None)
    if sample is None or group is None:
        found = ", ".join(map(str, columns)) or "no rows"
        raise UserError(f"{path} has {found}; the columns 'path' (or 'index') and 'group' would do")
    named = [(row[sample] or "", (row[group] or "").strip()) for row in rows]
    # Numbers are class ids, unless some groups have names.
    ids = all(name.isdecimal() for _, name in named if name)
    return [(where, int(name) if ids else name) for where, name in named if name]


def _read_arrays(path: Path) -> list[tuple[str | int, str | int]]:
    try:
        with np.load(path) as saved:
            arrays = {name: saved[name] for name in ("labels", "ids") if name in saved}
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    labels = arrays.get("labels")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise UserError(f"{path} holds no 'labels'; whole numbers [n], -1 for unknown, would do")
    ids = arrays.get("ids", np.arange(len(labels))).tolist()
    known = [bool(label) if isinstance(label, str) else label >= 0 for label in labels.tolist()]
    pairs = zip(ids, labels.tolist(), known, strict=True)
    return [(where, label) for where, label, there in pairs if there]


def _read_label_studio(path: Path) -> list[tuple[str | int, str | int]]:
    try:
        tasks = json.loads(path.read_text())
        return [row for task in tasks for row in _annotated(task)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path} is not as Label Studio exports it ({error!r})") from error


def _annotated(task: dict[str, Any]) -> list[tuple[str | int, str | int]]:
    """What the last annotation of a task says that was not cancelled."""
    data = task["data"]
    where = data.get("path", data.get("image"))
    # What its server calls a local file.
    where = str(where).rpartition("?d=")[2]
    for annotation in reversed(task["annotations"]):
        if not annotation.get("was_cancelled") and annotation["result"]:
            value = annotation["result"][0]["value"]
            return [(where, (value.get("choices") or value["text"])[0])]
    return []
