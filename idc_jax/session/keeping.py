"""What a session keeps on the disk: a folder of its own while it lasts, and what `save` leaves."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Hashable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from idc_jax.data.base import Dataset
from idc_jax.data.identity import digests
from idc_jax.errors import UserError
from idc_jax.methods.contract import Context, State
from idc_jax.report import write_atomically
from idc_jax.runs.interaction import Interaction
from idc_jax.session.course import Course
from idc_jax.session.parts import Settings
from idc_jax.session.samples import as_samples
from idc_jax.train.checkpoint import Checkpoints, read_latest, rebuild

_SETTINGS, _SAMPLES, _LEARNED = "session.json", "samples.npz", "checkpoints"


class Samples(NamedTuple):
    """What a session is about.

    Attributes:
      dataset: the samples.
      ids: what they are called, None for their numbers.
      features: float ``[n, d]``, by which they are compared.
    """

    dataset: Dataset
    ids: tuple[Hashable, ...] | None
    features: np.ndarray


def own_folder(owner: object) -> Path:
    """A new temporary folder that goes when ``owner`` does."""
    folder = tempfile.mkdtemp(prefix="idc_jax-")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def check_free(folder: Path) -> None:
    """Refuse a ``folder`` in which something else is kept.

    Raises:
      UserError: there is anything but the lock of whoever is at work there.
    """
    if folder.exists() and any(path.name != "lock" for path in folder.iterdir()):
        raise UserError(f"{folder} holds something already; save under another name")


def write_samples(folder: Path, samples: Samples) -> None:
    """Keep ``samples`` in ``folder``.

    Raises:
      OSError: it cannot be written.
      TypeError: the ids are of a type that JSON does not know.
    """
    dataset, ids, features = samples
    np.savez(
        folder / _SAMPLES,
        inputs=dataset.inputs,
        features=features,
        ids=np.asarray(json.dumps(ids) if ids else ""),
        files=np.asarray(dataset.names, str),
        # By which a run that takes these answers finds the samples.
        names=np.asarray([str(one) for one in ids or ()], str),
        digests=digests(dataset.inputs),
    )


def write_learned(
    folder: Path, settings: Settings, interaction: Interaction, course: Course
) -> None:
    """Keep in ``folder`` what was learned so far, and then how the session was begun."""
    with closing(Checkpoints(folder / _LEARNED)) as kept:
        state = {"context": interaction.context, "state": interaction.state}
        kept.save(course.learned, state, {"expected": course.expected})
    write_atomically(folder / _SETTINGS, json.dumps(settings._asdict(), indent=2) + "\n")


def read_begun(folder: Path) -> tuple[Settings, Samples]:
    """How the session that ``folder`` holds was begun, and what it is about.

    Raises:
      UserError: it holds none that can be read.
    """
    try:
        settings = Settings(**json.loads((folder / _SETTINGS).read_text()))
        with (folder / _SAMPLES).open("rb") as file, np.load(file) as saved:
            inputs, features, ids = saved["inputs"], saved["features"], str(saved["ids"])
            files = tuple(saved["files"].tolist())
        called = json.loads(ids) if ids else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} holds no session that can be read ({error})") from error
    dataset = as_samples(inputs).dataset._replace(names=files, notes=())
    # JSON knows no tuples.
    named = called and tuple(tuple(one) if isinstance(one, list) else one for one in called)
    return settings, Samples(dataset, named, features)


def read_learned(folder: Path, interaction: Interaction, course: Course) -> None:
    """Go on with what :func:`write_learned` kept in ``folder``.

    What another version learned, and this one has no place for, is learned again from the answers.
    """
    saved = read_latest(folder / _LEARNED)
    assert saved is not None
    spec, tree = interaction.spec, saved.tree
    try:
        context: Context = rebuild(spec.context, tree["context"])
        state: State = rebuild(spec.state, tree["state"])
    except ValueError:
        interaction.begin()
        return
    interaction.go_on(context, state)
    course.learned = saved.step
    expected = saved.meta["expected"]
    # What was expected before ranges were told is told again after the next answers.
    course.expected = expected if expected and "told" in expected else None
