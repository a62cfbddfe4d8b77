"""What a method is built from: the data, where they are, their views, the network and its start."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from idc_jax import data, models
from idc_jax.data.augment.strong import StrongOptions
from idc_jax.data.augment.warped import WarpOptions
from idc_jax.data.augment.weak import WeakOptions
from idc_jax.data.base import Dataset
from idc_jax.data.residency import Samples, place, place_rows
from idc_jax.data.target_maps import retarget
from idc_jax.data.views import Views
from idc_jax.errors import UserError
from idc_jax.methods import registry
from idc_jax.methods.common.searching import searcher
from idc_jax.methods.contract import Log, Parts
from idc_jax.models.base import Model
from idc_jax.models.importing import AUTO, NORMALISATIONS, Imported, open_network
from idc_jax.ops import normalize
from idc_jax.ops.sharded import rows_over
from idc_jax.runs.seen import embedders, shown_to
from idc_jax.train.embedded import embedded
from idc_jax.train.parallel import everywhere, mesh_for
from idc_jax.train.pretrain import PretrainOptions
from idc_jax.train.seen import views_for
from idc_jax.train.start import Start, make_begin, published_weights


def load_dataset(config: ConfigDict) -> Dataset:
    """Load what ``config.data`` names, files as a published network is shown them."""
    wanted, shown = config.data, shown_to(config)
    dataset = data.load(
        wanted.source,
        path=wanted.path or None,
        name=wanted.name or None,
        image_size=wanted.image_size or None,
        rule="middle" if shown is None else shown.rule,
        kernel="bicubic" if shown is None else shown.kernel,
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

    Args:
      config: with nothing left open.
      dataset: as it was loaded.

    Raises:
      UserError: one line that says what came and what to give instead.
    """
    n, spec = dataset.size, registry.get(config.method)
    if config.num_clusters > n:
        raise UserError(f"num_clusters is {config.num_clusters}, but there are {n} samples")
    if spec.chooses == "samples" and config.budget > n and not config.minutes:
        raise UserError(f"budget is {config.budget}, but there are {n} samples to ask about")
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
    if not config.data.embed_with:
        check_fits(config, dataset)


def check_fits(config: ConfigDict, dataset: Dataset) -> None:
    """Refuse samples that are compared as they are, and do not fit on the device.

    What a network looks at is streamed.

    Raises:
      UserError: naming the option.
    """
    allowed, size = config.data.device_gigabytes, dataset.inputs.nbytes
    if size <= allowed * 1e9 * _devices(mesh_for(config.devices, dataset.inputs)):
        return
    for group in _compares_inputs(config):
        raise UserError(
            f"the samples take {size / 1e9:.1f} GB, and data.device_gigabytes allows {allowed}; "
            f"raise it, or use {group}.space=network, for which they are streamed"
        )


def make_parts(config: ConfigDict, dataset: Dataset, pretraining: Path, log: Log) -> Parts:
    """Put together what every method is built from.

    Args:
      config: with nothing left open.
      dataset: as it was loaded.
      pretraining: the folder where a pre-training keeps its checkpoints.
      log: called with losses.
    """
    if config.data.embed_with:
        dataset = embed(config, dataset)
        check_fits(config, dataset)
    imported = open_published(config, dataset)
    views, seen = make_views(config, dataset, imported)
    model = make_network(config, seen) if imported is None else imported.model
    samples, repeats = place_spread(config, dataset)
    begin = make_begin(
        Start(config.init, PretrainOptions(**config.pretrain), imported),
        model,
        views,
        samples,
        pretraining,
        num_samples=dataset.size,
        log=log,
        progress=config.progress,
    )
    return Parts(
        model=model,
        views=views,
        data=samples,
        repeats=repeats,
        train=dataset.train,
        num_clusters=config.num_clusters,
        selector=config.selector,
        begin=begin,
        new_head=imported is not None and imported.new_head,
        search=searcher(config.neighbors, log),
        log=log,
        progress=config.progress,
    )


def embed(config: ConfigDict, dataset: Dataset) -> Dataset:
    """Put published networks' frozen embeddings in place of the images.

    Those of several stand side by side, each of unit length, so that each counts for as much.
    """
    found = [_embed(config, dataset, name) for name in embedders(config)]
    if len(found) == 1:
        return found[0]
    sides = [np.asarray(normalize(one.inputs)) for one in found]
    return found[0]._replace(inputs=np.concatenate(sides, axis=1))


def _embed(config: ConfigDict, dataset: Dataset, name: str) -> Dataset:
    path = published_weights(name)
    if path is None:
        raise UserError(f"data.embed_with is {config.data.embed_with!r}: no such file")
    cache = data.expanded(config.data.cache) if config.data.cache else data.default_cache_dir()
    return embedded(
        _open(config, path, dataset, num_clusters=1),
        dataset,
        lambda: place_samples(config, dataset),
        cache_dir=cache,
        progress=config.progress,
    )


def place_samples(config: ConfigDict, dataset: Dataset) -> Samples:
    """Put the samples on the devices, or see to it that they are streamed."""
    mesh = mesh_for(config.devices, dataset.inputs)
    return place(dataset.inputs, int(config.data.device_gigabytes * 1e9), everywhere(mesh))


def place_spread(config: ConfigDict, dataset: Dataset) -> tuple[Samples, int]:
    """The same, for a method.

    Over several devices they are spread where they are compared as they are, or where each device
    can hold its part of them but not all.

    Returns:
      The samples, and how many rows at the end are repeats.
    """
    mesh = mesh_for(config.devices, dataset.inputs)
    allowed, size = config.data.device_gigabytes * 1e9, dataset.inputs.nbytes
    fits = dataset.size >= _devices(mesh) and size <= allowed * _devices(mesh)
    if mesh is not None and fits and (size > allowed or _compares_inputs(config)):
        return place_rows(dataset.inputs, rows_over(mesh))
    return place_samples(config, dataset), 0


def _devices(mesh: Mesh | None) -> int:
    return 1 if mesh is None else mesh.size


def _compares_inputs(config: ConfigDict) -> list[str]:
    """The groups of the method's options that say that samples are compared as they are."""
    groups = registry.get(config.method).options
    return [group for group in groups if config[group].get("space") == "input"]


def open_published(config: ConfigDict, dataset: Dataset) -> Imported | None:
    """Open the published checkpoint that ``config.init`` names, if it names one, and say so."""
    path = published_weights(config.init)
    if path is None:
        return None
    shape = dataset.inputs.shape[1:]
    if dataset.kind != "images":
        raise UserError(f"init is {config.init!r}, a network for images, but the data are features")
    imported = _open(config, path, dataset, num_clusters=config.num_clusters)
    print(f"network: {imported.told(max(shape[:2]), files=bool(dataset.names))}", flush=True)
    return imported


def _open(config: ConfigDict, path: Path, dataset: Dataset, *, num_clusters: int) -> Imported:
    return open_network(
        path,
        num_clusters=num_clusters,
        input_shape=dataset.inputs.shape[1:],
        head=config.model.head,
        size=config.views.size,
        data_set=dataset.name,
        normalisation=config.views.normalisation,
        dtype=jnp.dtype(config.model.dtype),
    )


def make_views(
    config: ConfigDict, dataset: Dataset, imported: Imported | None = None
) -> tuple[Views, tuple[int, ...]]:
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
    crops = WeakOptions(
        crop_scale=(wanted.crop, 1.0), mirror=wanted.mirror, jitter=tuple(wanted.jitter)
    )
    strong = StrongOptions(mirror=wanted.mirror, operations=wanted.operations, cutout=wanted.cutout)
    weak = WarpOptions() if wanted.weak == "warp" else crops
    if imported is None:
        size = wanted.size or max(shape[:2])
        views = data.image_views(shape, size, weak=weak, strong=strong)
    else:
        size = imported.shown.size
        views = views_for(shape, imported.shown, weak=weak, strong=strong)
    if wanted.strong == "weak":
        views = views._replace(strong=views.weak)
    return views, (size, size, shape[2])


def make_network(config: ConfigDict, seen: tuple[int, ...]) -> Model:
    """Build the configured network for samples of shape ``seen``."""
    name = config.views.normalisation
    mean, std = NORMALISATIONS["none" if name == AUTO else name]
    if mean and seen[-1:] != (len(mean),):
        raise UserError(
            f"views.normalisation is {name!r}, of {len(mean)} channels, but the network sees "
            f"{list(seen)}: use {AUTO} or none"
        )
    return models.build(
        config.model.name,
        num_clusters=config.num_clusters,
        input_shape=seen,
        stem=config.model.stem or None,
        width=config.model.width or None,
        embedding_dim=config.model.embedding_dim or None,
        head=config.model.head,
        mean=mean,
        std=std,
        dtype=jnp.dtype(config.model.dtype),
    )
