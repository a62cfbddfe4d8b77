"""What this project owes on a GPU, in order, into one folder.

    python -m benchmarks.gpu                    # needs a JAX and a PyTorch that see the GPU
    python -m benchmarks gpu --table features_idc --out=runs/gpu       # its own family alone

Selectors and their agreement with the CPU, training steps beside PyTorch's, methods on frozen
features (``IDC_FEATURES=FILE.npz``), and CIFAR-20 from nothing (``IDC_IMAGES=``TFDS's directory):
ResNet-18 of width 40 on 32 pixels, bfloat16, 300 epochs, of which 53.1 % ACC are wanted within 20
minutes (the TCL that IDC starts from) and 69.4 % after 500 answers. What is there is not measured
again; points, tables and what failed are in ``runs/gpu``.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import recipes
from benchmarks.answers.tasks import FEATURES, SHARED
from benchmarks.harness.points import Family
from benchmarks.harness.tables import ROOT

IMAGES = Path(os.environ.get("IDC_IMAGES", SHARED / "tfds"))
_FEATURES = {"data.path": FEATURES, "num_clusters": 20, "budget": 500}
_FROM_NOTHING = {
    "data.path": IMAGES,
    "model.name": "resnet18",
    "model.width": 40,
    "model.head": "plain",
    "model.dtype": "bfloat16",
    # PyTorch's default for small images: crops of a fifth of the area at least.
    "views.crop": 0.2,
    "pretrain.batch_size": 1024,
    "pretrain.learning_rate": 2e-3,
    # The embedding first; the cluster head joins in when there is something to cluster, and then
    # a sample's neighbours are positives too.
    "pretrain.cluster_start": 0.2,
    "pretrain.agreement_weight": 1.0,
    "pretrain.neighbors": 20,
    "pretrain.neighbor_start": 0.5,
    "pretrain.neighbor_every": 10,
}
TABLES = {
    **{
        f"features_{method}": recipes.Table(
            f"configs/features.py:{method}", _FEATURES, ("rounds=10",)
        )
        for method in ("graph_committee", "idc", "dsac")
    },
    "cifar20_idc": recipes.Table(
        "configs/cifar20.py:idc",
        # As on frozen features: the answers spread over the neighbours, asked in rounds.
        _FROM_NOTHING
        | {"rounds": 5, "idc.candidates": "probability", "finetune.pseudo_labels": "graph"},
        ("pretrain.epochs=300",),
    ),
    "cifar20_dsac": recipes.Table(
        "configs/cifar20.py:dsac",
        _FROM_NOTHING
        | {"dsac_training.learning_rate": 1e-4, "dsac_training.unit_embeddings": True},
        ("pretrain.epochs=300",),
    ),
}
# Cases of the selectors that a GPU is asked for.
_TIMED = "greedy/floor greedy/idc_jax knn/floor knn/idc_jax kmeans/idc_jax whole/idc_jax"
_SELECTORS = "baseline/typiclust baseline/max_herding baseline/k_center scale/idc_jax"
_AGREEING = "idc dsac margin entropy k_center typiclust probcover max_herding u_herding badge"
STEPS = (
    f"selectors --here --n 5000 60000 1000000 --data synthetic --case {_TIMED} {_SELECTORS} "
    + " ".join(f"agreement/{name}" for name in _AGREEING.split()),
    "training --setting gpu",
    "gpu",
)

FAMILY = Family(
    fields=("table", "seed"),
    points=lambda seeds: (
        {"table": name, "seed": seed} for seed, name in itertools.product(seeds, TABLES)
    ),
    measure=lambda point: recipes.played(TABLES[point["table"]], point["seed"]),
    tables=lambda rows: {Path("gpu.md"): recipes.told(TABLES, rows)},
)


def main(out: Path) -> int:
    """Run all steps and write their tables; returns 1 where a point failed."""
    # PyTorch and JAX share the device's memory in one of the steps.
    env = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    code = 0
    for step in STEPS:
        command = [sys.executable, "-m", "benchmarks", *step.split(), f"--out={out}"]
        code |= subprocess.run(command, env=env, cwd=ROOT, check=False).returncode
        report = [sys.executable, "-m", "benchmarks", step.split()[0], "--report", f"--out={out}"]
        code |= subprocess.run(report, env=env, cwd=ROOT, check=False).returncode
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/gpu").resolve()))
