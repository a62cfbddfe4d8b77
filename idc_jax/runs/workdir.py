"""The folder of one run: its configuration, its log, and whether it may go on there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idc_jax.errors import UserError
from idc_jax.report import write_atomically
from idc_jax.report.files import plain

# Where config.json keeps what the run has decided itself.
_SETTLED = "settled"
# Parts of a configuration that may change between a run and its continuation.
FREE_KEYS = (
    _SETTLED,
    "workdir",
    "progress",
    "report",
    "devices",
    "data.device_gigabytes",
    "annotator.port",
    "annotator.host",
)


def check_writable(path: Path) -> None:
    """Refuse a folder that could not be made or written to, without making it.

    Raises:
      UserError: naming the folder in the way.
    """
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"workdir {path} cannot be made: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"workdir {path} cannot be written to: no permission for {existing}")


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


def claim(path: Path, config: Mapping[str, Any], settled: Mapping[str, Any]) -> None:
    """Make ``path`` the folder of a run of ``config``, or go on in it.

    Args:
      path: the folder.
      config: as it was given.
      settled: what this run has made of that which ``config`` leaves open.

    Raises:
      UserError: the folder holds a run of another configuration, or cannot be written.
    """
    check_claim(path, config)
    saved = path / "config.json"
    if not saved.exists():
        written = {**config, _SETTLED: dict(settled)} if settled else config
        write_atomically(saved, json.dumps(plain(written), indent=2) + "\n")


def settled_before(path: Path) -> dict[str, Any]:
    """What the run in ``path`` has made of that which its configuration leaves open.

    Raises:
      UserError: its ``config.json`` cannot be read.
    """
    saved = path / "config.json"
    return _read_json(saved).get(_SETTLED, {}) if saved.exists() else {}


def check_claim(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder that holds a run of another configuration, without writing to it.

    Raises:
      UserError: naming what differs.
    """
    saved = path / "config.json"
    changed = _differences(_read_json(saved), plain(config)) if saved.exists() else ""
    if changed:
        raise UserError(
            f"{path} holds a run of another configuration ({changed}); "
            "use another --workdir, or remove it"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _differences(saved: dict[str, Any], wanted: dict[str, Any]) -> str:
    before, after = (_flat(json.loads(fingerprint(tree))) for tree in (saved, wanted))
    names = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    shown = [f"{name}: {before.get(name)!r}, now {after.get(name)!r}" for name in names[:3]]
    more = [f"and {len(names) - 3} more"] if len(names) > 3 else []
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
