"""Imported networks beside the published ones, from the bytes of PNG files to the outputs.

    python -m tests.published_networks.parity                # ten minutes on two cores
    python -m tests.published_networks.parity --only=DINOv3  # titles with a word

Each published network is built in PyTorch with random weights and saved as its authors save it.
Then the files are read here as a run reads them, with ``init`` naming the checkpoint and nothing
said about sizes: what is shown, and what comes out, is compared with what PyTorch makes of the same
files, shown as the authors show them. The table goes into docs/networks.md; without ``--only``
all of it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import torch
from PIL import Image

from benchmarks.harness.tables import DOCS, table, write
from idc_jax.models.importing import Imported
from idc_jax.runs import configuration
from idc_jax.runs.auto import resolve
from idc_jax.runs.parts import load_dataset, make_views, open_published, place_samples
from idc_jax.train.loop import run_network
from tests.published_networks.cases import CASES, CLUSTERS, Case, Outputs
from tests.published_networks.layouts import DOCUMENT

# The most that an output may differ by.
ALLOWED = 1e-3
# (width, height): one lying, one standing.
PHOTOGRAPHS = ((305, 260), (260, 305), (305, 260), (260, 305))


class Compared(NamedTuple):
    """What a case came to.

    Attributes:
      shown: what the run said of it.
      difference: the largest of all outputs, see :func:`difference`.
      otherwise: the same of the published network, shown squeezed and unnormalised images.
    """

    shown: str
    difference: float
    otherwise: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a word of the titles")
    parser.add_argument("--small", action="store_true", help="narrow networks, as the tests have")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        if options.only.lower() not in case.title.lower():
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = compare(case, Path(folder), small=options.small)
        rows.append((case, found))
        print(f"{case.title}: {found.difference:.1e} (otherwise {found.otherwise:.2f})", flush=True)
        jax.clear_caches()
    told = written(rows)
    print(told)
    if not options.only and not options.small:
        write({DOCUMENT: {"parity": told}}, DOCS)
    return int(any(found.difference > ALLOWED for _, found in rows))


def compare(case: Case, folder: Path, *, small: bool) -> Compared:
    """Run one network in both frameworks, on the same files in ``folder``."""
    torch.manual_seed(0)
    network = case.make(small)
    (folder / "checkpoint").mkdir()
    init = case.save(network, folder / "checkpoint")
    images = folder / ("cifar10" if case.cifar else "photographs")
    draw(images, ((32, 32),) * 4 if case.cifar else PHOTOGRAPHS)
    files = [Image.open(path) for path in sorted(images.glob("*.png"))]
    wanted = published(case, network, torch.stack([case.see(image) for image in files]))
    side = case.see(files[0]).shape[-1]
    squeezed = [image.resize((side, side), Image.Resampling.BOX) for image in files]
    others = np.stack(
        [np.asarray(image).transpose(2, 0, 1) / np.float32(255) for image in squeezed]
    )
    imported, found = ours(init, images, case)
    return Compared(
        imported.shown.told(32 if case.cifar else imported.shown.resize, files=not case.cifar),
        max(difference(found[name], value) for name, value in wanted.items()),
        max(
            difference(value, wanted[name])
            for name, value in published(case, network, torch.from_numpy(others)).items()
        ),
    )


def published(case: Case, network: torch.nn.Module, x: torch.Tensor) -> Outputs:
    with torch.no_grad():
        return {name: np.asarray(value) for name, value in case.run(network, x).items()}


def ours(init: Path, images: Path, case: Case) -> tuple[Imported, Outputs]:
    """What a run makes of the files below ``images``, with ``init`` for its network."""
    config = configuration.get_config("idc")
    config.init, config.data.path, config.data.source = str(init), str(images), "folder"
    config.data.cache, config.num_clusters = str(images.parent / "cache"), CLUSTERS
    # As data sets of arrays have them; photographs are read at the size that the network wants.
    config.data.image_size = 32 if case.cifar else 0
    config = resolve(config, {})
    dataset = load_dataset(config)
    imported = open_published(config, dataset)
    assert imported is not None
    views, _ = make_views(config, dataset, imported)
    samples = place_samples(config, dataset)
    shape = (1, imported.shown.size, imported.shown.size, 3)
    blank = jax.eval_shape(imported.model.init, jax.random.key(0), np.zeros(shape, np.float32))
    fresh = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), blank)
    variables, report = imported.fill(fresh)
    assert not any(name.startswith("params/backbone") for name in report.initialised)
    out = run_network(imported.model, variables, views.val, samples)
    probabilities = jax.nn.softmax(out.logits)
    return imported, {
        "embedding": np.asarray(out.embedding),
        "instance": np.asarray(out.instance),
        "probabilities": np.asarray(probabilities),
    }


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest, relative to how far the wanted outputs of the images lie apart.

    Random networks give nearly the same for all images; their mean says nothing.
    """
    apart = np.abs(wanted - wanted.mean(axis=0)).max()
    return float(np.abs(found - wanted).max() / apart)


def draw(folder: Path, sizes: tuple[tuple[int, int], ...]) -> None:
    """Write PNG files: soft colours with hard edges and grain."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number, (width, height) in enumerate(sizes):
        soft = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
        pixels = np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
        for _ in range(6):
            left, top = rng.integers(0, width), rng.integers(0, height)
            pixels[top : top + height // 3, left : left + width // 3] = rng.integers(0, 256, 3)
        pixels += rng.normal(0, 12, pixels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")


def written(rows: list[tuple[Case, Compared]]) -> str:
    """The table in Markdown."""
    lines = []
    for case, found in rows:
        shown = re.sub(r": mean [^)]*", "", found.shown)
        figures = [f"{found.difference:.1e}", f"{found.otherwise:.2f}"]
        lines.append([case.title, case.reference, shown, case.compared, *figures])
    heads = ["network", "rebuilt with", "shown", "compared", "largest difference"]
    return table([*heads, "shown otherwise"], lines)


if __name__ == "__main__":
    sys.exit(main())
