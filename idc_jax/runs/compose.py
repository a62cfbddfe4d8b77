"""One experiment from its configuration: the only place that composes all the parts.

Nothing below this module reads a config object.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from idc_jax import annotate, data, models
from idc_jax.annotate.store import Store
from idc_jax.runs.answering import AnnotatorOptions, announce_data, answer_names, answering
from idc_jax.train.start import Start, make_begin, published_weights
from idc_jax.data.augment.strong import StrongOptions
from idc_jax.data.augment.warped import WarpOptions
from idc_jax.data.augment.weak import WeakOptions
from idc_jax.data.base import Dataset
from idc_jax.data.residency import Samples, place
from idc_jax.data.target_maps import retarget
from idc_jax.data.views import Views
from idc_jax.train.embedded import embedded
from idc_jax.errors import UserError
from idc_jax.methods.committee import method as graph_committee
from idc_jax.methods.dsac import method as dsac
from idc_jax.methods.idc import method as idc
from idc_jax.methods.pcl import method as pcl
from idc_jax.methods.contract import OWN, Begin, Log, Method
from idc_jax.methods.dsac.training import DsacTraining
from idc_jax.methods.idc.options import for_new_head
from idc_jax.methods.pcl.training import PclTraining
from idc_jax.models.base import Model
from idc_jax.models.importing import Imported, open_network
from idc_jax.ops import check_finite
from idc_jax.report import ReportOptions, write_assignments, write_report, write_result
from idc_jax.runs.loop import Outcome, Plan, question_total, run
from idc_jax.runs.settings import check_settings
from idc_jax.train.finetune import FinetuneOptions
from idc_jax.train.parallel import everywhere, make_mesh
from idc_jax.train.pretrain import PretrainOptions
from idc_jax.runs.workdir import MetricsLog, check_writable, claim

_VERSIONS = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")


class Parts(NamedTuple):
    """What a method is composed of.

    Attributes:
      config: the whole configuration.
      dataset: the data.
      data: its samples, on the device or streamed.
      model: the network.
      views: of its samples.
      begin: gives the network's first variables.
      new_head: whether they come from elsewhere, but for the cluster head.
      log: for losses.
    """

    config: ConfigDict
    dataset: Dataset
    data: Samples
    model: Model
    views: Views
    begin: Begin
    new_head: bool
    log: Log


def run_experiment(config: ConfigDict, workdir: str | Path) -> Path:
    """Load, cluster, ask, learn, evaluate and report.

    Args:
      config: see ``configs/base.py``.
      workdir: where the run leaves everything, or left it off.

    Returns:
      The path of ``report.html``.

    Raises:
      UserError: anything that the user can put right. What is wrong with the configuration, the
        data or the folder is found before anything is written.
    """
    workdir = Path(workdir)
    check_settings(config)
    check_writable(workdir)
    started = time.perf_counter()
    dataset = load_dataset(config)
    announce_data(dataset)
    check_against_data(config, dataset)
    listeners: list[Log] = []

    def tell(values: Mapping[str, Any]) -> None:
        for listener in listeners:
            listener(values)

    # Composing checks every option, so nothing is written before it.
    method = make_method(config, dataset, workdir, tell)
    seconds = {"load": time.perf_counter() - started}  # with the embedding by a published network
    claim(workdir, config.to_dict())
    log = MetricsLog(workdir / "metrics.jsonl")
    people = AnnotatorOptions(**config.annotator)
    with answering(people, dataset, config.num_clusters, config.seed, workdir) as answers:
        listeners += [log, answers.show_losses]
        outcome = run(
            method,
            dataset,
            answers.make_annotator,
            Plan(config.budget, config.rounds, config.seed),
            workdir,
            log=log,
            seconds=seconds,
            notify=answers.notify,
        )
    outcome.seconds["total"] = sum(outcome.seconds.values())
    return write_outcome(config, dataset, outcome, log, workdir)


def load_dataset(config: ConfigDict) -> Dataset:
    """Load what ``config.data`` names."""
    wanted = config.data
    dataset = data.load(
        wanted.source,
        path=wanted.path or None,
        name=wanted.name or None,
        image_size=wanted.image_size or None,
        splits=tuple(wanted.splits),
        label_key=wanted.label_key or None,
        features_key=wanted.features_key,
        classes=tuple(wanted.classes),
        limit=wanted.limit or None,
        seed=config.seed,
        cache_dir=wanted.cache or None,
    )
    return retarget(dataset, wanted.target_map) if wanted.target_map else dataset


def check_against_data(config: ConfigDict, dataset: Dataset) -> None:
    """Refuse what this data set cannot do.

    Raises:
      UserError: one line that says what came and what would do.
    """
    n = dataset.size
    if config.num_clusters > n:
        raise UserError(f"num_clusters is {config.num_clusters}, but there are {n} samples")
    if config.method != "pcl" and config.budget > n:
        raise UserError(f"budget is {config.budget}, but there are {n} samples to ask about")
    if dataset.kind == "features":
        check_finite(jnp.asarray(dataset.inputs), "features")
    if dataset.labels is None and config.annotator.kind == "oracle":
        raise UserError(
            f"{dataset.name} has no labels for a simulated annotator to know; "
            "use --config.annotator.kind=page or file"
        )
    as_features = dataset.kind == "features" or config.data.embed_with
    if as_features and config.model.name != "mlp":
        raise UserError(f"model.name is {config.model.name!r}, but the data are features: use mlp")
    if dataset.kind == "features" and config.data.embed_with:
        raise UserError("data.embed_with is for images, but the data are features")
    too_much = dataset.inputs.nbytes > config.data.device_gigabytes * 1e9
    streams = dataset.kind == "images" and (config.method == "idc" or config.data.embed_with)
    if too_much and not streams:
        raise UserError(
            f"the samples take {dataset.inputs.nbytes / 1e9:.1f} GB, and data.device_gigabytes "
            f"allows {config.data.device_gigabytes}; only IDC streams images: lower "
            "data.image_size or raise it"
        )


def make_method(config: ConfigDict, dataset: Dataset, workdir: Path, log: Log) -> Method:
    """Compose the network, its views, its beginning and the method."""
    if config.data.embed_with:
        dataset = embed(config, dataset)
    views, seen = make_views(config, dataset)
    imported = open_published(config, seen)
    model = make_network(config, seen) if imported is None else imported.model
    samples = place_samples(config, dataset)
    begin = make_begin(
        Start(config.init, PretrainOptions(**config.pretrain), imported),
        model,
        views,
        samples,
        workdir / "checkpoints" / "pretrain",
        log=log,
        progress=config.progress,
    )
    new_head = imported is not None and imported.new_head
    parts = Parts(config, dataset, samples, model, views, begin, new_head, log)
    return _BUILDERS[config.method](parts)


def embed(config: ConfigDict, dataset: Dataset) -> Dataset:
    """Put a published network's frozen embeddings in place of the images."""
    path = published_weights(config.data.embed_with)
    if path is None:
        raise UserError(f"data.embed_with is {config.data.embed_with!r}: no such file")
    cache = Path(config.data.cache).expanduser() if config.data.cache else data.default_cache_dir()
    samples = place_samples(config, dataset)
    size = config.views.size or None
    return embedded(path, dataset, samples, size=size, cache_dir=cache, progress=config.progress)


def place_samples(config: ConfigDict, dataset: Dataset) -> Samples:
    """Put the samples on the devices, or see to it that they are streamed."""
    mesh = make_mesh(config.devices)
    return place(dataset.inputs, int(config.data.device_gigabytes * 1e9), everywhere(mesh))


def open_published(config: ConfigDict, seen: tuple[int, ...]) -> Imported | None:
    """Open the published checkpoint that ``config.init`` names, if it names one."""
    path = published_weights(config.init)
    if path is None:
        return None
    return open_network(
        path,
        num_clusters=config.num_clusters,
        input_shape=seen,
        head=config.model.head,
        dtype=jnp.dtype(config.model.dtype),
    )


def make_views(config: ConfigDict, dataset: Dataset) -> tuple[Views, tuple[int, ...]]:
    """Build the views of ``dataset``'s samples, and say what shape the network sees."""
    shape = dataset.inputs.shape[1:]
    wanted = config.views
    if dataset.kind == "features":
        views = data.feature_views(
            weak_noise=wanted.noise / 2,
            strong_noise=wanted.noise,
            weak_dropout=wanted.dropout / 2,
            strong_dropout=wanted.dropout,
            scale=0.0,
        )
        return views, shape
    size = wanted.size or max(shape[:2])
    crops = WeakOptions(
        crop_scale=(wanted.crop, 1.0), mirror=wanted.mirror, jitter=tuple(wanted.jitter)
    )
    strong = StrongOptions(mirror=wanted.mirror, operations=wanted.operations, cutout=wanted.cutout)
    weak = WarpOptions() if wanted.weak == "warp" else crops
    views = data.image_views(shape, size, weak=weak, strong=strong)
    if wanted.strong == "weak":
        views = views._replace(strong=views.weak)
    return views, (size, size, shape[2])


def make_network(config: ConfigDict, seen: tuple[int, ...]) -> Model:
    """Build the configured network for samples of shape ``seen``."""
    return models.build(
        config.model.name,
        num_clusters=config.num_clusters,
        input_shape=seen,
        stem=config.model.stem or None,
        width=config.model.width or None,
        embedding_dim=config.model.embedding_dim or None,
        head=config.model.head,
        dtype=jnp.dtype(config.model.dtype),
    )


def _shared(parts: Parts) -> dict[str, Any]:
    """What every method is built with."""
    config = parts.config
    return {
        "num_clusters": config.num_clusters,
        "begin": parts.begin,
        "log": parts.log,
        "progress": config.progress,
    }


def _idc(parts: Parts) -> Method:
    config = parts.config
    options, finetuning = idc.IDCOptions(**config.idc), FinetuneOptions(**config.finetune)
    if parts.new_head:
        options, finetuning = for_new_head(options, finetuning)
    return idc.build(
        parts.model,
        parts.views,
        parts.data,
        selector="idc" if config.selector == OWN else config.selector,
        options=options,
        finetuning=finetuning,
        **_shared(parts),
    )


def _dsac(parts: Parts) -> Method:
    config = parts.config
    return dsac.build(
        parts.model,
        parts.views,
        _resident(parts.data),
        options=dsac.DsacOptions(**_with_picks(config)),
        training=DsacTraining(**config.dsac_training),
        **_shared(parts),
    )


def _pcl(parts: Parts) -> Method:
    config = parts.config
    return pcl.build(
        parts.model,
        parts.views,
        _resident(parts.data),
        parts.dataset.train,
        head=config.model.head,
        total_budget=config.budget,
        options=pcl.PclOptions(**config.pcl),
        training=PclTraining(**config.pcl_training),
        **_shared(parts),
    )


def _graph_committee(parts: Parts) -> Method:
    return graph_committee.build(
        parts.model,
        parts.views,
        parts.data,
        options=graph_committee.GraphCommitteeOptions(**_with_picks(parts.config)),
        **_shared(parts),
    )


def _with_picks(config: ConfigDict) -> dict[str, Any]:
    """The method's options, with the picks of the selector that was named in place of its own."""
    named = {} if config.selector == OWN else {"picks": config.selector}
    return {**config[config.method], **named}


def _resident(samples: Samples) -> jax.Array:
    assert isinstance(samples, jax.Array)
    return samples


_BUILDERS: dict[str, Callable[[Parts], Method]] = {
    "graph_committee": _graph_committee,
    "idc": _idc,
    "dsac": _dsac,
    "pcl": _pcl,
}


def write_outcome(
    config: ConfigDict, dataset: Dataset, outcome: Outcome, log: MetricsLog, workdir: Path
) -> Path:
    """Write ``result.json``, ``assignments.csv`` and ``report.html``."""
    result = make_result(config, dataset, outcome)
    with Store(workdir / "answers.db") as store:
        result["disagreement"] = annotate.disagreement(store, [a for _, a in outcome.rounds])
        names = answer_names(dataset, store)
    write_assignments(
        workdir / "assignments.csv",
        probabilities=outcome.final,
        names=dataset.names,
        rounds=outcome.rounds,
        class_names=names,
    )
    report = write_report(
        workdir,
        dataset=dataset,
        result=result,
        rounds=outcome.rounds,
        initial_probabilities=outcome.initial,
        final_probabilities=outcome.final,
        embeddings=outcome.embeddings,
        metrics_log=log.lines,
        options=ReportOptions(
            config.report.map, config.report.map_points, config.seed, answer_names=names
        ),
    )
    # Last: who finds it knows that the run is complete.
    write_result(workdir / "result.json", result)
    return report


def make_result(config: ConfigDict, dataset: Dataset, outcome: Outcome) -> dict[str, Any]:
    """Put together ``result.json``."""
    scored = [entry["metrics"] for entry in outcome.history]
    best = max(scored, key=lambda m: m["acc"]) if scored[0] else None
    device = jax.devices()[0]
    return {
        "config": config.to_dict(),
        "method": config.method,
        "dataset": dataset.name,
        "num_samples": dataset.size,
        "num_clusters": config.num_clusters,
        "device": f"{jax.device_count()} x {device.device_kind} ({device.platform})",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _VERSIONS},
        },
        "questions": question_total(outcome.rounds),
        "rounds": outcome.history,
        "initial": scored[0],
        "final": scored[-1],
        "best": best,
        "seconds": outcome.seconds,
    }
