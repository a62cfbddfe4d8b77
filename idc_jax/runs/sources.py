"""Where answers from elsewhere come from, and which sample of the data each is about."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from idc_jax.annotate.label_studio import Task, read_tasks
from idc_jax.annotate.naming import MAX_GROUP, tidy, whole
from idc_jax.annotate.questions import Questions
from idc_jax.annotate.samples import NOW, Matcher, Samples, samples_by_round
from idc_jax.annotate.store import Row, Store, renumbered
from idc_jax.annotate.textfile import read_table
from idc_jax.data.registry import expanded
from idc_jax.errors import UserError
from idc_jax.report import write_atomically

# What a table may call its columns; the first that is there counts.
_SAMPLE = ("path", "sample", "file_name", "filename", "image", "index")
_GROUP = ("group", "label", "class", "choice")

# What a sample is called, or its number, and its group's name or class id, None for none.
Labelled = tuple[str | int, str | int | None]


class Labels(NamedTuple):
    """Samples and their groups.

    Attributes:
      rows: a sample each; a later row about the same counts.
      annotator: who said so.
      complete: whether a sample without a row has no group.
    """

    rows: tuple[Labelled, ...]
    annotator: str
    complete: bool = False


class Asked(NamedTuple):
    """A round of another run.

    Attributes:
      questions: in its own numbers.
      rows: the answers that count.
      dead: answers that were reversed or replaced.
      samples: what its numbers stand for.
    """

    questions: Questions
    rows: tuple[Row, ...]
    dead: tuple[Row, ...]
    samples: Samples

    def here(self, matcher: Matcher, missing: dict[str, None]) -> Questions:
        """The questions with the samples' numbers here, -1 for those that are not.

        What was said something of and is not here is entered into ``missing``.
        """
        found, names = renumbered(self.questions, matcher.follow(self.samples)), self.samples.names
        for row in self.rows:
            asked = self.questions.indices[row.position].reshape(-1)
            away = asked[found.indices[row.position].reshape(-1) < 0].tolist()
            missing |= dict.fromkeys(names[s] if s < len(names) else str(s) for s in away)
        return found


class Source(NamedTuple):
    """Answers as they were read.

    Attributes:
      labels: what is no run's.
      rounds: of another run.
      group_names: of another run's groups, by id.
    """

    labels: Labels
    rounds: tuple[Asked, ...] = ()
    group_names: Mapping[int, str] = {}

    def named(self, group: int) -> str | int:
        """The name of a group, or its id without one."""
        return self.group_names.get(group, group)


def read_source(path: str | Path) -> Source:
    """Read answers.

    Args:
      path: the folder of a run; a table ``.csv`` or ``.tsv`` with a column ``path`` (or ``index``)
        and one ``group``, empty for samples without one; an ``.npz`` with ``labels``, -1 for
        unknown; or the ``.json`` that Label Studio exports.

    Raises:
      UserError: it is none of these, or cannot be read.
    """
    path = expanded(path)
    if path.is_dir() or path.name in ("answers.db", "answers.jsonl"):
        return _read_run(path if path.is_dir() else path.parent)
    readers = {
        ".csv": _read_table,
        ".tsv": _read_table,
        ".npz": _read_arrays,
        ".json": _read_label_studio,
    }
    if path.suffix.lower() not in readers:
        known = ", ".join(readers)
        raise UserError(f"answers is {str(path)!r}; use a run's folder or a {known} file")
    return Source(readers[path.suffix.lower()](path))


def _read_run(folder: Path) -> Source:
    path = folder / "answers.db"
    if not path.is_file():
        raise UserError(f"answers is {str(folder)!r}, which holds no answers.db of a run")
    samples = samples_by_round(folder)
    with Store(path) as store:
        store.check()
        rows = store.rows()
        rounds = []
        for number in store.rounds():
            questions = store.questions(number)
            assert questions is not None
            live = store.live(number)
            alive = {row.client_id for row in live}
            given = [row for row in rows if row.round == number and row.undoes is None]
            dead = tuple(row for row in given if row.client_id not in alive)
            rounds.append(Asked(questions, live, dead, samples(number)))
        groups = {group.id: group.name for group in store.groups()}
    return Source(Labels((), ""), tuple(rounds), groups)


def write_samples(folder: Path, samples: Samples) -> None:
    """Write what the numbers of samples stand for from now on."""
    content = io.BytesIO()
    np.savez(content, names=np.asarray(samples.names, str), digests=samples.digests)
    write_atomically(folder / NOW, content.getvalue())


def _read_table(path: Path) -> Labels:
    rows = read_table(path)
    columns = list(rows[0]) if rows else []
    sample = next((name for name in _SAMPLE if name in columns), None)
    group = next((name for name in _GROUP if name in columns), None)
    if sample is None or group is None:
        found = ", ".join(columns) or "no rows"
        raise UserError(f"{path} has {found}; it must have 'path' (or 'index') and 'group'")
    if "answered_by" in columns:
        raise UserError(
            f"{path} has a group for every sample, answered or not; use the run's own folder, "
            "or the table without 'answered_by', to take every row for an answer"
        )
    named = [(row[sample], tidy(row[group])) for row in rows]
    return Labels(_as_groups(named, path), path.name)


def _as_groups(named: Sequence[tuple[str | int, str]], path: Path) -> tuple[Labelled, ...]:
    """Numbers are class ids, unless some groups have names."""
    ids = [whole(name) for _, name in named if name]
    if any(number is None for number in ids):
        return tuple((where, name or None) for where, name in named)
    return tuple((where, _class_id(name, path) if name else None) for where, name in named)


def _class_id(written: object, path: Path) -> int | None:
    """The id that is written, None for -1 and for a number that is none."""
    if isinstance(written, float) and written != written:
        return None
    number = whole(written)
    if number is None or not -1 <= number <= MAX_GROUP:
        raise UserError(
            f"{path} has the class id {written!r:.80}; it must be from 0 to {MAX_GROUP}, or -1 for "
            "unknown"
        )
    return number if number >= 0 else None


def _read_arrays(path: Path) -> Labels:
    try:
        with path.open("rb") as file, np.load(file) as saved:
            arrays = {name: saved[name] for name in ("labels", "ids") if name in saved}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    # A damaged file is told by zip, zlib or NumPy, each in its own way.
    except Exception as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    labels = arrays.get("labels")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iuUf":
        raise UserError(f"{path} holds no 'labels'; add them, whole numbers [n], -1 for unknown")
    ids = arrays.get("ids", np.arange(len(labels)))
    if ids.shape != labels.shape or ids.dtype.kind not in "iuU":
        raise UserError(
            f"{path} holds 'ids' {ids.dtype} {list(ids.shape)}; they must be a number or a name "
            f"for each of {len(labels)} labels"
        )
    said = [
        (tidy(label) or None) if isinstance(label, str) else _class_id(label, path)
        for label in labels.tolist()
    ]
    return Labels(tuple(zip(ids.tolist(), said, strict=True)), path.name)


def _read_label_studio(path: Path) -> Labels:
    try:
        rows = [row for task in read_tasks(path) for row in _annotated(task)]
    except UserError as error:
        raise UserError(f"{error}; not as Label Studio exports it") from error
    return Labels(_as_groups(rows, path), path.name, complete=True)


def _annotated(task: Task) -> list[tuple[str | int, str]]:
    """What the last annotation of a task says that was not cancelled."""
    name = next((name for name in _SAMPLE if name in task.data), None)
    where = task.data[name] if name else None
    if not isinstance(where, str | int) or isinstance(where, bool):
        raise UserError(f"{task.where}: data have no 'path' and no 'image'")
    said = [one.said for one in task.annotations if one.said is not None]
    text = tidy(str(said[-1])) if said else ""
    # What its server calls a local file.
    url = isinstance(where, str) and "?d=" in where
    return [(unquote(str(where).rpartition("?d=")[2]) if url else where, text)]
