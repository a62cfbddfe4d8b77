"""A published network's frozen embeddings in place of the images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jax
import numpy as np

from idc_jax.data import image_views
from idc_jax.data.base import Dataset
from idc_jax.data.cache import Entry, cached, file_stamps
from idc_jax.data.residency import Samples
from idc_jax.data.views import Views, view_batch
from idc_jax.models.importing import Imported, open_network
from idc_jax.train.loop import run_network

# Raised when what is computed changes.
_VERSION = 1


def embedded(
    path: Path, dataset: Dataset, samples: Samples, *, size: int | None, cache_dir: Path
) -> Dataset:
    """Embed all images by the frozen network in ``path``, or find that done earlier.

    Args:
      path: a checkpoint of :func:`idc_jax.models.importing.open_network`.
      dataset: of images.
      samples: its images, on the device or streamed.
      size: side of what the network sees, in pixels; None for the images' own.
      cache_dir: where embeddings are kept.

    Returns:
      ``dataset`` with features ``[n, d]``, not normalised.

    Raises:
      UserError: a file that cannot be used, or images with another number of channels.
    """
    shape = dataset.inputs.shape[1:]
    size = size or max(shape[:2])
    imported = open_network(path, num_clusters=1, input_shape=(size, size, shape[2]))
    print(f"features: frozen {imported.layout.source} ({path.name}) at {size} px", flush=True)
    views = image_views(shape, size)
    key = {
        "version": _VERSION,
        "weights": file_stamps([path]),
        "images": _digest(dataset.inputs),
        "size": size,
    }

    def build() -> Entry:
        return Entry({"features": _embed(imported, views, samples)}, {})

    entry = cached(cache_dir, "embedded", key, build)
    return dataset._replace(kind="features", inputs=np.asarray(entry.arrays["features"]))


def _embed(imported: Imported, views: Views, samples: Samples) -> np.ndarray:
    seen = view_batch(views.val, jax.random.key(0), samples[:2])
    fresh = imported.model.init(jax.random.key(0), seen)
    variables, report = imported.fill(fresh)
    print("\n".join(report.lines()), flush=True)
    outputs = run_network(imported.model, variables, views.val, samples, block=64)
    return np.asarray(outputs.embedding)


def _digest(images: np.ndarray) -> str:
    """Of the numbers and their shape, row by row: the array may be larger than the memory."""
    found = hashlib.blake2b(str(images.shape).encode(), digest_size=16)
    for row in images:
        found.update(row.tobytes())
    return found.hexdigest()
