"""One experiment from its configuration: the only place that composes all the parts.

Nothing below :mod:`idc_jax.runs` reads a config object.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from idc_jax import hosts
from idc_jax.annotate.samples import Matcher, Samples, open_store
from idc_jax.annotate.store import Store
from idc_jax.data import expanded
from idc_jax.data.base import Dataset
from idc_jax.data.identity import digest_of, digests
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.methods.contract import Log, Method
from idc_jax.ops.inputs import in_32_bits
from idc_jax.runs.answering import (
    AnnotatorOptions,
    announce_course,
    announce_data,
    announce_samples,
    answering,
    welcome,
)
from idc_jax.runs.auto import resolve, settled
from idc_jax.runs.bringing import bring, brought_before
from idc_jax.runs.configuration import departures
from idc_jax.runs.groups import most_groups, with_number_of_groups
from idc_jax.runs.lock import hold
from idc_jax.runs.loop import run
from idc_jax.runs.outcome import write_outcome
from idc_jax.runs.parts import check_against_data, load_dataset, make_parts
from idc_jax.runs.settings import check_settings, kinds_of
from idc_jax.runs.sources import read_source
from idc_jax.runs.state import Plan
from idc_jax.runs.together import follow
from idc_jax.runs.workdir import (
    MetricsLog,
    check_writable,
    claim,
    keep_samples,
    plan_course,
    settled_before,
)
from idc_jax.train.log import silent

if TYPE_CHECKING:
    from idc_jax.annotate.page import Lodging

# Of samples of more bytes, processes compare about so many, all over them, to see whether all
# have the same: to look at all would be to read all.
_LARGE, _COMPARED = 2**28, 4096


def run_experiment(config: ConfigDict, workdir: str | Path) -> Path:
    """Load, cluster, ask, learn, evaluate and report.

    Args:
      config: see :mod:`idc_jax.runs.configuration`.
      workdir: where the run leaves everything, or left it off.

    Returns:
      The path of ``report.html``.

    Raises:
      UserError: anything that the user can put right. What is wrong with the configuration, the
        data or the folder is found before anything is written.
    """
    workdir = Path(workdir).expanduser()
    check_settings(config)
    check_writable(workdir)
    people = AnnotatorOptions(**config.annotator)
    title = config.data.name or workdir.name
    with hold(workdir), in_32_bits(), welcome(people, title, workdir) as lodging:
        return _run_experiment(config, workdir, people, lodging)


def _run_experiment(
    config: ConfigDict, workdir: Path, people: AnnotatorOptions, lodging: Lodging | None
) -> Path:
    started = time.perf_counter()
    given = config
    config, dataset, groups, samples = _prepare(given, workdir)
    listeners: list[Log] = []

    def tell(values: Mapping[str, Any]) -> None:
        for listener in listeners:
            listener(values)

    course = plan_course(workdir, given.to_dict(), samples)
    # Composing checks every option, so nothing is written before it.
    wanted = bool(given.num_clusters)
    method = make_method(config, dataset, course.pretraining(workdir), tell, wanted=wanted)
    begun = (workdir / "answers.db").exists()
    if config.answers and not (begun and not expanded(config.answers).exists()):
        # What is broken is told before anything is written; to be taken, they are read again.
        read_source(config.answers)
    seconds = {"load": time.perf_counter() - started}  # with the embedding by a published network
    before = keep_samples(workdir, samples)
    decided = settled(given, config) | groups
    claim(workdir, given.to_dict(), decided, digest_of(samples.digests), course)
    limit = most_groups(given.num_clusters, config.method, len(dataset.class_names))
    with open_store(workdir) as store:
        announce_course(workdir, course)
        if before is not None:
            announce_samples(before, samples, Matcher(samples).follow(before), store)
        if config.answers:
            _bring(store, config, dataset, samples.digests, limit)
    log = MetricsLog(workdir / "metrics.jsonl")
    with answering(people, dataset, limit, config.seed, workdir, lodging) as answers:
        listeners += [log, answers.show_losses]
        while True:
            outcome = run(
                registry.get(config.method),
                method,
                dataset,
                answers.make_annotator,
                plan_of(config),
                workdir,
                course=course,
                log=log,
                seconds=seconds,
                notify=answers.notify,
            )
            outcome.seconds["total"] = sum(outcome.seconds.values())
            answers.notify("report", {})
            report = write_outcome(
                config, dataset, outcome, log, workdir, course, groups.get("candidates")
            )
            if not answers.goes_on():
                return report
            seconds = {}


def plan_of(config: ConfigDict) -> Plan:
    """How much is asked, and what."""
    kinds = kinds_of(config.questions, registry.get(config.method))
    return Plan(config.budget, config.rounds, config.seed, config.minutes, kinds)


class _Prepared(NamedTuple):
    """What is settled before a method is composed, alike in all processes.

    Attributes:
      config: with nothing left open.
      dataset: as it was loaded.
      groups: how many were found, to be kept.
      samples: what tells them apart.
    """

    config: ConfigDict
    dataset: Dataset
    groups: dict[str, Any]
    samples: Samples


def _prepare(given: ConfigDict, workdir: Path) -> _Prepared:
    """Settle what ``given`` leaves open, and load the data."""
    before = hosts.told(lambda: settled_before(workdir))
    config = resolve(given, before)
    dataset = load_dataset(config)
    announce_data(dataset)
    _check_same(dataset)
    found = hosts.by_rows(lambda rows: digests(dataset.inputs[rows]), dataset.size)
    samples = Samples(dataset.names, found)
    config, groups = with_number_of_groups(config, dataset, before)
    _announce_recipe(config)
    check_against_data(config, dataset)
    # Nothing is written before all have read what they need.
    hosts.wait_for_all()
    return _Prepared(config, dataset, groups, samples)


def _check_same(dataset: Dataset) -> None:
    """Refuse other samples than process 0 has, by all of them or, where they are large, by some."""
    if hosts.count() == 1:
        return
    some = np.arange(dataset.size)
    if dataset.inputs.nbytes > _LARGE:
        some = some[:: max(dataset.size // _COMPARED, 1)]
    digest = digest_of(digests(dataset.inputs[some]))
    first = hosts.told(lambda: {"digest": digest, "size": dataset.size})
    if first["digest"] != digest:
        raise UserError(
            f"{dataset.name} has other samples here than in process 0 ({dataset.size} and "
            f"{first['size']}); every process needs the same --config.data.path"
        )


def follow_experiment(config: ConfigDict) -> None:
    """Do what process 0 does in :func:`run_experiment`, writing nothing.

    Raises:
      UserError: anything that the user can put right.
    """
    check_settings(config)
    with in_32_bits(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        wanted = bool(config.num_clusters)
        config, dataset, _, _ = _prepare(config, Path())
        config.progress = False
        # Process 0 alone keeps what the pre-training leaves.
        method = make_method(config, dataset, Path(), silent, wanted=wanted)
        kinds = plan_of(config).kinds
        follow(registry.get(config.method), method, dataset.size, config.seed, kinds=kinds)


def _bring(
    store: Store, config: ConfigDict, dataset: Dataset, identity: np.ndarray, limit: int
) -> None:
    """Take the answers that ``config.answers`` names into ``store``."""
    path = expanded(config.answers)
    if path.resolve() == store.path.parent.resolve():
        raise UserError(f"answers is {config.answers!r}, this run's own folder: they are here")
    if not os.path.exists(path) and (known := brought_before(store, config.answers)):
        print(f"answers: {path} is gone; the {known} taken from it before are here", flush=True)
        return
    found = bring(store, dataset, identity, config.answers, max_groups=limit)
    print(found.told(config.answers), flush=True)


def _announce_recipe(config: ConfigDict) -> None:
    """Print which recipe a run follows, and where it does not."""
    found = departures(config)
    if config.recipe:
        other = ", ".join(f"{full} {has} ({wanted})" for full, (wanted, has) in found.items())
        print(f"recipe: {config.recipe}" + (f", but for {other}" if other else ""), flush=True)


def make_method(
    config: ConfigDict, dataset: Dataset, pretraining: Path, log: Log, *, wanted: bool = True
) -> Method:
    """Compose the configured method with its parts and its options.

    ``wanted`` is whether the number of clusters is what somebody wants, or was found.
    """
    spec = registry.get(config.method)
    options = {group: kind(**config[group]) for group, kind in spec.options.items()}
    parts = make_parts(config, dataset, pretraining, log)
    return spec.build(parts._replace(wanted=wanted), options)
