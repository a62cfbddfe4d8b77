"""The folder of one run: its configuration, what was changed on the way, and its log."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idc_jax.annotate.samples import NOW, Matcher, Samples, former, read_samples
from idc_jax.annotate.store import Store
from idc_jax.data.identity import digest_of
from idc_jax.errors import UserError
from idc_jax.report import write_atomically
from idc_jax.report.files import plain
from idc_jax.runs.sources import write_samples

# Where config.json keeps what the run has decided itself, which samples it is about, and what was
# changed on the way.
_SETTLED, _SAMPLES, _CHANGES = "settled", "samples", "changes"
# Parts of a configuration that say nothing about the result.
FREE_KEYS = (
    _SETTLED,
    _SAMPLES,
    _CHANGES,
    "workdir",
    "progress",
    "report",
    "devices",
    "data.device_gigabytes",
    "data.cache",
    "annotator.port",
    "annotator.host",
)
# What is asked, and of whom: changed, the learning goes on from where it is.
_PLAN = ("budget", "minutes", "questions", "rounds", "selector", "annotator", "answers")
# What a network's first variables come from.
_NETWORK = ("seed", "num_clusters", "init", "data", _SAMPLES, "model", "views", "pretrain")


class Change(NamedTuple):
    """A configuration that was changed between two calls.

    Attributes:
      round: the last round that was asked before.
      changed: the options' values before and now.
      anew: whether the learning began anew, from all answers.
      network: whether the network did.
    """

    round: int
    changed: dict[str, list[Any]]
    anew: bool
    network: bool

    def told(self) -> str:
        """In words, on one line."""
        return _in_words(self.changed)


class Course(NamedTuple):
    """What a run's folder has been through; each change that begins anew begins a stage.

    Attributes:
      changes: in their order.
    """

    changes: tuple[Change, ...] = ()

    @property
    def stage(self) -> int:
        """The present stage, from 1."""
        return self.stage_of(None)

    @property
    def start(self) -> int:
        """The last round that was asked before the present stage."""
        return max((change.round for change in self.changes if change.anew), default=0)

    def stage_of(self, round_: int | None) -> int:
        """The stage in which ``round_`` was asked; None for what is still to come."""
        before = [c for c in self.changes if c.anew and (round_ is None or c.round < round_)]
        return 1 + len(before)

    def folder(self, workdir: Path) -> Path:
        """Where the present stage keeps its checkpoints."""
        return self.folder_of(workdir, self.stage)

    def folder_of(self, workdir: Path, stage: int) -> Path:
        """Where a stage does."""
        return _stage_folder(workdir, stage)

    def pretraining(self, workdir: Path) -> Path:
        """Where the present network's pre-training does."""
        numbers = [n for n, c in enumerate((c for c in self.changes if c.anew), 2) if c.network]
        return _stage_folder(workdir, max(numbers, default=1)) / "pretrain"


def _stage_folder(workdir: Path, stage: int) -> Path:
    folder = workdir / "checkpoints"
    return folder if stage == 1 else folder / f"stage_{stage}"


def check_writable(path: Path) -> None:
    """Refuse a folder that could not be made or written to, without making it.

    Raises:
      UserError: naming the folder in the way.
    """
    existing = path
    try:
        # Unlike asking whether it exists, this says what is impossible about a name.
        while not _is_there(existing) and existing != existing.parent:
            existing = existing.parent
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"workdir {path} cannot be made: {reason}") from error
    if not existing.is_dir():
        raise UserError(f"workdir {path} cannot be made: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"workdir {path} cannot be written to: no permission for {existing}")


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def fingerprint(config: Mapping[str, Any]) -> str:
    """The part of ``config`` that decides the result, as one line of JSON."""
    kept = json.loads(json.dumps(plain(config)))
    for key in FREE_KEYS:
        *outer, last = key.split(".")
        part = kept
        for name in outer:
            part = part.get(name, {})
        part.pop(last, None)
    return json.dumps(kept, sort_keys=True)


def agreed_on(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options that several processes of a run need alike: by name, and for JSON.

    Where the data lie may differ; that they are the same is seen once they are read. Who answers is
    process 0's.
    """
    flat = _flat(json.loads(fingerprint(config)))
    own = ("data.path", "answers")
    shared = {
        name: value
        for name, value in flat.items()
        if name not in own and not name.startswith("annotator.")
    }
    versions = {f"the version of {name}": version(name) for name in ("idc_jax", "jax", "numpy")}
    more = {name: config[name] for name in ("devices",)}
    streams = {"data.device_gigabytes": config["data"]["device_gigabytes"]}
    return shared | more | streams | versions


def plan_course(path: Path, config: Mapping[str, Any], samples: Samples) -> Course:
    """What the folder ``path`` has been through once a run of ``config`` goes on there.

    Nothing is written.

    Args:
      path: the folder.
      config: as it was given.
      samples: of the data.

    Raises:
      UserError: its answers are about none of these samples, or its files cannot be read.
    """
    saved_at = path / "config.json"
    if not saved_at.exists():
        return Course()
    saved = _read_json(saved_at)
    course = Course(tuple(Change(**change) for change in saved.get(_CHANGES, ())))
    changed = _changed(saved, plain(config))
    data = {name: values for name, values in changed.items() if name.startswith("data.")}
    before = read_samples(path / NOW)
    digest = digest_of(samples.digests)
    other = digest != saved.get(_SAMPLES, digest)
    lost = other and not (len(before.digests) and (Matcher(samples).follow(before) >= 0).any())
    if lost or (data and _SAMPLES not in saved):
        told = f" ({_in_words(data)})" if data else ""
        raise UserError(
            f"the answers in {path} are about other samples{told}; a run of another --workdir "
            f"takes them along with --config.answers={path}"
        )
    # The same samples elsewhere are the same.
    changed = {name: values for name, values in changed.items() if name != "data.path"}
    if other:
        changed[_SAMPLES] = [len(before.digests), len(samples.digests)]
    if not changed:
        return course
    anew = [name for name in changed if name.split(".")[0] not in _PLAN]
    network = any(name.split(".")[0] in _NETWORK for name in anew)
    change = Change(last_round(path), changed, bool(anew), network)
    return Course((*course.changes, change))


def last_round(path: Path) -> int:
    """The last round that was asked in the folder ``path``, 0 for none."""
    store = path / "answers.db"
    if not store.exists():
        return 0
    with Store(store) as answers:
        return max(answers.rounds(), default=0)


def keep_samples(path: Path, samples: Samples) -> Samples | None:
    """Keep what the numbers of samples stand for from now on, and for earlier rounds what they did.

    Args:
      path: the folder.
      samples: of the data.

    Returns:
      Those of before, where they are not the same.
    """
    before, last = read_samples(path / NOW), last_round(path)
    same = np.array_equal(before.digests, samples.digests)
    if same and before.names == samples.names:
        return None
    over = former(path, last)
    if last and len(before.digests) and not same and not over.exists():
        write_atomically(over, (path / NOW).read_bytes())
    write_samples(path, samples)
    return before if last and len(before.digests) and not same else None


def claim(
    path: Path, config: Mapping[str, Any], settled: Mapping[str, Any], samples: str, course: Course
) -> None:
    """Make ``path`` the folder of a run of ``config``, or go on in it.

    Args:
      path: the folder.
      config: as it was given.
      settled: what this run has made of that which ``config`` leaves open.
      samples: :func:`~idc_jax.data.identity.digest_of` the samples.
      course: of :func:`plan_course`.

    Raises:
      UserError: the folder cannot be written.
    """
    written = {**config, _SAMPLES: samples}
    if settled:
        written[_SETTLED] = dict(settled)
    if course.changes:
        written[_CHANGES] = [change._asdict() for change in course.changes]
    write_atomically(path / "config.json", json.dumps(plain(written), indent=2) + "\n")


def settled_before(path: Path) -> dict[str, Any]:
    """What the run in ``path`` has made of that which its configuration leaves open.

    Raises:
      UserError: its ``config.json`` cannot be read.
    """
    saved = path / "config.json"
    return _read_json(saved).get(_SETTLED, {}) if saved.exists() else {}


def check_unchanged(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder that holds a run of another configuration, without writing to it.

    Raises:
      UserError: naming what differs.
    """
    saved = path / "config.json"
    changed = _changed(_read_json(saved), plain(config)) if saved.exists() else {}
    if changed:
        raise UserError(
            f"{path} holds a run of another configuration ({_in_words(changed)}); "
            "use another --workdir"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _changed(saved: dict[str, Any], wanted: dict[str, Any]) -> dict[str, list[Any]]:
    """The options that differ, each with its value before and now."""
    before, after = (_flat(json.loads(fingerprint(tree))) for tree in (saved, wanted))
    # What a config has gained since then has the value that it had before it could be said.
    names = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    return {name: [before[name], after[name]] for name in names}


def _in_words(changed: Mapping[str, list[Any]], most: int = 3) -> str:
    shown = [f"{name}: {was!r}, now {now!r}" for name, (was, now) in list(changed.items())[:most]]
    more = [f"and {len(changed) - most} more"] if len(changed) > most else []
    return "; ".join(shown + more)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


# What a line of pre-training calls its epoch.
_EPOCH = "pretrain/epoch"


class MetricsLog:
    """``metrics.jsonl``: one line per logged step or round."""

    def __init__(self, path: Path) -> None:
        """Go on behind the lines that ``path`` holds, if it is there."""
        self._path = path
        self.lines: list[dict[str, Any]] = []
        if path.exists():
            # A kill may have cut the last line short.
            for text in path.read_text().splitlines():
                try:
                    self.lines.append(json.loads(text))
                except ValueError:
                    break

    def __call__(self, values: Mapping[str, Any]) -> None:
        """Append one line."""
        line = {name: plain(value) for name, value in values.items()}
        self._forget_repeated(line)
        self.lines.append(line)
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror or error}") from error

    def _forget_repeated(self, line: Mapping[str, Any]) -> None:
        """Drop the epochs that a pre-training which was killed logged after its checkpoint."""
        if _EPOCH not in line:
            return
        kept = len(self.lines)
        while kept and self.lines[kept - 1].get(_EPOCH, 0) >= line[_EPOCH]:
            kept -= 1
        if kept < len(self.lines):
            self.rewind(kept)

    def rewind(self, count: int) -> None:
        """Forget what was logged after the first ``count`` lines: a resumed run logs it again."""
        self.lines = self.lines[:count]
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        write_atomically(self._path, text)
