"""IDC's whole selection from a float16 file: seconds and memory by phase, up to ten million rows.

    python -m benchmarks.selectors.from_file --folder=DIR                  # 100,000 to 1,000,000
    python -m benchmarks.selectors.from_file --folder=DIR --n 10000000     # 2.6 GB on the disk
    python -m benchmarks.selectors.from_file --folder=DIR --method=graph_committee

With ``--method=graph_committee``, the committee's space, its first questions, what it learns from
100 answers and its next questions (:mod:`benchmarks.selectors.committee_from_file`); with
``lean_committee``, with the options that docs/scale.md names for ten million.

The file is written in pieces and removed afterwards. Each number of rows has a process of its own,
which ends with one line if it holds more than ``--limit`` GiB, file-backed pages counted. The rows
stay float16 except where IDC's greedy picking needs them: it comes last, when all else is given
back.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness.figures import peak_gib
from benchmarks.selectors import data
from benchmarks.selectors.committee_from_file import learn
from benchmarks.selectors.phases import Phases
from idc_jax import ops, scores, selectors
from idc_jax.ops import arrays

METHODS = ("idc", "graph_committee", "lean_committee")
_D, _BUDGET, _K = 128, 500, 20
# Points of a mini-batch, and rows that are scored at a time.
_BATCH, _BLOCK = 8192, 100_000


def write(path: Path, n: int) -> None:
    """The features as a float16 ``.npy`` file, never whole in memory, and their labels."""
    header = {"descr": "<f2", "fortran_order": False, "shape": (n, _D)}
    labels = []
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part, own in data.pieces(n, _D):
            file.write(part.astype(np.float16).tobytes())
            labels.append(own.astype(np.int8))
    np.save(_labels_of(path), np.concatenate(labels))


def _labels_of(path: Path) -> Path:
    return path.with_suffix(".labels.npy")


def select(path: Path, limit: float) -> None:
    """Select from the file, a line for each phase."""
    phase = Phases(limit)
    z = phase("read", lambda: data.mapped(path))
    n = len(z)
    centers = phase("k-means", lambda: _centers(z))
    near = phase("neighbours", lambda: ops.approximate_knn(z, _K))
    reached = phase("recall", lambda: ops.recall(jax.random.key(1), z, near))
    base = phase("scores", lambda: _base(z, centers, near))
    del near
    # The last that needs the rows: what was read is given back with them.
    unit = phase("unit length", lambda: arrays.normalize(z))
    del z
    free = jnp.ones(n, bool)
    picks = phase(
        "picks",
        lambda: selectors.idc_from_scores(unit, base, _BUDGET, labelled=~free, candidates=free),
    )
    print(
        f"{n:,} x {_D}: {phase.seconds():.1f} s, peak {peak_gib():.2f} GiB, recall "
        f"{float(reached):.3f}, mean value of {len(picks.indices)} picks {picks.values.mean():.4f}"
    )


def _centers(z: jax.Array) -> jax.Array:
    found = ops.kmeans(
        jax.random.key(0), z, data.CLASSES, restarts=3, max_iterations=100, batch_size=_BATCH
    )
    return found.centers


def _base(z: jax.Array, centers: jax.Array, near: ops.Neighbors) -> jax.Array:
    """Hardness and representativeness, a part of the rows at a time."""
    hard = [scores.hardness(z[i : i + _BLOCK], centers) for i in range(0, len(z), _BLOCK)]
    sums = [
        scores.representativeness(z[i : i + _BLOCK], _K, neighbors=ops.Neighbors(*part))
        for i in range(0, len(z), _BLOCK)
        for part in [[a[i : i + _BLOCK] for a in near]]
    ]
    return jnp.concatenate(hard) + jnp.concatenate(sums)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the file is written")
    parser.add_argument("--n", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--limit", type=float, default=16.0, help="GiB")
    parser.add_argument("--method", choices=METHODS, default="idc")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.file:
        if given.method == "idc":
            select(given.file, given.limit)
        else:
            lean = given.method == "lean_committee"
            learn(given.file, np.load(_labels_of(given.file)), given.limit, lean=lean)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    for n in given.n:
        path = given.folder / f"features_{n}.npy"
        wanted, left = 2 * n * _D, shutil.disk_usage(given.folder).free
        if wanted > 0.9 * left:
            sys.exit(f"{path} takes {wanted:,} bytes; {left:,} are free in {given.folder}")
        try:
            write(path, n)
            own = ["--folder", given.folder, "--file", path, "--limit", given.limit]
            own += ["--method", given.method]
            command = [sys.executable, "-m", "benchmarks.selectors.from_file", *map(str, own)]
            subprocess.run(command, check=False)
        finally:
            path.unlink(missing_ok=True)
            _labels_of(path).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
