"""A published network's frozen embeddings in place of the images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from idc_jax import hosts
from idc_jax.data.base import Dataset
from idc_jax.data.cache import Entry, cached, file_stamps
from idc_jax.data.finite import bad_rows
from idc_jax.data.progress import SHOWN_AFTER_SECONDS, tell
from idc_jax.data.residency import Samples
from idc_jax.data.views import View, Views, view_batch
from idc_jax.errors import UserError
from idc_jax.models.base import Model, Variables
from idc_jax.models.importing import Imported, checkpoint_files
from idc_jax.train.loop import run_network
from idc_jax.train.seen import views_for

# Raised when what is computed changes.
_VERSION = 3
# Images in one pass through the network.
_BATCH = 64
# Images whose embeddings are kept as one file: what a stopped run need not do again.
_PART = 16 * _BATCH


def embedded(
    imported: Imported,
    dataset: Dataset,
    place: Callable[[], Samples],
    *,
    cache_dir: Path,
    progress: bool = True,
) -> Dataset:
    """Embed all images by a frozen network, or find that done earlier.

    Args:
      imported: the network; it is shown the images as its authors showed it theirs.
      dataset: of images.
      place: returns its images, on the device or streamed; called where there is work to do.
      cache_dir: where embeddings are kept, part by part: stopped, the next call goes on.
      progress: show a bar.

    Returns:
      ``dataset`` with features ``[n, d]``, not normalised.

    Raises:
      UserError: weights that do not fit, or embeddings that are not finite.
    """
    shape, files = dataset.inputs.shape[1:], checkpoint_files(imported.path)
    told = imported.told(max(shape[:2]), files=bool(dataset.names))
    print(f"features: frozen {told}", flush=True)
    views = views_for(shape, imported.shown)
    key = {"version": _VERSION, "weights": file_stamps([*files]), "shown": imported.shown}
    # Uploaded and filled in once, and only where something is left to embed.
    samples = cache(place)
    variables = cache(partial(_fill, imported, views, samples))
    parts = []
    with _bar(dataset.size, progress) as bar:
        for start in range(0, dataset.size, _PART):
            wanted = range(start, min(start + _PART, dataset.size))
            images = {"images": _digest(dataset.inputs[wanted.start : wanted.stop])}
            build = partial(_embed, imported.model, variables, views.val, samples, wanted, bar)
            parts.append(_kept(cache_dir, key | images, build))
            bar.update(wanted.stop - bar.n)
            tell("embedding", wanted.stop, dataset.size)
    features = np.concatenate(parts)
    if len(bad := bad_rows(features)):
        first = dataset.names[bad[0]] if dataset.names else f"number {bad[0]}"
        raise UserError(
            f"{imported.path} makes no finite features of {len(bad)} of {len(features)} images, "
            f"the first being {first}"
        )
    return dataset._replace(kind="features", inputs=features)


def _kept(cache_dir: Path, key: dict[str, Any], build: Callable[[], Entry]) -> np.ndarray:
    """The features of ``key``; where processes embed together, those that process 0 has count."""
    if not hosts.leads():
        found = hosts.hear()["features"]
        return build().arrays["features"] if found is None else found
    built = []

    def announced() -> Entry:
        hosts.tell({"features": None})
        built.append(build())
        return built[0]

    features = cached(cache_dir, "embedded", key, announced).arrays["features"]
    if not built:
        hosts.tell({"features": features})
    return features


def _fill(imported: Imported, views: Views, samples: Callable[[], Samples]) -> Variables:
    seen = view_batch(views.val, jax.random.key(0), samples()[:2])
    # What is said of the heads would mislead: nobody looks at their outputs.
    return imported.fill(imported.model.init(jax.random.key(0), seen))[0]


def _embed(
    model: Model,
    variables: Callable[[], Variables],
    view: View,
    samples: Callable[[], Samples],
    wanted: range,
    bar: tqdm,
) -> Entry:
    """The embeddings of the samples ``wanted``, ``[len(wanted), d]``."""
    filled, found = variables(), []
    images = samples()
    count = min(_BATCH, images.shape[0])
    for start in wanted[::_BATCH]:
        stop = min(start + _BATCH, wanted.stop)
        # Always as many, so that one program does for all: the last batch reaches back.
        first = max(stop - count, 0)
        batch = images[first : first + count]
        outputs = run_network(model, filled, view, batch, only=("embedding",))
        found.append(np.asarray(outputs.embedding)[start - first : stop - first])
        bar.update(stop - start)
        tell("embedding", stop, bar.total)
    return Entry({"features": np.concatenate(found)}, {})


def _bar(total: int, progress: bool) -> tqdm:
    return tqdm(
        desc="embedding",
        total=total,
        unit="image",
        delay=SHOWN_AFTER_SECONDS,
        leave=False,
        disable=not progress,
    )


def _digest(images: np.ndarray) -> str:
    """Of the numbers and their shape, row by row: the array may be larger than the memory."""
    found = hashlib.blake2b(str(images.shape).encode(), digest_size=16)
    for row in images:
        found.update(row.tobytes())
    return found.hexdigest()
